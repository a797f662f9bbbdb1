"""One joint forward with blocks that are streamed from host memory or from files, against resident weights.

    .venv/bin/python benchmarks/bench_streaming.py --sizes full
    .venv/bin/python benchmarks/bench_streaming.py --sizes full --layers 8 --placements resident disk
    .venv/bin/python benchmarks/bench_streaming.py --reading 2

Random weights are made on the device, so nothing is loaded. MOVA-360p with one expert has 33 GB in bfloat16: `stream`
copies them to pinned memory of the host, `disk` writes what it reads (7 GB with `--layers 8`, whose blocks are as large
as those of 40). The text K/V cache is filled first, as in every step after the first.

`--reading GB` measures what `disk` reads with instead, in turns: one thread that copies from mapped pages, and several
that ask the file; from the system's cache, and from the disk (pages dropped with posix_fadvise).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mova.bench.random_weights import fill_randomly
from mova.geometry import ClipGeometry
from mova.kernels.text_cache import TextCache
from mova.models.dual_tower import DualTower
from mova.models.presets import mova_360p, tiny
from mova.names import AUDIO_TOWER, BRIDGE, PUBLISHED_COMPONENTS
from mova.offload.mapped_pages import MappedFiles
from mova.offload.readers import WeightReaders, num_readers
from mova.offload.streaming import BlockStreamer
from mova.pipeline.loop.side_stream import beside_video
from mova.plan.free import free_host_bytes
from mova.plan.published import find_dims
from mova.types import Velocities
from mova.weights.components import build_empty

GB = 1e9
PLACEMENTS = ("resident", "stream", "disk")
# Components and clip of each size.
SIZES: dict[str, tuple[str, tuple[int, int, int]]] = {
    "tiny": ("mova-tiny", (64, 64, 5)),
    "full": ("mova-360p", (352, 640, 193)),
}


@dataclass(frozen=True)
class Row:
    """What one placement took.

    Attributes:
        placement: one of `PLACEMENTS`.
        layers: blocks of the video tower.
        forward_s: median seconds of a forward, of `forwards_s`.
        ratio: to the resident forward of the same call.
        peak_gb: most GPU memory that tensors had in a forward, in 10^9 bytes; 0 on a CPU.
        host_gb: host memory of the backing store, in 10^9 bytes.
        prepare_s: seconds to put the weights into the backing store.
        same: whether the velocities have the bits of resident weights.
    """

    placement: str
    layers: int
    forward_s: float
    forwards_s: tuple[float, ...]
    ratio: float
    peak_gb: float
    host_gb: float
    prepare_s: float
    same: bool


def random_model(sizes: str, device: torch.device, *, num_layers: int | None = None) -> DualTower:
    """Return a joint model with random frozen weights on a device, bfloat16 on a GPU and float32 on a CPU.

    Args:
        sizes: one of `SIZES`.
        device: that makes and holds the weights.
        num_layers: blocks of each tower, all of them by default; each has its full width.
    """
    configs = tiny() if sizes == "tiny" else mova_360p()
    if num_layers is not None:
        for name in ("video_dit", AUDIO_TOWER):
            configs[name] |= {"num_layers": min(num_layers, configs[name]["num_layers"])}
        depths = {
            "visual_layers": configs["video_dit"]["num_layers"],
            "audio_layers": configs[AUDIO_TOWER]["num_layers"],
        }
        configs[BRIDGE] |= depths
    generator = torch.Generator(device).manual_seed(0)
    parts: list[Any] = []
    for name in ("video_dit", AUDIO_TOWER, BRIDGE):
        component = build_empty(PUBLISHED_COMPONENTS[name][1], configs[name])
        fill_randomly(component, torch.bfloat16 if device.type == "cuda" else torch.float32, generator)
        parts.append(component.eval().requires_grad_(False))
    return DualTower(*parts).eval()


def time_forwards(
    sizes: str,
    device: torch.device,
    *,
    placements: Sequence[str] = PLACEMENTS,
    num_layers: int | None = None,
    folder: Path | None = None,
    rounds: int = 3,
    model: DualTower | None = None,
) -> Iterator[Row]:
    """Measure a forward with each placement; yields each row as soon as it is known.

    Args:
        sizes: one of `SIZES`.
        device: that computes.
        placements: some of `PLACEMENTS`, resident first: the others are compared with it.
        num_layers: see `random_model`.
        folder: where `disk` writes its files; a temporary folder by default.
        rounds: forwards that count, after one that does not.
        model: of these sizes, on the device already; its weights stay in the host's memory or in files afterwards.

    Raises:
        RuntimeError: the host has too little memory for "stream", or the folder too little room for "disk".
    """
    model = (model or random_model(sizes, device, num_layers=num_layers)).requires_grad_(False)
    inputs, text = _inputs(sizes, model, device)
    base: tuple[float, Velocities] | None = None
    for placement in placements:
        since = time.perf_counter()
        with _placed(model, placement, device, folder) as streamer:
            prepared = time.perf_counter() - since
            seconds, peak, found = _forwards(model, inputs, text, device, rounds)
            forward_s = statistics.median(seconds)
            base = base or (forward_s, found)
            yield Row(
                placement=placement,
                layers=len(model.video_tower.blocks),
                forward_s=forward_s,
                forwards_s=tuple(seconds),
                ratio=forward_s / base[0],
                peak_gb=peak / GB,
                host_gb=streamer.host_bytes() / GB if streamer else 0.0,
                prepare_s=prepared,
                same=torch.equal(found.video, base[1].video) and torch.equal(found.audio, base[1].audio),
            )


def _inputs(sizes: str, model: DualTower, device: torch.device) -> tuple[tuple[torch.Tensor, ...], TextCache]:
    name, (height, width, num_frames) = SIZES[sizes]
    dims = find_dims(name)
    geometry = ClipGeometry(height, width, num_frames, 24.0, dims.codec)
    generator = torch.Generator().manual_seed(1)
    # Noisy latents, mask and condition; then audio, noise levels of both, and a text.
    shapes = ((1, dims.video.in_dim, *geometry.video_latent_shape[1:]), (1, *geometry.audio_latent_shape))
    latents = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    levels = [torch.full((1,), 700.0, device=device) for _ in range(2)]
    dtype = next(model.video_tower.blocks.parameters()).dtype
    text = torch.randn(1, dims.num_prompt_tokens, dims.video.text_dim, generator=generator).to(device, dtype)
    return (*latents, *levels), TextCache(text)


def _forwards(
    model: DualTower, inputs: tuple[torch.Tensor, ...], text: TextCache, device: torch.device, rounds: int
) -> tuple[list[float], int, Velocities]:
    """Return the seconds of each forward, the peak of GPU memory and the velocities."""
    seconds: list[float] = []
    is_gpu = device.type == "cuda"
    if is_gpu:
        # What former placements left.
        gc.collect()
        torch.cuda.empty_cache()
    with (
        torch.no_grad(),
        beside_video([model], device),
        text.applied(model.video_tower, model.audio_tower) as embeds,
    ):
        for number in range(rounds + 1):
            if is_gpu:
                torch.cuda.synchronize(device)
                if number == 1:
                    torch.cuda.reset_peak_memory_stats(device)
            since = time.perf_counter()
            velocities = model(*inputs, embeds, frame_rate=24.0)
            if is_gpu:
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - since)
    peak = torch.cuda.max_memory_allocated(device) if is_gpu else 0
    return seconds[1:], peak, velocities


@contextmanager
def _placed(
    model: DualTower, placement: str, device: torch.device, folder: Path | None
) -> Iterator[BlockStreamer | None]:
    """Let the blocks of a model be where a placement has them."""
    if placement == "resident":
        yield None
        return
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        parts = [model.video_tower, model.audio_tower, model.bridge]
        needed = sum(tensor.numel() * tensor.element_size() for part in parts for tensor in _in_blocks(part).values())
        if placement == "stream":
            _check_room("host memory", needed, free_host_bytes())
        else:
            _check_room(f"room in {temporary}", needed, shutil.disk_usage(temporary).free)
            for number, part in enumerate(parts):
                _to_files(part, Path(temporary) / f"{number}.safetensors")
        streamer = BlockStreamer(parts, device, store="host" if placement == "stream" else "files")
        try:
            yield streamer
        finally:
            streamer.remove()


def _in_blocks(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in part.named_parameters() if "blocks." in name or "conditioners." in name}


def _check_room(what: str, needed: int, free: int) -> None:
    if needed > 0.9 * free:
        raise RuntimeError(f"{needed / GB:.0f} GB of {what} are needed, {free / GB:.0f} GB are free; take fewer layers")


def _to_files(part: torch.nn.Module, file: Path) -> None:
    """Write the blocks of a component and map them from the file."""
    inside = _in_blocks(part)
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in inside.items()}, file)
    with safe_open(file, "pt") as mapped:
        for name, tensor in inside.items():
            tensor.data = mapped.get_tensor(name)


def time_reading(gigabytes: float, folder: Path | None = None, rounds: int = 5) -> Iterator[dict[str, Any]]:
    """Measure how fast blocks of a file come into memory; yields a row for the system's cache and one for the disk.

    Args:
        gigabytes: size of the file, in 10^9 bytes.
        folder: where it is written; a temporary folder by default.
        rounds: of each way, in turns.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        file, blocks = Path(temporary) / "blocks.safetensors", max(1, round(gigabytes * GB / 1e8))
        save_file(
            {f"{block}": torch.randint(0, 256, (100_000_000,), dtype=torch.uint8) for block in range(blocks)}, file
        )
        with safe_open(file, "pt") as opened:
            tensors = [opened.get_tensor(key) for key in opened.keys()]  # noqa: SIM118 - no mapping
        buffer, mapped, readers = torch.empty(100_000_000, dtype=torch.uint8), MappedFiles(), WeightReaders()

        def copied() -> None:
            for tensor in tensors:
                buffer.copy_(tensor)
                mapped.forget([tensor])

        def asked() -> None:
            for tensor in tensors:
                readers.fill([(buffer, tensor, mapped.find(tensor))])

        for state in ("cached", "dropped"):
            seconds: dict[str, list[float]] = {"one": [], "several": []}
            for _ in range(rounds):
                for name, way in (("one", copied), ("several", asked)):
                    if state == "dropped":
                        mapped.forget(tensors)
                        with file.open("rb") as opened_file:
                            os.fsync(opened_file.fileno())
                            os.posix_fadvise(opened_file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    since = time.perf_counter()
                    way()
                    seconds[name].append(time.perf_counter() - since)
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            yield {
                "pages": state,
                "threads": num_readers(),
                **{f"{name}_gb_per_s": blocks / 10 / value for name, value in medians.items()},
                "ratio": statistics.median(
                    several / one for one, several in zip(seconds["one"], seconds["several"], strict=True)
                ),
            }
        readers.close()


def main() -> None:
    """Measure and print a row per placement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=SIZES, default="tiny")
    parser.add_argument("--placements", nargs="+", default=PLACEMENTS, choices=PLACEMENTS)
    parser.add_argument("--layers", type=int, help="blocks of each tower; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where disk writes its files")
    parser.add_argument("--reading", type=float, metavar="GB", help="measure the reading of files alone")
    chosen = parser.parse_args()
    if chosen.reading:
        for found in time_reading(chosen.reading, chosen.folder, chosen.rounds):
            sys.stdout.write(json.dumps(found) + "\n")
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = time_forwards(
        chosen.sizes,
        device,
        placements=chosen.placements,
        num_layers=chosen.layers,
        folder=chosen.folder,
        rounds=chosen.rounds,
    )
    for row in rows:
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
