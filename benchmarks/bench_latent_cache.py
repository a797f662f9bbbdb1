"""What a training step costs with a cache of encoded clips and without one.

    .venv/bin/python benchmarks/bench_latent_cache.py > benchmarks/results/latent_cache_<machine>_<yyyymm>.md

The same steps of the joint model (mova-tiny, 128x128, 49 frames) on clips that are rendered and encoded at every step,
and on clips that were encoded before. Each in a process of its own, so that memory can be told apart. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import mova
from mova.bench.peak import peak_bytes

RECIPE = Path(mova.__file__).parent / "assets" / "mova-tiny" / "history" / "tiny_joint.yaml"


def measure(online: bool, cache: Path, steps: int, batch_size: int) -> dict[str, float]:
    """Run steps of the joint stage; return seconds per step (the median) and the peak of resident memory in MB."""
    import torch

    from mova.train.config import load_recipe
    from mova.train.loop.optimizer import OptimizerSet
    from mova.train.stages.joint import JointStage

    torch.set_num_threads(2)
    changes = [
        *(f"start.{name}=mova-tiny" for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")),
        "encoders=mova-tiny",
        "data.num_clips=16",
        "data.validation_clips=2",
        "data.workers=1",
        f"run.batch_size={batch_size}",
        "run.device=cpu",
        f"online={str(online).lower()}",
    ]
    config = load_recipe(RECIPE, changes)
    stage = JointStage(config, cache)
    optimizer = OptimizerSet(stage.parameter_groups(), config.optimizer)
    seconds = []
    for step in range(steps + 1):
        start = time.perf_counter()
        for part in stage.losses(step, 0.0):
            part["loss"].backward()
        optimizer.step(1.0)
        seconds.append(time.perf_counter() - start)
    # The first step warms up.
    return {
        "seconds": sorted(seconds[1:])[steps // 2],
        "peak_mb": peak_bytes() / 2**20,
    }


def main() -> None:
    """Fill a cache, measure both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--measure", choices=["cached", "online"], help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        found = measure(chosen.measure == "online", chosen.cache, chosen.steps, chosen.batch_size)
        sys.stdout.write(json.dumps(found))
        return
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    with tempfile.TemporaryDirectory() as folder:

        def run(kind: str) -> dict[str, float]:
            command = [sys.executable, __file__, "--steps", str(chosen.steps), "--batch-size", str(chosen.batch_size)]
            command += ["--measure", kind, "--cache", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            return dict(json.loads(done.stdout))

        run("cached")  # fills the cache
        found = {kind: run(kind) for kind in ("online", "cached")}
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    lines = [
        f"# Training steps with and without a latent cache on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {platform.processor() or platform.machine()}, 2 threads, {platform.platform()}",
        f"- versions: {versions}",
        f"- command: `{' '.join(['benchmarks/bench_latent_cache.py', *sys.argv[1:]])}`",
        f"- load of the machine at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        f"- mova-tiny, 128x128, 49 frames, batch {chosen.batch_size}; median of {chosen.steps} steps",
        "",
        "| clips | seconds per step | against online | peak memory |",
        "| --- | --- | --- | --- |",
    ]
    base = found["online"]["seconds"]
    lines += [
        f"| {kind} | {one['seconds']:.2f} | {one['seconds'] / base:.2f} | {one['peak_mb']:.0f} MB |"
        for kind, one in found.items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
