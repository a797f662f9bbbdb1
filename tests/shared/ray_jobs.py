"""A driver of a run on a Ray cluster, as a process that a test can end: it says each step of its progress."""

from __future__ import annotations

import sys
from pathlib import Path

from mova.curate.executors.ray import RayExecutor
from mova.curate.runner import run_all
from mova.curate.units import Patience
from shared_curation import ToyCut, ToyScore, toy_run


def main(footage: str, output: str, address: str) -> None:
    """Run toy stages; "" as the address begins a cluster."""
    executor = RayExecutor(address, 2, Patience(3, 0.0))
    run_all(
        toy_run(
            Path(footage),
            Path(output),
            executor=executor,
            cut=ToyCut(pause_s=0.05),
            score=ToyScore(pause_s=0.2),
            on_progress=lambda progress: say(f"{progress.stage} {progress.done}"),
        )
    )
    say("end")


def say(line: str) -> None:
    """Write a line that another process reads at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
