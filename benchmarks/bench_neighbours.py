"""Near-duplicates by embedding over many synthetic clips: processor seconds, peak memory and recall.

    .venv/bin/python benchmarks/bench_neighbours.py --rows 100000 1000000 --cosine 0.98

The vectors lie in a file, as those of a curation do, in half precision. They have the shape of those of networks: 0 or
more, in groups of all sizes. A tenth of them repeat earlier ones, at cosines that are spread evenly from the threshold
to 1: the recall is the share of these that is rejected. Peak memory is what the process has of its own; pages of the
mapped file, which the system takes back when it wants to, are told beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from mova.curate.score.neighbours import near_by_cosine

PIECE = 8192
REPEATS = 0.1
ROWS_OF_GROUP = 40


def main() -> None:
    """Print a line for each number of rows and each threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--cosine", type=float, nargs="+", default=[0.98])
    options = parser.parse_args()
    sys.stdout.write(
        "| rows | width | cosine | processor s | own memory, MiB | mapped, MiB | recall | wrong |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    spawn = multiprocessing.get_context("spawn")
    for rows in options.rows:
        for cosine in options.cosine:
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / "vectors.npy"
                make(path, rows, options.width, cosine)
                child = spawn.Process(target=measure, args=(path, cosine))
                child.start()
                child.join()


def make(path: Path, rows: int, width: int, cosine: float) -> None:
    """Write vectors of which the last tenth repeat earlier ones."""
    rng = np.random.default_rng(0)
    found = np.lib.format.open_memmap(path, "w+", np.float16, (rows, width))
    first = rows - int(REPEATS * rows)
    weights = rng.pareto(1.5, max(1, rows // ROWS_OF_GROUP)) + 0.1
    group = rng.choice(len(weights), first, p=weights / weights.sum())
    for start in range(0, first, PIECE):
        some = group[start : min(start + PIECE, first)]
        # The middle of a group follows from its number, so that a million rows need no table of them.
        middles = {number: np.maximum(np.random.default_rng(int(number)).normal(size=width), 0) for number in set(some)}
        found[start : start + len(some)] = np.stack([middles[number] for number in some]) + 0.7 * rng.normal(
            size=(len(some), width)
        )
    early = earlier(rows)
    for start in range(first, rows, PIECE):
        end = min(start + PIECE, rows)
        units = found[early[start - first : end - first]].astype(np.float32)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        aside = rng.normal(size=units.shape).astype(np.float32)
        aside -= (aside * units).sum(axis=1, keepdims=True) * units
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        alike = cosine + (1 - cosine) * rng.uniform(0.02, 1, (len(units), 1))
        found[start:end] = 3 * (alike * units + np.sqrt(1 - alike**2) * aside)
    found.flush()


def earlier(rows: int) -> np.ndarray:
    """Return the rows that the last tenth repeat."""
    first = rows - int(REPEATS * rows)
    return np.random.default_rng(1).permutation(first)[: rows - first]


def measure(path: Path, cosine: float) -> None:
    """Search in this process, and print the line."""
    vectors = np.load(path, mmap_mode="r")
    peaks, ended = {"RssAnon": 0, "RssFile": 0}, threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(rest.split()[0]) // 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    begun = time.process_time()
    repeats, _ = near_by_cosine([vectors], [cosine], np.arange(len(vectors)))
    seconds = time.process_time() - begun
    ended.set()
    thread.join()
    first = len(vectors) - int(REPEATS * len(vectors))
    rejected = repeats != np.arange(len(vectors))
    sys.stdout.write(
        f"| {len(vectors)} | {vectors.shape[1]} | {cosine:g} | {seconds:.1f} | {peaks['RssAnon']} | {peaks['RssFile']} "
        f"| {rejected[first:].mean():.4f} | {int(rejected[:first].sum())} |\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
