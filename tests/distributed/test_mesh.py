"""A process alone; several are tested with what they share."""

import pytest
import torch

from mova.distributed.mesh import Parallel, leave_parallel, start_parallel
from mova.errors import ConfigError


def test_a_process_alone_needs_no_group():
    alone = start_parallel()
    assert (alone.world_size, alone.data_size, alone.context_size, alone.mesh) == (1, 1, 1, None)
    assert alone.is_main
    alone.barrier()
    value = torch.ones(2)
    assert alone.sum_over_samples(value) is value
    assert alone.agree(True, torch.device("cpu")) is True
    leave_parallel()
    assert not torch.distributed.is_initialized()


def test_neighbours_share_a_sample_before_they_share_weights():
    places = [Parallel(replicate=2, shard=2, ring=1, ulysses=2, rank=rank) for rank in range(8)]
    assert [place.data_rank for place in places] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [place.context_rank for place in places] == [0, 1] * 4
    assert (places[0].world_size, places[0].data_size, places[0].context_size) == (8, 4, 2)
    assert [place.is_main for place in places] == [True] + [False] * 7


def test_a_layout_for_more_processes_than_there_are_is_explained():
    text = "as many processes as were started, 1; got replicate 1 x shard 4 x ring 1 x ulysses 1 = 4; shard 1 would fit"
    with pytest.raises(ConfigError, match=text):
        start_parallel(shard=4)
