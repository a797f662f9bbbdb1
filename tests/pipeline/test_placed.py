"""A pipeline names where its weights are, and refuses what another place does not allow."""

import pytest

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline
from mova.pipeline.runtime import Runtime


@pytest.mark.parametrize("memory", ["resident", "phases", "stream", "disk"])
def test_the_placement_is_that_of_the_runtime(checkpoint, memory):
    assert load_pipeline(checkpoint, runtime=Runtime(memory=memory)).placement_name == memory


def test_weights_that_are_offloaded_are_not_shared_among_processes(checkpoint):
    pipeline = load_pipeline(checkpoint, runtime=Runtime(memory="stream"))

    class Two(Parallel):
        world_size = 2

    with pytest.raises(ConfigError, match="memory"):
        pipeline.spread_over(Two())
