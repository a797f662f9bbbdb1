"""Weights of which every process has its rows from the first value on."""

import pytest
import torch

import shared_rows
from mova.distributed.mesh import Parallel
from mova.distributed.sharded_init import ShardedInit, placeholder_weights
from mova.models.presets import tiny
from mova.names import COMPONENTS
from mova.train.build.components import build_components
from mova.weights.components import build_empty, write_component
from processes import run_processes

CPU = torch.device("cpu")
MB = 10**6


@pytest.mark.parametrize("world", [2, 3, 4])
def test_rows_are_dealt_out_as_chunks(world):
    for length in range(12):
        rows = torch.arange(length)
        dealt = [rows[ShardedInit(Parallel(shard=world, rank=rank), CPU).slice_of(length)] for rank in range(world)]
        chunks = torch.chunk(rows, world)
        assert [part.tolist() for part in dealt[: len(chunks)]] == [part.tolist() for part in chunks]
        assert not any(len(part) for part in dealt[len(chunks) :])


def test_copies_of_the_weights_are_dealt_out_alike():
    slices = [ShardedInit(Parallel(replicate=2, shard=2, rank=rank), CPU).slice_of(5) for rank in range(4)]
    assert slices == [slice(0, 3), slice(3, 5)] * 2


def test_a_process_alone_owns_everything():
    assert ShardedInit.of(Parallel(), CPU) is None


def test_what_stands_in_for_weights_takes_no_memory_and_goes_again():
    component = build_empty("WanAudioModel", tiny()["audio_dit"])
    before = list(component.named_parameters())
    with placeholder_weights(component):
        for _, parameter in component.named_parameters():
            assert parameter.device.type == "cpu"
            assert parameter.untyped_storage().nbytes() == parameter.element_size()
        component.extra = torch.nn.Linear(2, 2)
    for name, parameter in before:
        assert component.get_parameter(name) is parameter
    assert component.extra.weight.device.type == "cpu"


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """What each of 4 processes found, and the bytes of the whole."""
    folder = tmp_path_factory.mktemp("rows")
    torch.manual_seed(5)
    components = build_components(shared_rows.NEW, COMPONENTS, folder)
    draw = float(torch.rand(()))
    for name, component in components.items():
        write_component(component, folder / name)
    whole = {f"{name}/{key}": v for name, part in components.items() for key, v in part.state_dict().items()}
    torch.save(whole, folder / "whole.pt")
    size = sum(value.numel() * value.element_size() for value in whole.values())
    return run_processes(shared_rows.spread, 4, folder / "four"), size, draw


@pytest.mark.parametrize("name", ["new", "stored", "hybrid"])
def test_the_values_are_those_of_one_process(spread, name):
    found, _, draw = spread
    assert [one[name]["wrong"] for one in found] == [[]] * 4
    assert all(one[name]["training"] for one in found)
    if name != "stored":
        # What is drawn next is what one process would draw next.
        assert [one[name]["draw"] for one in found] == [draw] * 4


@pytest.mark.parametrize(("name", "shards"), [("new", 4), ("stored", 4), ("hybrid", 2)])
def test_no_process_needs_much_more_memory_than_its_rows(spread, name, shards):
    found, size, _ = spread
    assert size > 150 * MB
    for one in found:
        assert one[name]["own"] == pytest.approx(size / shards, rel=0.02)
        assert one[name]["peak"] < 1.1 * one[name]["own"] + 30 * MB
