"""Kernels of a run: chosen once, kept in every state, reused wherever it resumes."""

import json
import logging

import pytest
import torch
from torch import nn

from mova.errors import CheckpointError
from mova.kernels.calibration import machine_name
from mova.kernels.cpu_linear import linears_in_use
from mova.kernels.linear_choice import ChoiceFile
from mova.train.loop.checkpoint import list_states

HALF = ("2x1 few", "2x1 many")


@pytest.fixture(autouse=True)
def known(tmp_path, monkeypatch):
    """This machine was measured before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return ChoiceFile().add(machine_name(), dict(zip(HALF, ("torch", "onednn"), strict=True)))


def stop_at_5(trainer):
    def stop(step):
        if step == 5:
            raise KeyboardInterrupt

    trainer.stage.before_step = stop
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    return list_states(trainer.folder / "checkpoints")[-1] / "state.json"


def change(manifest, kernels):
    content = json.loads(manifest.read_text())
    if kernels is None:
        del content["values"]["kernels"]
    else:
        content["values"]["kernels"] = kernels
    manifest.write_text(json.dumps(content))


def used(trainer):
    return linears_in_use(trainer.stage.modules.values(), machine_name()).products


def test_every_state_says_what_the_run_computes_with(make_line_trainer, known):
    manifest = stop_at_5(make_line_trainer(kernels="auto"))
    assert json.loads(manifest.read_text())["values"]["kernels"] == {"machine": machine_name(), "products": known}


def test_a_resumed_run_computes_as_before_whatever_is_known_by_now(make_line_trainer, known, caplog):
    stop_at_5(make_line_trainer(kernels="auto"))
    ChoiceFile().path.unlink()
    ChoiceFile().add(machine_name(), dict(zip(HALF, ("onednn", "torch"), strict=True)))
    second = make_line_trainer(kernels="auto")
    with caplog.at_level(logging.WARNING):
        second.run()
    assert used(second) == known
    assert "bits may differ" not in caplog.text


def test_on_another_processor_it_says_so_and_keeps_the_choice(make_line_trainer, known, caplog):
    manifest = stop_at_5(make_line_trainer(kernels="auto"))
    change(manifest, {"machine": "another processor", "products": known})
    second = make_line_trainer(kernels="auto")
    with caplog.at_level(logging.WARNING):
        second.run()
    assert f"was computed on another processor and resumes on {machine_name()}: bits may differ" in caplog.text
    assert used(second) == known


@pytest.mark.parametrize("stored", [None, "plain"])
def test_a_state_without_a_choice_resumes_with_torchs_own_products(make_line_trainer, stored):
    manifest = stop_at_5(make_line_trainer(kernels="plain"))
    assert json.loads(manifest.read_text())["values"]["kernels"] == "plain"
    change(manifest, stored)
    second = make_line_trainer(kernels="auto")
    second.run()
    assert used(second) == dict.fromkeys(HALF, "torch")
    assert "forward" not in vars(second.stage.modules["layer"])


@pytest.mark.parametrize("damaged", ["fast", 3, {"machine": "x"}, {"machine": "x", "products": {"2x1 few": "mkl"}}])
def test_a_damaged_choice_is_refused(make_line_trainer, damaged):
    change(stop_at_5(make_line_trainer()), damaged)
    with pytest.raises(CheckpointError, match="step_00000005: kernels"):
        make_line_trainer().run()


def test_gradients_go_by_torchs_own_products(make_line_trainer):
    plain, auto = make_line_trainer("plain", kernels="plain"), make_line_trainer("auto", kernels="auto")
    plain.run()
    auto.run()
    for one, other in zip(plain.optimizer.parameters, auto.optimizer.parameters, strict=True):
        assert torch.equal(one, other)
    assert isinstance(auto.stage.modules["layer"], nn.Linear)
