"""Training on the cores of a CPU: one process of several threads, or one process for each core.

    .venv/bin/python benchmarks/bench_cpu_copies.py > benchmarks/results/cpu_copies_<machine>_<yyyymm>.md

Steps of the joint stage from mova-tiny (128x128, 49 frames, Muon) with `mova train`, each way in processes of its own:
with and without glibc's memory settings of the training guide, with weights that are spread and with copies of them.
Rounds take turns. Prints a note in Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import yaml

from mova.device import multiplies_bfloat16

PARTS = ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
# The first steps warm up; so many follow.
WARM = 10


@dataclass(frozen=True)
class Way:
    """How the cores are used.

    Attributes:
        layout: key of `parallel` that all cores share; none for a single process.
        keeps_memory: whether glibc is told to keep what is given back.
    """

    layout: str | None
    keeps_memory: bool


WAYS = {
    "one process": Way(None, False),
    "one process, memory kept": Way(None, True),
    "a process per core, weights spread (`parallel.shard`), memory kept": Way("shard", True),
    "a process per core, copies (`parallel.replicate`), memory kept": Way("replicate", True),
}


def write_recipe(path: Path, steps: int, batch_size: int) -> None:
    """Write the recipe of a few steps."""
    recipe = {
        "stage": "joint",
        "model": "to be set",
        "encoders": "mova-tiny",
        "start": dict.fromkeys(PARTS, "mova-tiny"),
        "data": {"num_clips": 16, "validation_clips": 2, "size": 128, "workers": 1},
        "run": {
            "max_steps": WARM + steps,
            "batch_size": batch_size,
            "device": "cpu",
            "compute": "bfloat16" if multiplies_bfloat16() else "float32",
            "log_every": WARM,
            "validate_every": 10**6,
            "ema_decay": 0.998,
        },
        "optimizer": {"name": "muon", "lr": 1e-3},
    }
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")


def measure(way: Way, recipe: Path, folder: Path, cores: int) -> float:
    """Return samples per second after the first steps."""
    processes = cores if way.layout else 1
    command = ["-m", "mova.cli", "train", str(recipe), "--cache", str(recipe.parent / "cache")]
    command += ["--set", f"model={folder / 'model'}"]
    start = [sys.executable]
    if way.layout == "shard":
        # Muon needs whole matrices.
        command += ["--set", "optimizer.name=adamw"]
    if way.layout:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command += ["--set", f"parallel.{way.layout}={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": str(cores // processes)} | (KEPT if way.keeps_memory else {})
    done = subprocess.run([*start, *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    lines = (folder / recipe.stem / "log.jsonl").read_text(encoding="utf-8").splitlines()
    log = [entry for entry in map(json.loads, lines) if entry["event"] == "train"]
    batch_size = yaml.safe_load(recipe.read_text(encoding="utf-8"))["run"]["batch_size"]
    samples = (log[-1]["step"] - log[0]["step"]) * batch_size
    return float(samples / (60 * (log[-1]["minutes"] - log[0]["minutes"])))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="measured, a multiple of ten")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "few_steps.yaml"
        write_recipe(recipe, chosen.steps, chosen.batch_size)
        for turn in range(chosen.rounds):
            for place, (name, way) in enumerate(WAYS.items()):
                rates[name].append(measure(way, recipe, Path(folder) / f"{turn}_{place}", chosen.cores))
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    base = statistics.mean(rates["one process"])
    lines = [
        f"# Training on the cores of a CPU, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{chosen.cores} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f} at the end",
        f"- Python {platform.python_version()}, {versions}",
        f"- command: `{' '.join(['benchmarks/bench_cpu_copies.py', *sys.argv[1:]])}`",
        f"- joint stage, mova-tiny, batch {chosen.batch_size}, "
        f"{'bfloat16' if multiplies_bfloat16() else 'float32'}; mean and range of {chosen.rounds} rounds of "
        f"{chosen.steps} steps after {WARM}; spread weights are trained with AdamW, the others with Muon",
        "",
        "| | samples per second | against one process |",
        "| --- | --- | --- |",
    ]
    for name, found in rates.items():
        mean = statistics.mean(found)
        lines.append(f"| {name} | {mean:.2f} ({min(found):.2f} to {max(found):.2f}) | {mean / base:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
