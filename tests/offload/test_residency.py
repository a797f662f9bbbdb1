"""One of several models on the device."""

import pytest
import torch
from torch import nn

from mova.offload.residency import OffloadedWeights, OneAtATime

CPU = torch.device("cpu")


def make(trained=False):
    layer = nn.Linear(4, 4, bias=False).requires_grad_(False)
    if trained:
        layer.register_parameter("adapter", nn.Parameter(torch.ones(3)))
    return layer


def test_weights_stay_as_they_are_however_often_they_move():
    modules = {"one": make(trained=True), "two": make()}
    before = {name: module.weight.clone() for name, module in modules.items()}
    residency = OneAtATime(modules, CPU)
    assert residency.present is None
    for name in ("one", "two", "two", "one"):
        residency.use(name)
        assert residency.present == name
        assert torch.equal(modules[name].weight, before[name])
    with pytest.raises(KeyError):
        residency.use("three")


def test_weights_are_onloaded_in_the_dtype_of_computing_and_the_original_stays():
    layer = nn.Linear(4, 4).requires_grad_(False).to(torch.bfloat16)
    original = layer.weight.data
    values = original.clone()
    weights = OffloadedWeights(layer.parameters(), CPU, lambda _: torch.float32)
    assert weights.device_bytes == 4 * 20
    for _ in range(2):
        assert not weights.is_onloaded
        weights.onload()
        weights.onload()
        assert weights.is_onloaded
        assert layer.weight.dtype is torch.float32
        assert torch.equal(layer.weight.bfloat16(), values)
        assert layer(torch.ones(1, 4)).dtype is torch.float32
        layer.weight.data.zero_()
        weights.offload()
        assert layer.weight.data.data_ptr() == original.data_ptr()
        assert torch.equal(layer.weight, values)


def test_weights_that_were_fetched_ahead_are_onloaded_without_another_copy(monkeypatch):
    layer = nn.Linear(4, 4).requires_grad_(False).to(torch.bfloat16)
    values = layer.weight.data.clone()
    weights = OffloadedWeights(layer.parameters(), CPU, lambda _: torch.float32)
    for _ in range(2):
        weights.fetch_ahead(None)
        weights.fetch_ahead(None)
        assert weights.is_fetched_ahead
        assert not weights.is_onloaded
        assert layer.weight.dtype is torch.bfloat16, "until it is wanted the module keeps what is stored"
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "to", lambda *_: pytest.fail("what is there is not copied again"))
            weights.onload()
        assert (weights.is_onloaded, weights.is_fetched_ahead) == (True, False)
        assert torch.equal(layer.weight, values.float())
        weights.offload()
    weights.fetch_ahead(None)
    weights.offload()
    assert not weights.is_fetched_ahead
    weights.fetch_ahead(None)
    weights.make_writable([id(layer.weight)])
    weights.onload()
    assert torch.equal(layer.weight, values.float())


def test_where_the_device_has_no_room_nothing_is_fetched_ahead(monkeypatch):
    layer = nn.Linear(4, 4).requires_grad_(False).to(torch.bfloat16)
    weights = OffloadedWeights(layer.parameters(), CPU, lambda _: torch.float32)

    def full(*_, **__):
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty_like", full)
        weights.fetch_ahead(None)
    assert not weights.is_fetched_ahead
    weights.onload()
    assert layer.weight.dtype is torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_only_the_one_in_use_takes_room_and_what_is_trained_stays():
    device = torch.device("cuda")
    modules = {"one": make(trained=True).to(device), "two": make().to(device)}
    residency = OneAtATime(modules, device)
    assert residency.resident_bytes() == 0
    for name in ("one", "two", "one"):
        residency.use(name)
        assert residency.resident_bytes() == 64
        assert modules[name].weight.is_cuda
        assert modules["one"].adapter.is_cuda
