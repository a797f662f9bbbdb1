"""Sections about processes and memory."""

import pytest
from pydantic import ValidationError

from mova.train.config.run import MemoryConfig, ParallelConfig


def test_processes_multiply_and_samples_differ_only_between_data_parallel_ones():
    parallel = ParallelConfig(replicate=2, shard=3, ulysses=4, ring=5)
    assert (parallel.world_size, parallel.data_parallel) == (120, 6)
    assert ParallelConfig().world_size == 1


def test_moving_activations_needs_blocks_that_are_recomputed():
    with pytest.raises(ValidationError, match="offload_activations needs checkpoint_activations: true"):
        MemoryConfig(offload_activations=True)


def test_streaming_blocks_needs_blocks_that_are_recomputed():
    with pytest.raises(ValidationError, match="stream_blocks needs checkpoint_activations: true"):
        MemoryConfig(stream_blocks=True)
    assert MemoryConfig(stream_blocks=True, checkpoint_activations=True).stream_blocks


def test_a_base_is_kept_as_it_is_or_quantized():
    assert MemoryConfig().base_quantization == "none"
    with pytest.raises(ValidationError, match="Input should be 'none', 'float8', 'int8' or 'nf4'"):
        MemoryConfig(base_quantization="int4")
