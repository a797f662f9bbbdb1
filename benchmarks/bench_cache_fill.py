"""Filling a latent cache: how long the encoder waits for clips, and what the pipeline costs next to its parts.

    .venv/bin/python benchmarks/bench_cache_fill.py > benchmarks/results/cache_fill_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_cache_fill.py --device cuda --sizes full --clips 4 --json fill.json

Writes media files (H.264 and AAC, 1280x720) to a temporary folder and fills a cache from them three ways in one
process: the parts apart (decode everything, then encode everything), one after the other as before there was a pipeline
(read some, encode them, write each), and as `mova train` does. `--sizes tiny` takes the encoders of mova-tiny at
128x128, `small` and `full` the published configuration of both autoencoders with random weights, at 128x96 and 640x352.
At last it times reading: a clip scaled to 640x352 against one bare pass of swscale over the same frames.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from mova.bench.random_weights import fill_randomly
from mova.cores import num_cores
from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan
from mova.data.cache_writer import CacheWriter
from mova.data.config import MediaDataConfig
from mova.data.encode import ClipEncoder, Encoding, sample_rate_of
from mova.data.fill import FIELDS, CacheFiles, fill_clips
from mova.data.sources.files import MediaSource
from mova.kernels.calibration import processor_name
from mova.media import media_file
from mova.media.read import read_frames
from mova.models.presets import mova_360p
from mova.names import AUTOENCODERS, TEXT_ENCODER, published_class
from mova.weights.components import build_empty, write_component
from mova.weights.locate import find_model

# WIDTHxHEIGHT and frames of a clip.
SIZES = {"tiny": ("128x128", 49), "small": ("128x96", 17), "full": ("640x352", 193)}
HELD_OUT = 2
FRAME_RATE, SAMPLE_RATE = 24, 48_000


def write_films(folder: Path, count: int, num_frames: int) -> None:
    """Write one film and copies of it that differ in their title, which makes other clips of them."""
    first = folder / "0.mp4"
    y, x = np.mgrid[:720, :1280]
    grain = np.random.default_rng(0).integers(0, 24, (720, 1280, 1), np.uint8)
    with av.open(str(first), "w") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE, options={"preset": "veryfast", "crf": "20"})
        video.height, video.width, video.pix_fmt = 720, 1280, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for index in range(num_frames):
            waves = [
                128 + 90 * np.sin((x * a + y * b) / 40 + index / c) for a, b, c in ((1, 2, 3), (2, 1, 5), (1, 1, 7))
            ]
            pixels = np.stack(waves, -1).clip(0, 230).astype(np.uint8) + np.roll(grain, index, 1)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for begin in range(0, num_frames * SAMPLE_RATE // FRAME_RATE, 1024):
            tone = np.sin(np.arange(begin, begin + 1024) / 20)[None].astype(np.float32) / 2
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, begin, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    for number in range(1, count):
        with av.open(str(first)) as given, av.open(str(folder / f"{number}.mp4"), "w") as container:
            container.metadata["title"] = f"film {number}"
            streams = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
            for packet in given.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    container.mux(packet)
    listed = [{"video_path": f"{number}.mp4", "caption": f"film {number}"} for number in range(count)]
    (folder / "metadata.json").write_text(json.dumps(listed))


def write_encoders(folder: Path) -> Path:
    """Write both autoencoders of the published configuration with random weights, and the text encoder of mova-tiny."""
    for name in AUTOENCODERS:
        component = build_empty(published_class(name), mova_360p()[name])
        fill_randomly(component, torch.float32, torch.Generator().manual_seed(0))
        write_component(component, folder / name)
    for name in (TEXT_ENCODER, "tokenizer"):
        shutil.copytree(find_model("mova-tiny") / name, folder / name)
    return folder


class Measured:
    """Wall and processor seconds of a block, those of processes that ended in it included."""

    def __enter__(self) -> Measured:
        self._begun = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s, self.processor_s = (now - then for now, then in zip(self._now(), self._begun, strict=True))

    @staticmethod
    def _now() -> tuple[float, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def parts_of(plan: CachePlan, at_once: int) -> list[tuple[list[int], list[str]]]:
    """Return the indices that are encoded together, and what the entries are."""
    indices = list(range(len(plan.clip_keys)))
    parts = [indices[start : start + at_once] for start in range(0, len(indices), at_once)]
    return [(part, [plan.source.entries[index].content for index in part]) for part in parts]


def fill_apart(plan: CachePlan, encoder: ClipEncoder, at_once: int) -> tuple[Measured, Measured]:
    """Decode every clip, then encode every clip; a part at a time, since all of them take more memory than there is."""
    decoding, encoding = Measured(), Measured()
    sums = [[0.0, 0.0], [0.0, 0.0]]
    for part, contents in parts_of(plan, at_once):
        with decoding:
            clips = [plan.source.load(index) for index in part]
        with encoding:
            encoder.encode(clips, contents, at_once)
        for total, one in zip(sums, (decoding, encoding), strict=True):
            total[0] += one.wall_s
            total[1] += one.processor_s
    for total, one in zip(sums, (decoding, encoding), strict=True):
        one.wall_s, one.processor_s = total
    return decoding, encoding


def fill_in_turns(plan: CachePlan, encoder: ClipEncoder, at_once: int) -> Measured:
    """Read some clips, encode them, bring each to the disk; then the next ones."""
    with Measured() as taken:
        for part, contents in parts_of(plan, at_once):
            clips = [plan.source.load(index) for index in part]
            for index, made in zip(part, encoder.encode(clips, contents, at_once), strict=True):
                tensors = {name: getattr(made, name) for name in FIELDS}
                plan.cache.write(plan.clip_keys[index], tensors, plan.source.entries[index].key)
    return taken


def fill_as_a_pipeline(plan: CachePlan, encoder: ClipEncoder, workers: int) -> tuple[Measured, float]:
    """Fill a cache as `mova train` does; return also the share of the time in which the encoder had no clip."""
    with Measured() as taken, CacheWriter(plan.cache) as writer:
        report = fill_clips(
            plan.source, CacheFiles(plan.clip_keys), range(len(plan.clip_keys)), encoder, writer, workers
        )
    assert not report.failed, report.failed
    return taken, report.waited_s / report.seconds


def measure_fill(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fill caches from films in a folder; return figures per way."""
    size, num_frames = SIZES[options.sizes]
    num_frames = options.frames or num_frames
    data = MediaDataConfig(
        source="metadata",
        path=folder / "metadata.json",
        sizes=(size,),
        num_frames=num_frames,
        min_frames=5,
        validation_clips=HELD_OUT,
    )
    model = find_model("mova-tiny") if options.sizes == "tiny" else write_encoders(folder / "model")
    source = MediaSource(data, "train", sample_rate_of(model))
    encoder = ClipEncoder(Encoding(model, torch.device(options.device)))
    at_once = encoder.at_once(source.sizes[0], num_frames)
    encoder.encode([source.load(0)], [source.entries[0].content], at_once)  # warms up

    def plan(name: str) -> CachePlan:
        return CachePlan.of(source, model, LatentCache(folder / name), encoder.precision)

    decoding, encoding = fill_apart(plan("apart"), encoder, at_once)
    in_turns = fill_in_turns(plan("turns"), encoder, at_once)
    figures: dict[str, Any] = {
        "size": size,
        "frames": num_frames,
        "clips": len(source.entries),
        "at_once": at_once,
        "decode": vars_of(decoding),
        "encode": vars_of(encoding),
        "in_turns": vars_of(in_turns),
    }
    apart = decoding.processor_s + encoding.processor_s
    for workers in options.workers:
        taken, idle = fill_as_a_pipeline(plan(f"workers{workers}"), encoder, workers)
        # The encoder alone would have taken so long: what is more, it waited for others, on a GPU unseen.
        figures[f"pipeline, {workers} workers"] = vars_of(taken) | {
            "idle": idle,
            "beyond_encoding": 1.0 - encoding.wall_s / taken.wall_s,
            "processor_against_apart": taken.processor_s / apart,
        }
    return figures


def vars_of(measured: Measured) -> dict[str, float]:
    """Return the figures of a block by name."""
    return {"wall_s": measured.wall_s, "processor_s": measured.processor_s}


def measure_reading(film: Path, repeats: int) -> dict[str, float]:
    """Return processor seconds of reading a clip of 640x352, and of its parts, medians in turns."""
    size = (352, 640)
    with av.open(str(film)) as container:
        num_frames = sum(1 for _ in container.decode(video=0))

    def bare(scale: bool) -> None:
        with media_file.open_media(film) as container:
            reformatter = av.video.reformatter.VideoReformatter()
            for frame in media_file.decode_video(container, media_file.video_stream(container, film), film):
                if scale:
                    reformatter.reformat(frame, size[1], size[0], "rgb24", interpolation=media_file.SHARP).to_ndarray()

    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: bare(False),
        "decode and one bare pass": lambda: bare(True),
        "read_frames": lambda: read_frames(film, frame_rate=FRAME_RATE, num_frames=num_frames, size=size),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            taken[name].append((time.process_time() - begun) / num_frames)
    found = {name: statistics.median(seconds) for name, seconds in taken.items()}
    found["read against decode and one bare pass"] = found["read_frames"] / found["decode and one bare pass"]
    passes = [found[name] - found["decode"] for name in ("read_frames", "decode and one bare pass")]
    found["scaling against one bare pass"] = passes[0] / passes[1]
    return found


def report(options: argparse.Namespace, fill: dict[str, Any], reading: dict[str, float]) -> str:
    """Return the note."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers", "av", "numpy"))
    gpu = f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""
    lines = [
        f"# Filling a latent cache on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {processor_name()}, {torch.get_num_threads()} threads, {num_cores()} cores{gpu}",
        f"- versions: {versions}",
        f"- command: `{' '.join(['benchmarks/bench_cache_fill.py', *sys.argv[1:]])}`",
        f"- load of the machine at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        f"- {fill['clips']} clips of {fill['size']}, {fill['frames']} frames, from 1280x720; {fill['at_once']} are "
        f"encoded together; encoders: {'mova-tiny' if options.sizes == 'tiny' else 'published, random weights'}",
        "",
        "| what | wall s | processor s | clips per minute | encoder idle | processor time against parts apart |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in fill.items():
        if isinstance(one, dict):
            rate = 60 * fill["clips"] / one["wall_s"]
            extra = (
                [f"{100 * one['idle']:.1f} %", f"{one['processor_against_apart']:.3f}"] if "idle" in one else ["", ""]
            )
            lines.append(
                f"| {name} | {one['wall_s']:.2f} | {one['processor_s']:.2f} | {rate:.3g} | {' | '.join(extra)} |"
            )
    lines += ["", "| reading, per frame of 1280x720 to 640x352 | processor |", "| --- | --- |"]
    lines += [
        f"| {name} | {one:.2f} |" if "against" in name else f"| {name} | {1000 * one:.2f} ms |"
        for name, one in reading.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write films, fill caches, print a note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--sizes", choices=list(SIZES), default="tiny")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, help="Of a clip, 1 plus a multiple of 4; by default that of the size.")
    parser.add_argument("--workers", type=int, nargs="+", default=[0], help="Numbers to try; 0 is one per core.")
    parser.add_argument("--repeats", type=int, default=3, help="Of the reading.")
    parser.add_argument("--threads", type=int, help="Threads of the encoder on a CPU.")
    parser.add_argument("--json", type=Path, help="File for the figures.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_films(folder, options.clips + HELD_OUT, options.frames or SIZES[options.sizes][1])
        fill = measure_fill(folder, options)
        reading = measure_reading(folder / "0.mp4", options.repeats)
    if options.json:
        options.json.write_text(json.dumps({"fill": fill, "reading": reading}, indent=1))
    sys.stdout.write(report(options, fill, reading))


if __name__ == "__main__":
    main()
