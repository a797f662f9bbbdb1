"""A process alone, and several that torchrun started."""

import pytest
import torch

import shared_mesh
from mova.distributed.mesh import Parallel, leave_parallel, start_parallel
from mova.errors import ConfigError, MissingExtraError
from processes import run_processes


def test_a_process_alone_needs_no_group():
    alone = start_parallel()
    assert (alone.world_size, alone.data_size, alone.context_size, alone.mesh) == (1, 1, 1, None)
    assert alone.is_main
    alone.barrier()
    value = torch.ones(2)
    assert alone.sum_over_samples(value) is value
    assert alone.broadcast_flag(True, torch.device("cpu")) is True
    assert alone.all_reduce_max(True, -1.5) == (True, -1.5)
    assert alone.broadcast(lambda: value) is value
    leave_parallel()
    assert not torch.distributed.is_initialized()


def test_neighbours_share_a_sample_before_they_share_weights():
    places = [Parallel(replicate=2, shard=2, ring=1, ulysses=2, rank=rank) for rank in range(8)]
    assert [place.data_rank for place in places] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [place.context_rank for place in places] == [0, 1] * 4
    assert (places[0].world_size, places[0].data_size, places[0].context_size) == (8, 4, 2)
    assert [place.is_main for place in places] == [True] + [False] * 7


def test_a_layout_for_more_processes_than_there_are_is_explained():
    text = (
        "as many processes as were started, 1; got replicate 1 x shard 4 x ring 1 x ulysses 1 = 4; "
        "replicate 1 x shard 1 x ring 1 x ulysses 1 would fit"
    )
    with pytest.raises(ConfigError, match=text):
        start_parallel(shard=4)


def test_processes_of_torchrun_find_their_places(tmp_path):
    found = run_processes(shared_mesh.places, 4, tmp_path, launched=True)
    assert [one["rank"] for one in found] == [0, 1, 2, 3]
    assert [one["data_rank"] for one in found] == [0, 0, 1, 1]
    # Neighbours in rank share a sample.
    assert [one["ulysses"] for one in found] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    # A sum over samples counts those that share one once.
    assert [one["sum"] for one in found] == [30.0] * 4
    # The main process decides.
    assert [one["agreed"] for one in found] == [False] * 4
    assert [one["largest"] for one in found] == [[1.0, 3.0, -0.1]] * 4
    # The main process makes, and errs, for all.
    assert [one["told"] for one in found] == [{"made by": 0}] * 4
    assert [one["errors"] for one in found] == [
        [
            "ConfigError: too much",
            f"MissingExtraError: {MissingExtraError('yaml', 'train')}",
            "KeyboardInterrupt: ",
            "StageError: _CannotTravelError: faraway",
        ]
    ] * 4
    # What fits gives up as little as possible of what was asked for.
    assert {one["for 3 ulysses"] for one in found} == {"replicate 1 x shard 4 x ring 1 x ulysses 1 would fit"}
    assert {one["for 3 replicas"] for one in found} == {"replicate 1 x shard 2 x ring 1 x ulysses 2 would fit"}
    assert [one["closed"] for one in found] == [True] * 4


def test_processes_wait_longer_than_an_exchange_may_take(tmp_path):
    waited = run_processes(shared_mesh.wait_for_the_main_one, 2, tmp_path, timeout_s=shared_mesh.LIMIT_S)
    assert waited[1] > shared_mesh.LIMIT_S
