"""Benchmarks as data."""

from itertools import pairwise

import pytest

from mova.errors import ConfigError
from mova.evaluate.benchmarks.benchmark import Benchmark, BenchmarkItem


@pytest.mark.parametrize(
    ("name", "category"), [("a/b", ""), ("..", ""), ("a", "../x"), ("a", "/x"), ("a:b", ""), (".a", ""), ("", "")]
)
def test_names_that_no_file_can_have_are_refused(name, category):
    with pytest.raises(ConfigError, match=r"plain names of files|printable characters"):
        BenchmarkItem(name, "a dog", category)


def test_an_empty_prompt_and_names_that_come_twice_are_refused():
    with pytest.raises(ConfigError, match="a prompt must hold text, got '  ' of 'a'"):
        BenchmarkItem("a", "  ")
    with pytest.raises(ConfigError, match="a name of its own, got 'x/a' twice"):
        Benchmark("b", (BenchmarkItem("a", "one", "x"), BenchmarkItem("A", "two", "x")))
    with pytest.raises(ConfigError, match="1 to 1,000,000 items, got 0"):
        Benchmark("b", ())


def test_a_part_takes_the_categories_in_turn_and_a_larger_part_holds_a_smaller_one(tmp_path):
    items = tuple(BenchmarkItem(str(index), "p", "x" if index < 4 else "y") for index in range(6))
    whole = Benchmark("b", items)
    names = [[item.name for item in whole.limited(limit).items] for limit in (1, 3, 5, None)]
    assert names[1] == ["x/0", "x/1", "y/4"]
    assert all(set(small) < set(large) for small, large in pairwise(names))
    assert len(names[-1]) == 6
    with pytest.raises(ConfigError, match="limit must be 1 or more, got 0"):
        whole.limited(0)


def test_its_clips_are_measured_whether_or_not_they_are_there(tmp_path):
    item = BenchmarkItem("a", "a dog", "x", columns={"transcript": "[S01]hello"})
    assert item.as_clip(tmp_path).path is None
    item.clip(tmp_path).parent.mkdir()
    item.clip(tmp_path).write_bytes(b"clip")
    clip = item.as_clip(tmp_path)
    assert (clip.id, clip.path, clip.category, clip.columns) == (
        "x/a",
        tmp_path / "x" / "a.mp4",
        "x",
        {"transcript": "[S01]hello"},
    )
