"""What torch's ways to start several processes give back, beside the starter of this package.

    .venv/bin/python benchmarks/probe_processes.py

Figures of docs/decisions/0007-the-process-starter.md. Two processes do something trivial: return a value, refuse an
input, wait for a process that was killed, wait while the process that started them is killed. On Linux.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch.multiprocessing
from torch import distributed
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mova.distributed.launch import launch
from mova.errors import ConfigError

WORLD = 2
STARTERS = ("start_processes", "elastic_launch", "mova")


def returning() -> str:
    return "a value"


def refusing() -> None:
    raise ConfigError("steps must be 1 or more, got 0; nearest is 1")


def rank() -> int:
    """Return which process this is."""
    return int(os.environ["RANK"]) if "RANK" in os.environ else distributed.get_rank()


def losing(folder: str) -> None:
    """Lose the second process when the first is writing a file, which it removes if it is told in time."""
    begun, unfinished = Path(folder, "begun"), Path(folder, "unfinished")
    if rank() == 1:
        while not begun.exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    unfinished.touch()
    begun.touch()
    try:
        time.sleep(60)
    finally:
        unfinished.unlink()


def waiting(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def numbered(index: int, job: Callable[..., object], *arguments: object) -> object:
    os.environ["RANK"] = str(index)
    return job(*arguments)


def start(starter: str, job: Callable[..., object], *arguments: object) -> object:
    """Run a job in two processes in one of three ways."""
    if starter == "start_processes":
        return torch.multiprocessing.start_processes(numbered, (job, *arguments), WORLD)
    if starter == "elastic_launch":
        config = LaunchConfig(1, 1, WORLD, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0)
        return elastic_launch(config, job)(*arguments)
    return launch(WORLD, job, *arguments)


def outcome(starter: str, job: Callable[..., object], *arguments: object) -> str:
    """Return what came back, or the error as the caller sees it, and how long it took."""
    begun = time.monotonic()
    try:
        said = repr(start(starter, job, *arguments))
    except BaseException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = f"{type(error).__name__} of {len(lines)} lines: {(lines or [''])[0][:90]}"
    return f"{said} ({time.monotonic() - begun:.0f} s)"


def lost(starter: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        said = outcome(starter, losing, folder)
        return f"{said}; unfinished files left: {len(list(Path(folder).glob('unfinished')))}"


def orphaned(starter: str) -> str:
    """Kill the process that started the others, and count those that are still there some seconds later."""
    with tempfile.TemporaryDirectory() as folder:
        parent = subprocess.Popen([sys.executable, __file__, starter, folder], stderr=subprocess.DEVNULL)
        while len(list(Path(folder).iterdir())) < WORLD:
            time.sleep(0.1)
        parent.kill()
        parent.wait()
        time.sleep(5)
        alive = 0
        for name in Path(folder).iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(name.name), signal.SIGKILL)
                alive += 1
    return f"{alive} of {WORLD} go on"


QUESTIONS: dict[str, Callable[[str], str]] = {
    "returns a value": lambda starter: outcome(starter, returning),
    "refuses an input": lambda starter: outcome(starter, refusing),
    "one is killed": lost,
    "the one that started them is killed": orphaned,
}


def main() -> None:
    if len(sys.argv) > 1:
        start(sys.argv[1], waiting, sys.argv[2])
        return
    logging.disable()
    sys.stdout.write(f"| the job | {' | '.join(STARTERS)} |\n| --- | --- | --- | --- |\n")
    for question, answer in QUESTIONS.items():
        sys.stdout.write(f"| {question} | {' | '.join(answer(starter) for starter in STARTERS)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
