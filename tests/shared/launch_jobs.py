"""What the processes of test_launch do."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from mova.errors import ConfigError, MissingExtraError
from mova.generate.processes import Processes
from mova.generate.run import generate_file


def add_up(number: int) -> tuple[int, int, int]:
    """Return what all processes say together, and this one's place."""
    total = torch.tensor(number + torch.distributed.get_rank())
    torch.distributed.all_reduce(total)
    return int(total), torch.distributed.get_rank(), torch.distributed.get_world_size()


def fail(kind: str) -> None:
    """Let the last process fail while the others wait for it."""
    if torch.distributed.get_rank() == torch.distributed.get_world_size() - 1:
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise {
            "input": ConfigError("the value is wrong"),
            "extra": MissingExtraError("somewhere", "train"),
            "bug": ZeroDivisionError("by zero"),
            "foreign": _ForeignError(1, 2),
        }[kind]
    torch.distributed.barrier()


class _ForeignError(Exception):
    """Cannot be made again from its text."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def break_on_one(request: Any, folder: Path, output: Path, processes: Processes) -> Any:
    """Generate; one process that is not the main one breaks in the middle."""
    if torch.distributed.get_rank() == 1:
        from mova.models.tower import VideoTower

        finish, calls = VideoTower.finish, []

        def broken(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("the memory of this device is full")
            return finish(*arguments)

        VideoTower.finish = broken
    return generate_file(request, folder, output, processes=processes)
