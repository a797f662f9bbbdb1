"""Weights that 2 and 4 real processes share while they generate."""

import pytest

import spread_jobs
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline
from processes import run_processes

TOLERANCE = 2e-5


@pytest.mark.parametrize("world", [2, 4])
def test_processes_that_share_the_weights_make_the_clip_of_one(spread_home, world):
    for rank, found in enumerate(run_processes(spread_jobs.sharded, world, spread_home / f"sharded_{world}")):
        assert 0 <= found["distance"] < TOLERANCE
        assert found["sharded"]
        # Groups of two, in one of which there are two halves of everything, in both cases.
        assert found["held"] == pytest.approx(0.5, abs=0.01)
        assert found["has text encoder"] is (rank == 0)


def test_weights_are_not_shared_with_nobody(checkpoint):
    with pytest.raises(ConfigError, match="shard_weights needs other processes to share the weights with, got one"):
        load_pipeline(checkpoint, parallel=Parallel(), shard_weights=True)
