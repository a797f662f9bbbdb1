"""The toy world as a benchmark."""

import pytest

from mova.errors import ConfigError
from mova.evaluate.benchmarks.manifest import read_benchmark
from mova.evaluate.benchmarks.toyworld import write_toyworld
from mova.toyworld.scenes.registry import DEFAULT_KINDS


def test_it_has_every_kind_with_first_frames_and_is_written_once(tmp_path):
    made = write_toyworld(tmp_path, len(DEFAULT_KINDS))
    assert [item.category for item in made.items] == list(DEFAULT_KINDS)
    assert all(item.image.is_file() and item.prompt for item in made.items)
    assert read_benchmark(tmp_path) == made
    before = made.items[0].image.stat().st_mtime_ns
    assert write_toyworld(tmp_path, len(DEFAULT_KINDS)) == made
    assert made.items[0].image.stat().st_mtime_ns == before
    assert write_toyworld(tmp_path, 1, seed=1).items[0].prompt != made.items[0].prompt


def test_counts_out_of_range_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="clips must be 1 to 10000, got 0"):
        write_toyworld(tmp_path, 0)
