"""Measuring clips with `mova evaluate`: what each metric costs, what an interruption costs, and whether memory grows.

    .venv/bin/python benchmarks/bench_evaluate.py --weights .scorers > benchmarks/results/evaluate_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_evaluate.py --parts interrupts --clips 20
    .venv/bin/python benchmarks/bench_evaluate.py --parts memory --many 1000 --metrics levels,motion --size 64

It renders clips of the toy world and gives them to the command, as a user does:

* `costs`: each metric alone. Processor seconds of the command, less those of the same command given again, which
  computes nothing, over the number of clips: libraries that are imported and networks that are opened are in them.
* `together`: all metrics in one command, with one process and with two, in turns: processor and wall seconds, and what
  each metric took of a clip in the run of one process, where what several need is decoded for the first of them.
* `interrupts`: the same, struck with SIGKILL and SIGINT in turns at random moments until so many have struck, and then
  left alone. Each pair of clip and metric that is computed is counted, and so is each that is kept.
* `memory`: `--many` clips that differ in a few bytes at their ends, so that each is a clip of its own; the most memory
  that the command and its largest process held in the second tenth of the clips and in the last.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from mova.cores import num_cores
from mova.kernels.calibration import processor_name
from mova.scorers.registry import SCORER_NAMES, ScorerSettings, make_scorers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))
from counted_scores import VARIABLE, computed, opened, seconds

SHARED = Path(__file__).parents[1] / "tests" / "shared"
PARTS = ("costs", "together", "interrupts", "memory")
PACKAGES = ("av", "numpy", "onnxruntime", "librosa", "opencv-python-headless", "rapidocr", "torch")
SCORES = "scores.jsonl"


@dataclass(frozen=True)
class Taken:
    """What a command took.

    Attributes:
        processor_s: of the command and of all processes that it started.
        wall_s: from its start to its end.
    """

    processor_s: float
    wall_s: float


@dataclass(frozen=True)
class Memory:
    """Resident memory while clips are measured.

    Attributes:
        clips: how many were done.
        command_bytes: of the command.
        worker_bytes: of the largest of the processes that it started; 0 without one.
    """

    clips: float
    command_bytes: int
    worker_bytes: int


def start(words: Sequence[str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start `mova`; with a log, so that what its scorers compute is noted there."""
    script = ["-m", "mova.cli"] if log is None else [str(SHARED / "counted_scores.py")]
    environment = {**os.environ, **({} if log is None else {VARIABLE: str(log)})}
    command = [sys.executable, *script, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(words: Sequence[str], log: Path | None = None) -> Taken:
    """Run `mova` and return what it took."""
    begun = time.perf_counter()
    process = start(words, log)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"mova {' '.join(words)} ended with {process.returncode}")
    return Taken(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun)


def many_clips(clips: Sequence[Path], folder: Path, count: int) -> Path:
    """Return a folder of copies of clips that differ in a few bytes behind their ends, so that none is known."""
    folder.mkdir()
    for index in range(count):
        path = clips[index % len(clips)]
        mark = f"{index:08d}".encode()
        # A box of an mp4 file that players pass over.
        box = (8 + len(mark)).to_bytes(4, "big") + b"free" + mark
        (folder / f"{path.stem}_{index:05d}.mp4").write_bytes(path.read_bytes() + box)
    return folder


def growth(samples: Sequence[Memory], clips: int) -> tuple[Memory, Memory]:
    """Return the most memory that was held in the second tenth of the clips, and in the last one."""
    early = [one for one in samples if clips / 10 <= one.clips < clips / 5]
    late = [one for one in samples if 0.9 * clips <= one.clips < clips]
    if not early or not late:
        raise SystemExit(f"{len(samples)} looks at the memory of {clips} clips are too few; take more clips")
    return most(early), most(late)


def most(samples: Sequence[Memory]) -> Memory:
    """Return the most that was held, and the number of clips in the middle."""
    return Memory(
        statistics.median(one.clips for one in samples),
        max(one.command_bytes for one in samples),
        max(one.worker_bytes for one in samples),
    )


class Bench:
    """What is asked for, and the clips that it is asked of."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._weights = [] if options.weights is None else ["--weights", str(options.weights.absolute())]
        self.clips = folder / "clips"
        sizes = ["--size", str(options.size), "--frames", str(options.frames)]
        run(["toyworld", "render", "--count", str(options.clips), "--seed", "0", "--out", str(self.clips), *sizes])
        self.paths = sorted(self.clips.glob("*.mp4"))
        self.metrics = tuple(options.metrics.split(",")) if options.metrics else self._ready()

    def _ready(self) -> tuple[str, ...]:
        settings = ScorerSettings(self._options.weights and self._options.weights.absolute())
        return tuple(
            name for name in SCORER_NAMES if name != "hashes" and make_scorers([name], settings).skipped is None
        )

    def words(self, metrics: Sequence[str], report: str, workers: int = 1, clips: Path | None = None) -> list[str]:
        """Return the words of a command that measures."""
        return [
            *("evaluate", str(clips or self.clips), "--metrics", ",".join(metrics), *self._weights),
            *("--workers", str(workers), "--report", str(self._folder / report)),
        ]

    def costs(self) -> Iterator[str]:
        """Measure each metric alone."""
        yield from ("| metric | processor seconds of a clip | wall seconds of a clip |", "| --- | --- | --- |")
        for name in self.metrics:
            words = self.words([name], f"alone_{name}")
            first, again = run(words), run(words)
            count = len(self.paths)
            processor = (first.processor_s - again.processor_s) / count
            yield f"| {name} | {processor:.3f} | {(first.wall_s - again.wall_s) / count:.3f} |"

    def together(self) -> Iterator[str]:
        """Measure all metrics at once, with one process and with two, in turns."""
        log = self._folder / "together.log"
        taken: dict[int, list[Taken]] = {1: [], 2: []}
        for turn in range(self._options.turns):
            for workers, runs in taken.items():
                words = self.words(self.metrics, f"together_{workers}_{turn}", workers)
                runs.append(run(words, log if not turn and workers == 1 else None))
        again = run(self.words(self.metrics, "together_1_0"))
        yield from ("| processes | processor seconds | wall seconds |", "| --- | --- | --- |")
        for workers, runs in taken.items():
            processor, wall = (statistics.median(getattr(one, name) for one in runs) for name in Taken.__annotations__)
            yield f"| {workers} | {processor:.1f} | {wall:.1f} |"
        yield f"| given again, nothing to compute | {again.processor_s:.1f} | {again.wall_s:.1f} |"
        most = max(opened(log).values(), default=0)
        yield from (
            "",
            f"No process opened a file of a network more than {most} times for {len(self.paths)} clips.",
            "",
        )
        yield from ("| metric, in that run | median of a clip, s | first clip, s |", "| --- | --- | --- |")
        by_measure = seconds(log)
        for name in self.metrics:
            found = by_measure[make_scorers([name]).measures[0].name]
            yield f"| {name} | {statistics.median(found):.4f} | {found[0]:.2f} |"

    def interrupts(self) -> Iterator[str]:
        """Strike runs at random moments, and count what was computed."""
        yield "| processes | struck | pairs | kept | computed | computed again |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for workers in (1, 2):
            log, report = self._folder / f"struck_{workers}.log", f"struck_{workers}"
            words = self.words(self.metrics, report, workers)
            chance, strikes = random.Random(workers), [signal.SIGKILL, signal.SIGINT] * (self._options.strikes // 2)
            total = len(self.paths) * len(self.metrics)
            struck = 0
            for place, strike in enumerate(strikes):
                # Spread over the work that there is, each somewhere in its own part.
                until = total * (place + chance.random()) / (len(strikes) + 1)
                struck += strike_at(start(words, log), log, until, strike)
            run(words, log)
            lines = (self._folder / report / SCORES).read_bytes().splitlines()
            kept = sum(line.startswith(b"{") and line.endswith(b"}") for line in lines)
            counts = computed(log)
            repeated = sum(counts.values()) - len(counts)
            yield f"| {workers} | {struck} | {total} | {kept} | {sum(counts.values())} | {repeated} |"
            if kept != total or len(counts) != total or repeated > struck * workers:
                raise SystemExit(f"{workers} processes: {total} pairs, {kept} kept, {repeated} computed again")
        yield from ("", "What may be computed again: of each process at most the one metric that it was at.")

    def memory(self) -> Iterator[str]:
        """Measure many clips and look at the memory."""
        options = self._options
        many = many_clips(self.paths, self._folder / "many", options.many)
        yield "| processes | clips | command, MB | largest process, MB | command, bytes a clip | process, the same |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for workers in (1, 2):
            report = f"many_{workers}"
            scores = self._folder / report / SCORES
            process = start(self.words(self.metrics, report, workers, many))
            samples = list(sampled(process, scores, len(self.metrics)))
            early, late = growth(samples, options.many)
            between = late.clips - early.clips
            yield f"| {workers} | {early.clips:.0f} | {sizes_of(early)} | | |"
            yield (
                f"| {workers} | {late.clips:.0f} | {sizes_of(late)} "
                f"| {(late.command_bytes - early.command_bytes) / between:,.0f} "
                f"| {(late.worker_bytes - early.worker_bytes) / between:,.0f} |"
            )


def sizes_of(one: Memory) -> str:
    """Return memory as two cells of a table, in MB."""
    return f"{one.command_bytes / 1e6:.0f} | {one.worker_bytes / 1e6:.0f}"


def strike_at(process: subprocess.Popen[bytes], log: Path, pairs: float, strike: signal.Signals) -> bool:
    """Send a signal when so many pairs were computed; return whether the process was there to be struck."""
    while process.poll() is None and sum(computed(log).values()) < pairs:
        time.sleep(0.01)
    is_there = process.poll() is None
    if is_there:
        process.send_signal(strike)
    process.wait()
    return is_there


def sampled(process: subprocess.Popen[bytes], scores: Path, num_metrics: int) -> Iterator[Memory]:
    """Yield memory of a command until it has measured all; the last of it is from before the report."""
    there = psutil.Process(process.pid)
    while process.poll() is None:
        lines = scores.read_bytes().count(b"\n") if scores.is_file() else 0
        try:
            workers = [child.memory_info().rss for child in there.children(recursive=True)]
            yield Memory(lines / num_metrics, there.memory_info().rss, max(workers, default=0))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.2)


def main() -> None:
    """Render clips, measure them, print a note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="Folder that `make scorers` filled.")
    parser.add_argument("--parts", default=",".join(PARTS), help="Of the above, with commas between.")
    parser.add_argument("--metrics", default="", help="Names of scorers; by default those that work here.")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--size", type=int, default=128, help="Height and width of the clips; the toy model's default.")
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--turns", type=int, default=1, help="Of one process and two.")
    parser.add_argument("--strikes", type=int, default=6, help="Signals of each run that is interrupted; even.")
    parser.add_argument("--many", type=int, default=1000, help="Clips for the memory.")
    options = parser.parse_args()
    told = [
        f"# Measuring clips, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"`{' '.join(['benchmarks/bench_evaluate.py', *sys.argv[1:]])}` on {processor_name()}, {num_cores()} cores,",
        f"load {os.getloadavg()[0]:.1f}; {', '.join(f'{name} {version(name)}' for name in PACKAGES)}.",
        f"{options.clips} clips of the toy world, {options.size}x{options.size}, {options.frames} frames.",
    ]
    sys.stdout.write("\n".join(told) + "\n")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(options, Path(name))
        for part in options.parts.split(","):
            sys.stdout.write(f"\n## {part.capitalize()}\n\n")
            for line in getattr(bench, part)():
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
