"""The same recipe of curation in one local process, in two, and on Ray with two workers: seconds, and equal rows.

    .venv/bin/python benchmarks/bench_curate_executors.py > benchmarks/results/curate_executors_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_curate_executors.py --sources 4 --rounds 1

Footage is made: short films of a texture that moves, with noise to hear. The stages are the real ones, with captions
by rule; the two slowest scorers are left out. Each run is a process of its own, and the executors take turns.

Processor seconds are read of all processes below that one, ten times a second, so that the last moment of each is
missing. Those that keep a Ray cluster going and do no units themselves are counted apart. The start and the end of a
cluster are in the wall seconds, as they are for whoever starts `mova curate`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil
import torch
from rich.console import Console

from mova.bench.machine import describe_machine
from mova.bench.peak import peak_of
from mova.curate.build import curate
from mova.curate.config.recipe import CurateConfig
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips

WAYS = {"1 local process": ("local", 1), "2 local processes": ("local", 2), "Ray, 2 workers": ("ray", 2)}
FRAMES, SIZE, RATE = 49, (192, 320), 24
_LOOK_S = 0.1


@dataclass(frozen=True)
class Run:
    """What a run took.

    Attributes:
        wall_s: from the start of its process to the end.
        units_s: processor seconds of the driver and of the processes that do units, with their children.
        cluster_s: processor seconds of processes that only keep a Ray cluster going.
        driver_bytes: peak memory of the driver.
    """

    wall_s: float
    units_s: float
    cluster_s: float
    driver_bytes: int


def make_films(folder: Path, count: int, seconds: float) -> None:
    """Write short films that differ, each of one shot."""
    folder.mkdir()
    for number in range(count):
        random = np.random.default_rng(number)
        scene = np.kron(random.integers(16, 236, (20, 30)), np.ones((16, 16))).astype(np.uint8)
        with av.open(str(folder / f"film{number:03d}.mp4"), "w") as file:
            video = file.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
            video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
            audio = file.add_stream("aac", rate=48_000, layout="mono")
            for index in range(round(seconds * RATE)):
                planes = np.full((SIZE[0] * 3 // 2, SIZE[1]), 128, np.uint8)
                planes[: SIZE[0]] = scene[index % 64 : index % 64 + SIZE[0], index % 96 : index % 96 + SIZE[1]]
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            samples = random.normal(0, 0.1, (1, round(seconds * 48_000))).astype(np.float32)
            for first in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, first : first + 1024])
                piece = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 48_000, first, Fraction(1, 48_000)
                file.mux(audio.encode(piece))
            file.mux(audio.encode(None))


def recipe(films: Path, output: Path, executor: str, workers: int) -> CurateConfig:
    """Return the recipe, which is the same but for where units are done."""
    return CurateConfig.model_validate(
        {
            "source": {"folder": str(films), "keep_free_gib": 0.0},
            "output": {"folder": str(output)},
            "cut": {"num_frames": FRAMES, "height": SIZE[0], "width": SIZE[1], "preset": "veryfast"},
            "score": {"without": ["synchrony", "text_area"]},
            "verdicts": {"preset": "none"},
            "caption": {"captioner": "offline"},
            "execution": {"executor": executor, "workers": workers},
        }
    )


def keeps_going(process: psutil.Process) -> bool:
    """Say whether a process belongs to a Ray cluster and does no units: all of Ray's but its workers."""
    command = process.cmdline()
    return bool(command) and not command[0].startswith("ray::") and "site-packages/ray/" in " ".join(command[:3])


def measure(films: Path, output: Path, executor: str, workers: int) -> Run:
    """Run the recipe in a process of its own and watch all that is below it."""
    command = [sys.executable, __file__, "--one", str(films), str(output), executor, str(workers)]
    took: dict[int, tuple[float, bool]] = {}
    peak, start = 0, time.perf_counter()
    # Ray gives a loaded machine half a minute only, unless told otherwise.
    settings = {"RAY_raylet_start_wait_time_s": "200"}
    driver = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    watched = psutil.Process(driver.pid)
    while driver.poll() is None:
        try:
            processes = [watched, *watched.children(recursive=True)]
        except psutil.Error:
            break
        for process in processes:
            try:
                times = process.cpu_times()
                took[process.pid] = (times.user + times.system, keeps_going(process))
            except psutil.Error:
                continue
        peak = peak_of(driver.pid) or peak
        time.sleep(_LOOK_S)
    if driver.wait():
        raise SystemExit(f"{executor} with {workers} failed")
    wall_s = time.perf_counter() - start
    units_s, cluster_s = (sum(s for s, is_apart in took.values() if is_apart is wanted) for wanted in (False, True))
    return Run(wall_s, units_s, cluster_s, peak)


def rows_of(output: Path) -> tuple[list[object], list[object]]:
    return list(iter_sources(output / "sources.parquet")), list(iter_clips(output / "clips.parquet"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each film")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        films, output, executor, workers = arguments.one
        curate(recipe(Path(films), Path(output), executor, int(workers)))
        return
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_films(folder / "films", arguments.sources, arguments.seconds)
        rows = []
        for number in range(arguments.rounds):
            for way, (executor, workers) in WAYS.items():
                output = folder / f"{number}-{executor}-{workers}"
                runs[way].append(measure(folder / "films", output, executor, workers))
                rows.append(rows_of(output))
        if any(one != rows[0] for one in rows):
            raise SystemExit("the rows differ")
        report(Console(width=120), arguments, runs, len(rows[0][1]))


def report(out: Console, arguments: argparse.Namespace, runs: dict[str, list[Run]], clips: int) -> None:
    base = runs["1 local process"]
    machine = describe_machine(torch.device("cpu"))
    out.print("# Curation in local processes and on Ray\n")
    out.print(
        f"{machine.cpu}, {machine.cores} cores. {arguments.sources} films of {arguments.seconds:g} s, {clips} clips of "
        f"{FRAMES} frames in {SIZE[1]}x{SIZE[0]}; medians of {arguments.rounds} rounds in turns. All rows are equal.\n"
    )
    out.print("| | processor seconds | of one process | cluster alone | wall seconds | of one process | driver, MiB |")
    out.print("| --- | --- | --- | --- | --- | --- | --- |")
    for way, found in runs.items():
        units, wall = ([getattr(one, name) for one in found] for name in ("units_s", "wall_s"))
        ratios = [
            median(getattr(mine, name) / getattr(other, name) for mine, other in zip(found, base, strict=True))
            for name in ("units_s", "wall_s")
        ]
        out.print(
            f"| {way} | {median(units):.1f} | {ratios[0]:.2f} | {median(one.cluster_s for one in found):.1f} | "
            f"{median(wall):.1f} | {ratios[1]:.2f} | {median(one.driver_bytes for one in found) / 2**20:.0f} |"
        )


if __name__ == "__main__":
    main()
