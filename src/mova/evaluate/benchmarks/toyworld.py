"""The toy world as a benchmark: captions and first frames that no training has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image

from mova.evaluate.benchmarks.benchmark import Benchmark, BenchmarkItem
from mova.evaluate.benchmarks.manifest import HEAD_FILE, read_benchmark, write_benchmark
from mova.evaluate.subject import MAX_CLIPS, Shape, check_benchmark
from mova.toyworld.render import first_frame, render
from mova.toyworld.sample import sample_scene, split_seed
from mova.toyworld.scenes.registry import DEFAULT_KINDS

NAME: Final = "toyworld"
DEFAULT_COUNT: Final = 18


def write_toyworld(folder: Path, count: int = DEFAULT_COUNT, seed: int = 0) -> Benchmark:
    """Write the toy world as a benchmark, or return the one that is there.

    Args:
        folder: made where it is missing.
        count: number of items, the kinds of scene in turn; each kind is a category.
        seed: of the scenes, 0 or more.

    Raises:
        ConfigError: count or seed is out of range.
        OSError: the folder cannot be written.
    """
    check_benchmark(count, seed, DEFAULT_KINDS)
    name = f"{NAME}, {count} items, seed {seed}"
    if (folder / HEAD_FILE).is_file():
        known = read_benchmark(folder)
        if known.name == name:
            return known
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for index in range(count):
        kind = DEFAULT_KINDS[index % len(DEFAULT_KINDS)]
        scene = sample_scene(split_seed("heldout", seed * MAX_CLIPS + index), kind=kind)
        rendered = render(scene, **vars(Shape()))
        image = folder / f"{index:04d}.png"
        Image.fromarray(first_frame(rendered.clip)).save(image)
        items.append(BenchmarkItem(f"{index:04d}", rendered.caption, kind, image))
    benchmark = Benchmark(name, tuple(items), "mova.toyworld", "that of mova")
    write_benchmark(folder, benchmark)
    return benchmark
