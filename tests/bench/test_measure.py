"""Measurements of a real, tiny pipeline: what the figures mean, not how large they are."""

import json
import sys

import pytest
import torch

from mova.bench import measure as bench
from mova.bench.measure import measure, measure_pipeline, product_rate, run_command
from mova.errors import StageError
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.runtime import Runtime
from mova.plan.cost import forward_cost
from mova.plan.published import find_defaults, find_dims
from mova.settings.sampling import GivenSettings, SamplingSettings

CPU = torch.device("cpu")
SHORT = {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 3, "guidance_scale": 2.0}


def settings_of(checkpoint, speed="exact", **changes):
    dims = find_dims(str(checkpoint))
    given = GivenSettings(**(SHORT | changes))
    return dims, SamplingSettings.for_model(find_defaults(str(checkpoint)), dims.codec, given, speed=speed)


def test_loop_and_decoding_are_timed_apart_and_calls_are_counted(pipe, checkpoint, monkeypatch):
    _, settings = settings_of(checkpoint)
    clock = iter(range(10_000))
    monkeypatch.setattr(bench, "_now", lambda _: next(clock))
    stages = []
    found = measure_pipeline(pipe, settings, CallInputs(prompt="a dog"), CPU, 0.5, stages.append)
    # With a clock that ticks once for each look at it: one tick from step to step, one from the last to the clip.
    assert (found.forward_s, found.loop_s, found.decode_s) == (1, 3, 1)
    assert (found.predictions, found.repeated, found.load_s, found.peak_device_bytes) == (6, 0, 0.5, None)
    assert stages == ["a forward", "3 steps and decoding"]


def test_a_forward_is_one_prediction_per_step(pipe, checkpoint, monkeypatch):
    _, settings = settings_of(checkpoint, modality_scale=3.0, speed="fastest")
    asked = []
    run = type(pipe).run

    def watch(self, settings, inputs):
        result = run(self, settings, inputs)
        asked.append((settings.num_inference_steps, result.calls.predictions, result.calls.repeated))
        return result

    monkeypatch.setattr(type(pipe), "run", watch)
    measure_pipeline(pipe, settings, CallInputs(prompt="a dog"), CPU, 0.0)
    steps, predictions, repeated = asked[0]
    assert predictions == steps
    assert repeated == 0


def test_random_weights_are_measured_without_a_command(checkpoint):
    dims, settings = settings_of(checkpoint)
    made = measure(str(checkpoint), dims, settings, options=None, runtime=Runtime())
    assert made.command is None
    assert made.has_random_weights
    assert made.forward_operations == forward_cost(dims, settings.geometry).total
    assert made.forward_rate == pytest.approx(made.forward_operations / made.speed.forward_s)
    assert 0 < made.forward_rate < made.ceiling_rate
    assert made.steps_per_s == pytest.approx(3 / made.speed.loop_s)
    assert made.peak_rss_bytes > 10**8
    assert made.dtype == "float32"


def test_the_rate_of_products_is_that_of_the_time_taken(monkeypatch):
    monkeypatch.setitem(bench.PRODUCT_SIZES, "cpu", 64)
    moments = iter(range(10_000))
    monkeypatch.setattr(bench, "_now", lambda _: next(moments))
    assert product_rate(torch.float32, CPU) == 2 * 64**3


def test_the_command_is_timed_from_outside_and_split_by_its_own_report(tmp_path, monkeypatch):
    """A stand-in for the program, whose stages are known."""
    program = tmp_path / "program.py"
    report = {"seconds": {"loading": 1.0, "sampling": 0.01, "decoding": 0.02, "writing": 0.03}}
    # Long enough for its memory to be looked at many times.
    program.write_text(
        "import sys, time\nassert '--json' in sys.argv\ntime.sleep(0.5)\n"
        f"print('noise')\nprint({json.dumps(report)!r})\n"
    )
    start = tmp_path / "python"
    start.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {program} "$@"\n')
    start.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(start))
    found = run_command(["--steps", "1", "--json"], runs=2)
    assert found.runs == 2
    assert found.stages == report["seconds"]
    assert found.startup_s == pytest.approx(found.wall_s - 0.06, abs=1e-9)
    assert found.peak_bytes > 10**6


def test_a_command_that_fails_says_why(checkpoint):
    with pytest.raises(StageError, match=r"generate .* ended with 2: .*sampler must be one of"):
        run_command(["--model", str(checkpoint), "--sampler", "no", "--json"], runs=1)
