"""A run's tensors by name, and back."""

import pytest
import torch
from torch import nn

from mova.distributed.mesh import ALONE
from mova.errors import CheckpointError
from mova.train.config import OptimizerConfig
from mova.train.loop.checkpoint import newest_state, save_state
from mova.train.loop.optimizer import OptimizerSet, ParameterGroup
from mova.train.loop.state import TrainingState


class Run:
    """Two layers, an optimiser and an average."""

    def __init__(self, seed=0, name="adamw", order=(0, 1), average=True):
        torch.manual_seed(seed)
        self.layers = {"one": nn.Linear(3, 4), "two": nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2))}
        groups = [ParameterGroup(key, list(self.layers[key].parameters())) for key in ("one", "two")]
        self.optimizer = OptimizerSet([groups[i] for i in order], OptimizerConfig(name=name, lr=0.1))
        self.averaged = self.optimizer.parameters if average else []
        self.average = [p.detach().clone() + 1 for p in self.averaged]
        self.state = TrainingState(self.layers, self.optimizer.optimizers, self.average, self.averaged, ALONE)

    def step(self):
        self.layers["two"](self.layers["one"](torch.rand(5, 3))).square().sum().backward()
        self.optimizer.step(1.0)

    def weights(self):
        return [p for layer in self.layers.values() for p in layer.parameters()]


def save(run, folder):
    tensors, values = run.state.collect()
    save_state(folder, 1, tensors, values, keep=1)
    return newest_state(folder)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_restored_run_goes_on_with_the_same_bits(tmp_path, name):
    first = Run(name=name)
    for _ in range(3):
        first.step()
    stored = save(first, tmp_path)
    second = Run(seed=5, name=name)
    second.state.restore(stored)
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))
    for run in (first, second):
        torch.manual_seed(9)
        for _ in range(3):
            run.step()
    assert all(torch.equal(a, b) for a, b in zip(first.weights(), second.weights(), strict=True))


def test_the_order_of_the_groups_does_not_matter(tmp_path):
    first = Run()
    first.step()
    second = Run(seed=5, order=(1, 0))
    second.state.restore(save(first, tmp_path))
    for run in (first, second):
        torch.manual_seed(9)
        run.step()
    for one, other in zip(first.weights(), second.weights(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_an_average_begins_with_the_weights_where_there_was_none(tmp_path):
    first = Run(average=False)
    second = Run(seed=5)
    second.state.restore(save(first, tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(second.average, first.optimizer.parameters, strict=True))


def test_another_model_is_refused(tmp_path):
    stored = save(Run(), tmp_path)
    other = Run()
    other.state.modules = {"one": other.layers["one"]}
    with pytest.raises(CheckpointError, match="tensors of another model: first"):
        other.state.restore(stored)


def test_global_generators_go_on_where_they_were(tmp_path):
    def draw():
        return torch.rand(3).tolist()

    run = Run()
    draw()
    stored = save(run, tmp_path)
    expected = draw()
    draw()
    run.state.restore(stored)
    assert draw() == expected


@pytest.mark.parametrize("number", ["text", float("inf"), [1], None])
def test_what_an_optimiser_holds_beside_tensors_must_be_numbers(tmp_path, number):
    first = Run()
    first.step()
    tensors, values = first.state.collect()
    save_state(tmp_path, 1, tensors, values | {"optimizer": {"optimizer/0/one/weight/step": number}}, keep=1)
    with pytest.raises(CheckpointError, match="optimizer/0/one/weight/step must be a finite number"):
        Run().state.restore(newest_state(tmp_path))


def test_a_state_with_generators_of_python_and_numpy_is_read_too(tmp_path):
    """States of 0.1 have them, as rows of integers."""
    first = Run()
    first.step()
    tensors, values = first.state.collect()
    former = {f"random/0/{name}": torch.arange(627, dtype=torch.int64) for name in ("python", "numpy")}
    save_state(tmp_path, 1, tensors | former, values, keep=1)
    second = Run(seed=5)
    second.state.restore(newest_state(tmp_path))
    for run in (first, second):
        torch.manual_seed(9)
        run.step()
    assert all(torch.equal(a, b) for a, b in zip(first.weights(), second.weights(), strict=True))


def test_generators_take_only_states_of_generators(tmp_path):
    first = Run()
    first.step()
    tensors, values = first.state.collect()
    tensors["random/0/torch"][:] = 255
    save_state(tmp_path, 1, tensors, values, keep=1)
    with pytest.raises(CheckpointError, match="holds states of generators that are none"):
        Run().state.restore(newest_state(tmp_path))
