"""Clips of 2, 3 and 4 real processes, against one, at lengths that do not divide."""

import sys
from pathlib import Path

import pytest
import torch

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.generate.load import load_pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "distributed"))
sys.path.insert(0, str(Path(__file__).parent))
import spread_jobs
from processes import run_processes

# Of the largest value.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread")
    spread_jobs.write_model(folder / "model")
    spread_jobs.write_adapters(folder / "model", folder / "lora.safetensors")
    expected = spread_jobs.expect(folder)
    # What is compared depends on what it is made from.
    assert spread_jobs.distance(expected["adapted"], expected["long"]) > 0.01
    assert expected["two clips"][0].shape[0] == 2
    return folder


@pytest.mark.parametrize("world", [2, 3, 4])
def test_several_processes_make_the_clips_of_one(home, world):
    results = run_processes(spread_jobs.together, world, home / f"together_{world}")
    for rank, found in enumerate(results):
        for name, distance in found.items():
            if name.endswith("decoded") and rank > 0:
                assert distance == -1, name
            else:
                assert 0 <= distance < TOLERANCE, (rank, name)
        assert len(found) == {2: 8, 3: 4, 4: 4}[world]


@pytest.mark.parametrize("world", [2, 4])
def test_processes_that_share_the_weights_make_the_clip_of_one(home, world):
    for rank, found in enumerate(run_processes(spread_jobs.sharded, world, home / f"sharded_{world}")):
        assert 0 <= found["distance"] < TOLERANCE
        assert found["sharded"]
        # Groups of two, in one of which there are two halves of everything, in both cases.
        assert found["held"] == pytest.approx(0.5, abs=0.01)
        assert found["has text encoder"] is (rank == 0)


def test_weights_are_not_shared_with_nobody(checkpoint):
    with pytest.raises(ConfigError, match="shard_weights needs other processes to share the weights with, got one"):
        load_pipeline(checkpoint, parallel=Parallel(), shard_weights=True)


def test_a_number_of_processes_that_are_not_there_is_refused(pipe):
    with pytest.raises(ConfigError, match="as many processes as were started, 1"):
        pipe.enable_parallelism(ring=2)
    pipe.enable_parallelism()
    assert pipe.parallel.is_main
    pipe.disable_parallelism()


def test_given_noise_is_used_by_one_process_as_before(latents_of, pipe):
    before = latents_of()
    pipe.enable_parallelism()
    assert all(torch.equal(a, b) for a, b in zip(before, latents_of(), strict=True))
    pipe.disable_parallelism()
