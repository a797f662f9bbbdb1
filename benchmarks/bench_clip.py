"""Time and peak memory of `mova generate`, from the start of the process to the finished file.

    .venv/bin/python benchmarks/bench_clip.py --repeat 3 > benchmarks/results/clip_<machine>_<yyyymm>.md

Everything after `--` goes to `mova generate`. Prints a note in Markdown that names the machine, the versions and the
command. With `--before FOLDER`, a checkout of another commit (`git worktree add --detach FOLDER COMMIT`), its processes
and those of this one take turns, after one of each that does not count:

    .venv/bin/python benchmarks/bench_clip.py --before ../before -- --speed distilled
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from mova.bench.peak import watched

CAPTION_SEED = 2_000_000_007
MOVA = [sys.executable, "-m", "mova.cli"]
TREE = Path(__file__).resolve().parents[1]


class Run(NamedTuple):
    """A process from start to file: seconds, seconds of processors, and the peak of its resident memory in bytes."""

    seconds: float
    processor_s: float
    peak: int


def measure(command: list[str], tree: Path = TREE) -> Run:
    """Run a command with the package of a checkout."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, cwd=tree
    )
    assert process.stderr is not None
    with watched(lambda: [process.pid]) as peak:
        errors = process.stderr.read()  # until the process closes it, so that the pipe never fills up
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak.bytes)


def in_turns(command: list[str], before: Path, repeat: int) -> list[str]:
    """Return rows of a table: this checkout next to another one, medians, and the median of neighbours' ratios."""
    pairs = [(measure(command, before), measure(command)) for _ in range(repeat + 1)][1:]
    rows = ["| | before | now | ratio |", "| --- | --- | --- | --- |"]
    for name, values in (
        ("seconds", [(old.seconds, new.seconds) for old, new in pairs]),
        ("processor seconds", [(old.processor_s, new.processor_s) for old, new in pairs]),
        ("peak memory, GB", [(old.peak / 1e9, new.peak / 1e9) for old, new in pairs]),
    ):
        old, new = (statistics.median(side) for side in zip(*values, strict=True))
        ratios = sorted(after / ahead for ahead, after in values)
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rows.append(f"| {name}, median of {len(pairs)} | {old:.2f} | {new:.2f} | {ratio} |")
    return rows


def alone(command: list[str], repeat: int) -> list[str]:
    """Return rows of a table for this checkout."""
    runs = [measure(command) for _ in range(repeat)]
    seconds = [run.seconds for run in runs]
    return [
        "| | of the process, start to file |",
        "| --- | --- |",
        f"| seconds, median of {len(runs)} | {statistics.median(seconds):.1f} |",
        f"| seconds, each run | {', '.join(f'{value:.1f}' for value in seconds)} |",
        f"| peak memory | {max(run.peak for run in runs) / 1e9:.2f} GB |",
    ]


def machine() -> str:
    """Describe the processor and the graphics card, if there is one."""
    import torch

    from mova.cores import num_cores
    from mova.kernels.calibration import processor_name

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{processor_name()}, {num_cores()} cores{gpu}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the first one may also read the disk")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="checkout of another commit, to compare with")
    parser.add_argument("options", nargs="*", help="options of `mova generate`, after --")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "first.png")
        asked = [*MOVA, "toyworld", "prompt", "--seed", str(CAPTION_SEED), "--image", str(image)]
        caption = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        output = Path(folder, "clip.mp4")
        command = [*MOVA, "generate", "--prompt", caption, "--image", str(image), "--output", str(output)]
        command += chosen.options
        before = chosen.before and chosen.before.resolve()
        rows = in_turns(command, before, chosen.repeat) if before else alone(command, chosen.repeat)
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers", "transformers"))
    lines = [
        f"# `mova generate` on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {machine()}, {platform.platform()}, Python {platform.python_version()}",
        f"- versions: {versions}",
        f"- command: `mova generate --prompt ... --image ... {' '.join(chosen.options)}`".rstrip(),
        f"- load of the machine at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        "",
    ]
    sys.stdout.write("\n".join([*lines, *rows]) + "\n")


if __name__ == "__main__":
    main()
