import dataclasses
import datetime
import json

import pytest

from mova.bench.machine import Machine
from mova.bench.measure import Bench, Command, Speed
from mova.bench.report import to_note, to_record
from mova.pipeline.runtime import Runtime
from mova.settings.sampling import SamplingSettings

DAY = datetime.date(2026, 11, 26)
LINE = ["mova", "bench", "--model", "mova-tiny"]


@pytest.fixture
def made():
    return Bench(
        model="mova-tiny",
        has_random_weights=False,
        settings=SamplingSettings(num_inference_steps=10),
        runtime=Runtime(attention="native"),
        dtype="bfloat16",
        command=Command(9.0, 4.0, {"loading": 3.5, "sampling": 4.0, "decoding": 0.5, "writing": 0.5}, 7 * 10**8, 3),
        speed=Speed(2.0, 0.5, 10.0, 0.25, 20, 5, 3 * 10**9),
        forward_operations=10**12,
        ceiling_rate=4e12,
        peak_rss_bytes=10**9,
        machine=Machine(
            "A processor",
            "AVX512",
            2,
            2,
            8 * 10**9,
            "A card",
            80 * 10**9,
            "535.1",
            "12.8",
            "Linux",
            "3.11",
            {"mova": "1"},
        ),
        load=(0.1, 0.2),
    )


def rows(note):
    cells = [line.strip("|").split("|") for line in note.splitlines() if line.startswith("|")]
    return {what.strip(): value.strip() for what, value in cells}


def test_the_note_holds_the_figures_and_what_they_were_measured_on(made):
    note = to_note(made, LINE, DAY)
    found = rows(note)
    assert found["`mova generate` from start to end, median of 3"] == "9.00 s"
    assert found["of that, start-up: interpreter, imports, weights, end"] == "4.00 s"
    assert found["of the start-up, loading"] == "3.50 s"
    assert found["of that, decoding"] == "500 ms"
    assert found["joint forward, one sample"] == "500 ms"
    assert found["its rate"] == "2 TFLOP/s"
    assert found["share of that"] == "50%"
    assert found["steps per second"] == "1"
    assert found["texts, first frame and all steps, warm (20 predictions, 5 of them mostly repeated)"] == "10.00 s"
    assert found["peak memory of tensors on the GPU"] == "3.00 GB"
    for text in (
        "# mova-tiny on A card, 2026-11-26",
        "A processor, 2 cores",
        "driver 535.1",
        "`mova bench --model mova-tiny`",
    ):
        assert text in note
    assert "attention native" in note
    assert "random weights" not in note


def test_a_note_of_random_weights_says_so_and_has_no_command(made):
    note = to_note(dataclasses.replace(made, command=None, has_random_weights=True), LINE, DAY)
    assert "- random weights: one video tower and no text encoder" in note
    assert not any("generate" in what for what in rows(note))


def test_without_a_gpu_the_processor_names_the_note(made):
    machine = dataclasses.replace(made.machine, gpu=None, gpu_bytes=None, driver=None, cuda=None, ram_bytes=None)
    speed = dataclasses.replace(made.speed, peak_device_bytes=None)
    note = to_note(dataclasses.replace(made, machine=machine, speed=speed), LINE, DAY)
    assert note.startswith("# mova-tiny on A processor")
    assert "no GPU" in note
    assert "peak memory of tensors on the GPU" not in rows(note)


def test_the_record_is_plain_json_with_the_same_figures(made):
    record = json.loads(json.dumps(to_record(made, LINE, DAY)))
    assert record["date"] == "2026-11-26"
    assert record["share_of_products"] == 0.5
    assert record["pipeline"]["decode_s"] == 0.25
    assert record["command"]["startup_s"] == 4.0
    assert record["machine"]["gpu"] == "A card"
    assert record["settings"]["num_inference_steps"] == 10
    assert record["command_line"] == LINE
