"""Groups, rates and schedules."""

import itertools
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from mova.errors import ConfigError, MissingExtraError
from mova.train.config import OptimizerConfig
from mova.train.loop.muon import Muon
from mova.train.loop.optimizer import OptimizerSet, ParameterGroup, lr_factor

SCHEDULES = st.sampled_from(["constant", "cosine", "warmup_stable_decay"])


def config(**changes) -> OptimizerConfig:
    return OptimizerConfig(**({"lr": 1e-2} | changes))


@settings(max_examples=100, deadline=None)
@given(
    step=st.integers(0, 10_000),
    progress=st.floats(0, 1),
    later=st.floats(0, 1),
    warmup=st.integers(0, 500),
    schedule=SCHEDULES,
    share=st.floats(0.01, 1),
)
def test_the_rate_stays_within_bounds_and_never_rises_after_the_warm_up(step, progress, later, warmup, schedule, share):
    chosen = config(warmup_steps=warmup, schedule=schedule, decay_share=share)
    progress, later = sorted((progress, later))
    now = lr_factor(step, progress, chosen)
    assert 0 <= now <= 1
    if step + 1 >= warmup:
        assert lr_factor(step, later, chosen) <= now


@settings(max_examples=50, deadline=None)
@given(warmup=st.integers(1, 500), schedule=SCHEDULES)
def test_the_warm_up_climbs_in_equal_steps_to_the_full_rate(warmup, schedule):
    chosen = config(warmup_steps=warmup, schedule=schedule)
    factors = [lr_factor(step, 0.0, chosen) for step in range(warmup + 2)]
    assert factors[0] == pytest.approx(1 / warmup)
    assert factors[warmup - 1 :] == [1.0, 1.0, 1.0]
    assert all(b - a == pytest.approx(1 / warmup) for a, b in itertools.pairwise(factors[:warmup]))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {0.0: 1.0, 0.5: 1.0, 1.0: 1.0}),
        ("cosine", {0.0: 1.0, 0.5: 0.5, 1.0: 0.0}),
        ("warmup_stable_decay", {0.0: 1.0, 0.75: 1.0, 0.9: 0.4, 1.0: 0.0}),
    ],
)
def test_the_shapes_of_the_schedules(schedule, expected):
    chosen = config(warmup_steps=0, schedule=schedule, decay_share=0.25)
    for progress, factor in expected.items():
        assert lr_factor(1000, progress, chosen) == pytest.approx(factor, abs=1e-12)


def layers() -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    return nn.Linear(3, 3), nn.Linear(3, 3)


def group_of(optimizer: OptimizerSet, parameter: nn.Parameter) -> tuple[torch.optim.Optimizer, dict]:
    """The only optimiser and group that hold a parameter."""
    found = [
        (part, group)
        for part in optimizer.optimizers
        for group in part.param_groups
        if any(member is parameter for member in group["params"])
    ]
    assert len(found) == 1
    return found[0]


def test_a_group_trains_at_its_multiple_of_the_base_rate():
    towers, bridge = layers()
    groups = [
        ParameterGroup("towers", list(towers.parameters())),
        ParameterGroup("bridge", list(bridge.parameters()), lr_scale=2.0),
    ]
    optimizer = OptimizerSet(groups, config(lr=1e-3))
    before = bridge.weight.detach().clone(), towers.weight.detach().clone()
    for layer in (towers, bridge):
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
    optimizer.step(0.5)
    # The first step of AdamW moves every element by its rate.
    torch.testing.assert_close(before[0] - bridge.weight, torch.full((3, 3), 1e-3), rtol=1e-3, atol=0)
    torch.testing.assert_close(before[1] - towers.weight, torch.full((3, 3), 5e-4), rtol=1e-3, atol=0)
    assert towers.weight.grad is None


def test_a_gradient_well_below_eps_hardly_moves_a_weight():
    for eps, moved in ((1e-8, 1e-3), (1e-3, 1e-6)):
        layer = nn.Linear(2, 2, bias=False)
        before = layer.weight.detach().clone()
        optimizer = OptimizerSet([ParameterGroup("all", list(layer.parameters()))], config(lr=1e-3, eps=eps))
        layer.weight.grad = torch.full((2, 2), 1e-6)
        optimizer.step(1.0)
        torch.testing.assert_close(before - layer.weight, torch.full((2, 2), moved), rtol=0.02, atol=1e-7)


def test_matrices_go_to_muon_and_first_layers_and_vectors_to_adamw():
    body, ends = layers()
    groups = [
        ParameterGroup("body", list(body.parameters())),
        ParameterGroup("ends", list(ends.parameters()), matrices=False),
    ]
    optimizer = OptimizerSet(groups, config(name="muon", lr=1e-2, adamw_lr=1e-3, weight_decay=0.1))
    kinds = {
        name: type(group_of(optimizer, parameter)[0]).__name__
        for name, parameter in {"body": body.weight, "bias": body.bias, "end": ends.weight}.items()
    }
    assert kinds == {"body": "Muon", "bias": "AdamW", "end": "AdamW"}
    assert group_of(optimizer, body.weight)[1]["base_lr"] == 1e-2
    assert group_of(optimizer, ends.weight)[1]["base_lr"] == 1e-3


def test_with_adamw_nothing_goes_to_muon_and_biases_do_not_decay():
    layer, _ = layers()
    optimizer = OptimizerSet([ParameterGroup("all", list(layer.parameters()))], config(weight_decay=0.1))
    assert not any(isinstance(part, Muon) for part in optimizer.optimizers)
    assert group_of(optimizer, layer.weight)[1]["weight_decay"] == 0.1
    assert group_of(optimizer, layer.bias)[1]["weight_decay"] == 0.0


def test_gradients_are_clipped_and_their_norm_before_that_is_told():
    layer = nn.Linear(1, 1, bias=False)
    optimizer = OptimizerSet([ParameterGroup("all", list(layer.parameters()))], config(clip_norm=0.5))
    layer.weight.grad = torch.tensor([[3.0]])
    assert float(optimizer.step(1.0)) == pytest.approx(3.0)
    average = optimizer.optimizers[0].state[layer.weight]["exp_avg"]
    assert float(average) == pytest.approx((1 - 0.9) * 0.5, rel=1e-4)


@pytest.mark.parametrize("schedule", ["cosine", "warmup_stable_decay"])
def test_the_rate_falls_to_a_share_of_itself(schedule):
    settings = config(schedule=schedule, warmup_steps=0, final_lr_share=0.1)
    assert lr_factor(0, 0.0, settings) == pytest.approx(1.0)
    assert lr_factor(10, 1.0, settings) == pytest.approx(0.1)
    assert lr_factor(10, 1.0, config(schedule="constant", warmup_steps=0, final_lr_share=0.1)) == 1.0


def test_eight_bit_states_need_their_extra_or_learn(monkeypatch):
    layer, _ = layers()
    groups = [ParameterGroup("all", list(layer.parameters()))]
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(MissingExtraError, match=r"mova\[quantize\]"):
        OptimizerSet(groups, config(name="adamw8bit"))


def test_muon_refuses_sharded_matrices_and_names_what_it_takes():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        sharded = distribute_tensor(torch.zeros(4, 3), init_device_mesh("cpu", (1,)), [Shard(0)])
        with pytest.raises(ConfigError, match=r"got sharded ones; use adamw, or parallel\.replicate alone"):
            OptimizerSet([ParameterGroup("all", [nn.Parameter(sharded)])], config(name="muon"))
    finally:
        distributed.destroy_process_group()
