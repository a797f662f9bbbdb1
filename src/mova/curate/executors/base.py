"""What an executor is: it does the tasks of a stage somewhere, and tells of each when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from mova.curate.stage import Stage
from mova.curate.units import Manifest, Task

OnDone = Callable[[Manifest], None]


class Executor(Protocol):
    """Does tasks; many at a time, in any order, and each of them until it is complete or given up."""

    def run(self, stage: Stage, tasks: Iterable[Task], root: Path, on_done: OnDone) -> None:
        """Do all tasks of a stage.

        A task whose worker is lost is done again by another; after some attempts its rows say so and the run goes on.
        Tasks are taken from the iterable as workers get free.

        Args:
            stage: is pickled once for each worker.
            tasks: of the stage.
            root: output folder; workers write their units themselves.
            on_done: called in this process after each task.

        Raises:
            MovaError: the recipe or the installation cannot do any unit, or a budget is spent.
            OSError: the output folder cannot be written.
        """

    def close(self) -> None:
        """Let go of what it holds beyond a stage; a later `run` takes it again."""
