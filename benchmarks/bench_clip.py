"""Time and peak memory of `mova generate`, from the start of the process to the finished file.

    .venv/bin/python benchmarks/bench_clip.py --repeat 3 > benchmarks/results/clip_<machine>_<yyyymm>.md

Everything after `--` goes to `mova generate`. Prints a note in Markdown that names the machine, the versions and the
command.
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

CAPTION_SEED = 2_000_000_007
MOVA = [sys.executable, "-m", "mova.cli"]


def measure(command: list[str]) -> tuple[float, int]:
    """Run a command and return its wall-clock seconds and the peak of its resident memory in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()  # until the process closes it, so that the pipe never fills up
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    # Linux counts in KiB, macOS in bytes.
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine() -> str:
    """Describe the processor and the graphics card, if there is one."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{model}, {len(os.sched_getaffinity(0))} cores{gpu}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the first one may also read the disk")
    parser.add_argument("options", nargs="*", help="options of `mova generate`, after --")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "first.png")
        asked = [*MOVA, "toyworld", "prompt", "--seed", str(CAPTION_SEED), "--image", str(image)]
        caption = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        output = Path(folder, "clip.mp4")
        command = [*MOVA, "generate", "--prompt", caption, "--image", str(image), "--output", str(output)]
        runs = [measure([*command, *chosen.options]) for _ in range(chosen.repeat)]
    seconds, peaks = zip(*runs, strict=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers", "transformers"))
    lines = [
        f"# `mova generate` on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {machine()}, {platform.platform()}, Python {platform.python_version()}",
        f"- versions: {versions}",
        f"- command: `mova generate --prompt ... --image ... {' '.join(chosen.options)}`".rstrip(),
        f"- load of the machine at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        "",
        "| | of the process, start to file |",
        "| --- | --- |",
        f"| seconds, median of {len(runs)} | {statistics.median(seconds):.1f} |",
        f"| seconds, each run | {', '.join(f'{value:.1f}' for value in seconds)} |",
        f"| peak memory | {max(peaks) / 1e9:.2f} GB |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
