"""Clips of 2, 3 and 4 real processes, against one, at lengths that do not divide."""

import pytest
import torch

import spread_jobs
from mova.errors import ConfigError
from processes import run_processes

# Of the largest value.
TOLERANCE = 2e-5


@pytest.mark.parametrize("world", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_make_the_clips_of_one(spread_home, world):
    results = run_processes(spread_jobs.together, world, spread_home / f"together_{world}")
    for rank, found in enumerate(results):
        for name, distance in found.items():
            if name == "resumed":
                assert distance == 0, rank
            elif name.endswith("decoded") and rank > 0:
                assert distance == -1, name
            else:
                assert 0 <= distance < TOLERANCE, (rank, name)
        assert len(found) == {2: 10, 3: 4, 4: 4}[world]


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
