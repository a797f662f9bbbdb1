"""Benchmarks on disk: ours, and the prompts that others publish."""

import json

import numpy as np
import pytest
from PIL import Image

from mova.errors import ConfigError
from mova.evaluate.benchmarks.benchmark import Benchmark, BenchmarkItem
from mova.evaluate.benchmarks.manifest import read_benchmark, write_benchmark


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    return path


def test_what_is_written_is_read_back(tmp_path):
    items = (
        BenchmarkItem("a", "a dog\nbarks", "x", image(tmp_path / "b" / "images" / "a.png"), {"transcript": "[S01]ö"}),
        BenchmarkItem("b", "from text alone"),
    )
    benchmark = Benchmark("ours", items, "here", "CC0-1.0")
    write_benchmark(tmp_path / "b", benchmark)
    assert read_benchmark(tmp_path / "b") == benchmark
    with pytest.raises(ConfigError, match="images of a benchmark lie in its folder"):
        write_benchmark(tmp_path / "other", benchmark)


def test_prompts_in_the_form_of_verse_bench_find_their_first_frames(tmp_path):
    prompts = tmp_path / "verse.json"
    prompts.write_text(json.dumps({"set1": {"7": {"prompt": "one"}}, "set3": {"7": {"prompt": "two"}}}))
    first, second = image(tmp_path / "images" / "set1" / "7.jpg"), image(tmp_path / "images" / "7.png")
    found = read_benchmark(prompts, tmp_path / "images")
    assert [(item.name, item.image) for item in found.items] == [("set1/7", first), ("set3/7", second)]
    assert [item.image for item in read_benchmark(prompts).items] == [None, None]
    second.unlink()
    with pytest.raises(ConfigError, match="got none for 'set3/7'; leave --images out"):
        read_benchmark(prompts, tmp_path / "images")


@pytest.mark.parametrize("named", ["../out.png", "/etc/hostname", "gone.png", ""])
def test_images_that_leave_the_folder_or_are_not_there_are_refused(tmp_path, named):
    image(tmp_path / "out.png")
    write_benchmark(tmp_path / "b", Benchmark("b", (BenchmarkItem("a", "a dog"),)))
    (tmp_path / "b" / "items.jsonl").write_text(json.dumps({"id": "a", "prompt": "a dog", "image": named}))
    with pytest.raises(ConfigError, match="line 1: image must"):
        read_benchmark(tmp_path / "b")


def test_places_without_a_benchmark_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a folder with benchmark\.json, or a file of prompts"):
        read_benchmark(tmp_path)
    write_benchmark(tmp_path / "b", Benchmark("b", (BenchmarkItem("a", "a dog"),)))
    with pytest.raises(ConfigError, match="images are for a file of prompts"):
        read_benchmark(tmp_path / "b", tmp_path)
