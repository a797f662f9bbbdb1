"""What `mova generate` imports, and what it leaves as it was."""

import gc
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mova.cli.terminal import quick_start as module
from mova.cli.terminal.quick_start import POSTPONED, UNASKED, light_loading, quick_start
from mova.generate.session import DECODING, LOADING, SAMPLING
from mova.models.text_encoder import is_own_text_encoder_wanted
from mova.weights.rewrite import convert_weights

CHECKPOINT = Path(__file__).parents[2] / "numerics" / "records" / "pipeline_checkpoint"
# Seconds of imports that a clip does not need; each of them has been, or nearly been, on the way at some time.
UNNEEDED = {
    *UNASKED,
    *POSTPONED,
    "ftfy",
    "matplotlib",
    "mova.evaluate",
    "mova.toyworld",
    "mova.train",
    "networkx",
    "onnx",
    "pandas",
    "sympy",
    "tensorboard",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torchvision",
    "triton",
    "wandb",
}
GENERATE = """
import gc, json, sys
from mova.cli.app import main
assert main(sys.argv[1:]) == 0
modules = sorted(name for name, module in sys.modules.items() if module is not None)
left = {"modules": modules, "hidden": len(sys.modules) - len(modules)}
print(json.dumps(left | {"frozen": gc.get_freeze_count(), "collects": gc.isenabled()}))
"""


def generate(output, *options):
    """Make a short clip in a process; return what that holds in the end."""
    short = ["--size", "64x32", "--frames", "5", "--steps", "1", "--output", str(output), "--prompt", "a dog"]
    made = subprocess.run(
        [sys.executable, "-c", GENERATE, "generate", *short, *options],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(made.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["exact", "distilled"])
def after(request, tmp_path_factory):
    """What a process holds that has made a short clip with the shipped model."""
    return generate(tmp_path_factory.mktemp("quick") / "a.mp4", "--speed", request.param)


def test_a_clip_imports_nothing_that_it_does_not_need(after):
    """Also the adapters of the distilled one are merged without peft."""
    assert {"torch", "diffusers", "tokenizers", "av"} <= set(after["modules"]), "nothing was generated"
    assert UNNEEDED & set(after["modules"]) == set()
    assert after["hidden"] == 0


def test_a_model_with_another_tokenizer_or_text_encoder_gets_those_of_transformers(tmp_path):
    """Its config leaves open what ours has to know."""
    modules = set(generate(tmp_path / "a.mp4", "--model", str(CHECKPOINT))["modules"])
    assert "transformers" in modules
    assert set(UNASKED) & modules == set()


def test_a_model_that_is_stored_quantized_finds_what_dequantizes_it(tmp_path):
    convert_weights(CHECKPOINT, tmp_path / "quantised", quantize="nf4")
    short = ["--model", str(tmp_path / "quantised"), "--size", "48x32", "--frames", "5", "--steps", "1"]
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "mova.cli",
            "generate",
            "--prompt",
            "a dog",
            "--output",
            str(tmp_path / "a.mp4"),
            *short,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "a.mp4").is_file()


def test_what_was_loaded_is_never_searched_for_garbage(after):
    assert after["frozen"] > 100_000
    assert after["collects"]


def test_packages_are_hidden_in_the_block_and_found_after_it(monkeypatch):
    absent, present = "mova_no_such_package", "mova.cli.options"
    importlib.import_module(present)
    monkeypatch.setattr("mova.cli.terminal.quick_start.UNASKED", ("wave", absent, present))
    monkeypatch.setattr("mova.cli.terminal.quick_start.ASKING", ())
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with quick_start(lambda *_: None):
        assert importlib.util.find_spec("wave") is None
        with pytest.raises(ModuleNotFoundError):
            import wave
        assert sys.modules[present] is not None, "what is imported already stays"
    import wave

    assert wave.__spec__ is importlib.util.find_spec("wave")
    assert absent not in sys.modules


def test_nothing_is_hidden_from_libraries_that_have_found_it_already(monkeypatch):
    monkeypatch.setattr("mova.cli.terminal.quick_start.UNASKED", ("wave",))
    monkeypatch.setattr("mova.cli.terminal.quick_start.ASKING", ("mova.cli.options",))
    importlib.import_module("mova.cli.options")
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with quick_start(lambda *_: None):
        assert importlib.util.find_spec("wave") is not None


def test_needed_packages_are_not_hidden(monkeypatch):
    monkeypatch.setattr("mova.cli.terminal.quick_start.ASKING", ())
    monkeypatch.setattr("mova.cli.terminal.quick_start.UNASKED", ("wave",))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with quick_start(lambda *_: None, needed=("wave",)):
        assert importlib.util.find_spec("wave") is not None


def test_the_collector_pauses_until_loading_is_over_and_reports_pass_through():
    told = []
    try:
        with quick_start(lambda *report: told.append(report)) as report:
            assert not gc.isenabled()
            report(LOADING, 0, 1)
            assert not gc.isenabled()
            report(SAMPLING, 0, 4)
            assert gc.isenabled()
            assert gc.get_freeze_count() > 0
            gc.unfreeze()
            report(DECODING, 0, 1)
            assert gc.get_freeze_count() == 0, "only what was loaded is set aside"
        assert told == [(LOADING, 0, 1), (SAMPLING, 0, 4), (DECODING, 0, 1)]
    finally:
        gc.unfreeze()


def test_a_failure_leaves_the_collector_as_it_was():
    with pytest.raises(ZeroDivisionError), quick_start(lambda *_: None):
        raise ZeroDivisionError
    assert gc.isenabled()
    gc.disable()
    try:
        with quick_start(lambda *_: None) as report:
            report(SAMPLING, 0, 1)
            assert not gc.isenabled(), "a caller that collects nothing is not made to"
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_light_start_is_none_where_libraries_have_looked_already():
    importlib.import_module("diffusers")
    with light_loading():
        assert not is_own_text_encoder_wanted()


@pytest.fixture
def fresh(monkeypatch):
    """As if nothing had been imported."""
    monkeypatch.setattr(module, "ASKING", ())
    monkeypatch.setattr(module, "POSTPONED", ("mova_no_such_compiler",))


def test_a_light_start_imports_without_the_compiler_and_leaves_no_mark(fresh, monkeypatch):
    seen = []

    def look(name):
        disable = torch.compiler.disable
        seen.extend([name, disable(len), disable()(len), "mova_no_such_compiler" in sys.modules])

    disable = torch.compiler.disable
    monkeypatch.setattr(module, "import_module", look)
    monkeypatch.setattr(module, "LIGHT_MODULES", ("one",))
    with light_loading():
        assert is_own_text_encoder_wanted()
        assert torch.compiler.disable is disable
        assert "mova_no_such_compiler" not in sys.modules
    assert seen == ["one", len, len, True]
    assert not is_own_text_encoder_wanted()


def test_a_light_start_that_fails_is_a_usual_one(fresh, monkeypatch):
    """Something insists on what is hidden: diffusers forgets that it has looked."""
    disable = torch.compiler.disable

    def fail(name):
        monkeypatch.setitem(sys.modules, "diffusers.half_imported", torch)
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", fail)
    with light_loading():
        assert not is_own_text_encoder_wanted()
        assert "diffusers.half_imported" not in sys.modules
    assert torch.compiler.disable is disable
