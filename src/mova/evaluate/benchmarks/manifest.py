"""Benchmarks on disk: our manifest, and the JSON of prompts that others publish.

A benchmark of ours is a folder:

| file | what it holds |
| --- | --- |
| `benchmark.json` | `name`, `source`, `licence` |
| `items.jsonl` | a line for each item: `id`, `prompt`, `category`, `image` (a file in the folder, or null), columns |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.benchmarks.benchmark import Benchmark, BenchmarkItem
from mova.evaluate.clips.manifest import iter_lines
from mova.evaluate.clips.prompts import Prompt, read_prompts
from mova.files.inside import leads_out
from mova.files.json_file import Fields, as_fields, parse_json, read_object, shorten
from mova.files.replacing import replacing

HEAD_FILE: Final = "benchmark.json"
ITEMS_FILE: Final = "items.jsonl"
_KEYS: Final = ("id", "prompt", "category", "image")
_IMAGES: Final = (".png", ".jpg", ".jpeg", ".webp")


def read_benchmark(place: Path, images: Path | None = None) -> Benchmark:
    """Return a benchmark.

    Args:
        place: a folder with `benchmark.json`, or a file of prompts in a form of `read_prompts`, as Verse-Bench's and
            those of the MOVA arena are published.
        images: of a file of prompts: folder with first frames, `ID.png` or `CATEGORY/ID.png` (jpg, jpeg, webp). Without
            it clips are made from text alone.

    Raises:
        ConfigError: it cannot be read, or an item is none; with images, a prompt has none.
    """
    if place.is_dir() and (place / HEAD_FILE).is_file():
        if images is not None:
            raise ConfigError(f"images are for a file of prompts; {place} says itself which images it has")
        return _read_folder(place)
    if place.is_file():
        prompts = read_prompts(place)
        items = tuple(
            BenchmarkItem(one.id, one.text, one.category, None if images is None else _image_of(one, images))
            for one in prompts
        )
        return Benchmark(place.stem, items, str(place))
    raise ConfigError(f"a benchmark must be a folder with {HEAD_FILE}, or a file of prompts, got {place}")


def write_benchmark(folder: Path, benchmark: Benchmark) -> None:
    """Write a benchmark of ours; `benchmark.json` comes last.

    Args:
        folder: made where it is missing.
        benchmark: whose images lie in the folder.

    Raises:
        ConfigError: an image lies elsewhere.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / ITEMS_FILE) as partial, partial.open("w", encoding="utf-8") as file:
        for item in benchmark.items:
            file.write(json.dumps(_entry(item, folder), ensure_ascii=False) + "\n")
    head = {"name": benchmark.name, "source": benchmark.source, "licence": benchmark.licence}
    with replacing(folder / HEAD_FILE) as partial:
        partial.write_text(json.dumps(head, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_folder(folder: Path) -> Benchmark:
    head = read_object(folder / HEAD_FILE, error=ConfigError)
    items = []
    for number, line in enumerate(iter_lines(folder / ITEMS_FILE), start=1):
        where = f"{folder / ITEMS_FILE}, line {number}"
        items.append(_item(as_fields(parse_json(line, where, error=ConfigError), where, error=ConfigError), folder))
    return Benchmark(head.text("name"), tuple(items), head.text("source", ""), head.text("licence", ""))


def _item(entry: Fields, folder: Path) -> BenchmarkItem:
    image = None
    if entry.values.get("image") is not None:
        name = entry.text("image")
        image = folder / name
        if not name or "\0" in name or leads_out(image, folder):
            raise ConfigError(f"{entry.where}: image must stay in the folder of the benchmark, got {shorten(name)}")
        if not image.is_file():
            raise ConfigError(f"{entry.where}: image must be a file that exists, got {shorten(name)}")
    columns = {key: value for key, value in entry.values.items() if key not in _KEYS and isinstance(value, str)}
    return BenchmarkItem(entry.text("id"), entry.text("prompt"), entry.text("category", ""), image, columns)


def _entry(item: BenchmarkItem, folder: Path) -> Mapping[str, object]:
    image = None
    if item.image is not None:
        try:
            image = item.image.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise ConfigError(f"images of a benchmark lie in its folder {folder}, got {item.image}") from None
    return {"id": item.id, "prompt": item.prompt, "category": item.category, "image": image, **item.columns}


def _image_of(prompt: Prompt, images: Path) -> Path:
    places = [images / prompt.category / prompt.id, images / prompt.id] if prompt.category else [images / prompt.id]
    for place in places:
        for suffix in _IMAGES:
            path = place.with_name(place.name + suffix)
            if path.is_file() and not leads_out(path, images):
                return path
    told = f"{prompt.category}/{prompt.id}" if prompt.category else prompt.id
    raise ConfigError(
        f"every prompt must have a first frame in {images}, got none for {shorten(told)}; leave --images out to "
        "generate from text alone"
    )
