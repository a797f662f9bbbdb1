"""What a run computes in: settled once, kept in every state, reused wherever it resumes."""

import json
import logging

import pytest
import torch

from mova.device import PRECISION_VARIABLE
from mova.errors import CheckpointError, ConfigError
from mova.train.config import accepts, load_recipe
from mova.train.config.run import RunPrecision
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import list_states
from mova.train.loop.compute import record, settle

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def multiplies(monkeypatch):
    """A processor that multiplies bfloat16, and an environment that says nothing of it."""
    monkeypatch.setattr("mova.device.multiplies_bfloat16", lambda: True)
    monkeypatch.delenv(PRECISION_VARIABLE)


def recipe(*overrides):
    return load_recipe("tiny_lora", [*overrides])


def with_state(folder, **values):
    state = folder / "checkpoints" / "step_00000005"
    state.mkdir(parents=True)
    (state / "state.json").write_text(json.dumps({"step": 5, "values": values}))
    return folder


def settled(config, folder, device=CPU):
    found = settle(config, folder, device)
    return found.compute, found.encoding


def test_a_lora_begins_in_bfloat16_where_its_base_bears_it_and_other_stages_in_float32(tmp_path, recipes):
    assert settled(recipe(), tmp_path) == ("bfloat16", "auto")
    assert settled(recipe("memory.base_quantization=int8"), tmp_path) == ("float32", "auto")
    assert settled(load_recipe(recipes("tiny_joint")), tmp_path) == ("float32", "auto")
    assert settled(load_recipe(recipes("tiny_joint")), tmp_path, GPU) == ("bfloat16", "auto")
    for named in ("float32", "bfloat16"):
        assert settled(recipe(f"run.compute={named}"), tmp_path) == (named, named)


def test_the_environment_says_what_auto_comes_to(tmp_path, recipes, monkeypatch):
    monkeypatch.setenv(PRECISION_VARIABLE, "float32")
    assert settled(recipe(), tmp_path)[0] == "float32"
    monkeypatch.setenv(PRECISION_VARIABLE, "bfloat16")
    assert settled(load_recipe(recipes("tiny_joint")), tmp_path)[0] == "bfloat16"
    monkeypatch.setenv(PRECISION_VARIABLE, "half")
    with pytest.raises(ConfigError, match=r"MOVA_PRECISION must be one of auto, float32, bfloat16; got 'half'"):
        settle(recipe(), tmp_path, CPU)


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_a_run_goes_on_in_what_its_state_was_made_with_wherever_it_is(tmp_path, caplog, stored, device):
    with_state(tmp_path, compute=stored, position={"encoded_in": stored})
    with caplog.at_level(logging.INFO):
        assert settled(recipe(), tmp_path, device) == (stored, stored)
    assert ("lora goes on in float32, as it was begun" in caplog.text) == (stored == "float32")


def test_going_on_in_bfloat16_without_such_instructions_is_said_to_be_slow(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("mova.device.multiplies_bfloat16", lambda: False)
    with_state(tmp_path, compute="bfloat16", position={})
    with caplog.at_level(logging.WARNING):
        assert settled(recipe(), tmp_path) == ("bfloat16", "auto")
    assert "compute bfloat16: this processor does not multiply bfloat16" in caplog.text


def test_states_from_before_go_on_as_they_were(tmp_path):
    with_state(tmp_path, trained_s=1.0)
    assert settled(recipe(), tmp_path) == ("float32", "auto")
    assert settled(recipe(), tmp_path, GPU) == ("bfloat16", "auto")
    assert settled(recipe("run.compute=bfloat16"), tmp_path) == ("bfloat16", "bfloat16")


@pytest.mark.parametrize("values", [{"compute": "half"}, {"compute": 3}, {"position": {"encoded_in": []}}])
def test_a_damaged_state_is_refused(tmp_path, values):
    with_state(tmp_path, **values)
    with pytest.raises(CheckpointError, match="must be float32 or bfloat16, got"):
        settle(recipe(), tmp_path, CPU)
    (list_states(tmp_path / "checkpoints")[-1] / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"step_00000005 cannot be read .*remove it to begin anew"):
        settle(recipe(), tmp_path, CPU)


def test_what_a_run_came_to_is_no_part_of_its_recipe():
    run = recipe().run
    settled_run = run.settled(RunPrecision("bfloat16", "float32"))
    assert (settled_run.computes_in, settled_run.encodes_in) == ("bfloat16", "float32")
    assert (run.computes_in, run.encodes_in, settled_run.compute) == ("auto", "auto", "auto")
    assert settled_run.model_dump_json() == run.model_dump_json()
    assert record(settled_run, CPU) == "bfloat16"


def test_every_state_says_what_the_run_computes_in(make_line_trainer):
    for named, kept in (("auto", "float32"), ("bfloat16", "bfloat16")):
        trainer = make_line_trainer(named, compute=named)
        trainer.run()
        state = list_states(trainer.folder / "checkpoints")[-1]
        assert json.loads((state / "state.json").read_text())["values"]["compute"] == kept


def test_a_run_that_goes_on_elsewhere_finds_its_latents_and_its_precision(tmp_path, minimal, monkeypatch, caplog):
    small = [text for text in minimal if accepts(recipe(), text)]
    overrides = [*small, f"model={tmp_path}/run/model", "data.num_clips=2", "data.validation_clips=2"]
    run_recipe("tiny_lora", overrides=overrides)
    folder = tmp_path / "run"
    monkeypatch.setattr("mova.device.multiplies_bfloat16", lambda: False)
    latents = {path.name: path.stat().st_mtime_ns for path in folder.rglob("latents/*/*.safetensors")}
    with caplog.at_level(logging.WARNING):
        run_recipe("tiny_lora", overrides=[*overrides, "run.max_steps=3"], resume=folder)
    assert "compute bfloat16: this processor does not multiply bfloat16" in caplog.text
    assert latents == {path.name: path.stat().st_mtime_ns for path in folder.rglob("latents/*/*.safetensors")}
    states = list_states(folder / "tiny_lora" / "checkpoints")
    for values in (json.loads((state / "state.json").read_text())["values"] for state in states):
        assert (values["compute"], values["position"]["encoded_in"]) == ("bfloat16", "bfloat16")
    assert [json.loads((state / "state.json").read_text())["step"] for state in states] == [2, 3]
    with pytest.raises(ConfigError, match=r"run.compute: was 'auto', is 'float32'"):
        run_recipe("tiny_lora", overrides=[*overrides, "run.compute=float32"], resume=folder)
