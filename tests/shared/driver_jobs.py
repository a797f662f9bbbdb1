"""A driver of many units that hold next to nothing, as a process of its own that says its peak of memory.

It is to be imported and not run, so that the workers of a cluster find the stage by its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mova.curate.executors.local import LocalExecutor
from mova.curate.executors.ray import RayExecutor
from mova.curate.records import SourceRecord
from mova.curate.stage import StageNeeds, Unit, UnitRows
from mova.curate.units import Patience, Task, unit_of_source
from peak_memory import peak_bytes

_NEEDS = StageNeeds()


@dataclass(frozen=True)
class Nothing:
    """A stage that gives a source back as it was."""

    name: str = "cut"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    needs: StageNeeds = _NEEDS
    digest: str = "nothing 1"

    def run(self, unit: Unit, folder: Path) -> UnitRows:  # noqa: ARG002
        """Do nothing."""
        return UnitRows(unit.source, ())


def tasks(count: int) -> Iterator[Task]:
    """Units of sources whose rows have some length."""
    for number in range(count):
        source = SourceRecord("", f"s3://bucket/{number:09d}.mp4", "", 10**9, columns={"note": f"{number} " * 200})
        yield Task(Unit(unit_of_source(source.uri), source), str(number))


def main(executor: str, count: str, portion: str, folder: str) -> None:
    """Do the units, and write the count of those that were done and the peak of this process in bytes."""
    patience = Patience(3, 0.0)
    runs = LocalExecutor(1, patience) if executor == "local" else RayExecutor("", 1, patience, int(portion))
    done = 0

    def on_done(_: object) -> None:
        nonlocal done
        done += 1

    runs.run(Nothing(), tasks(int(count)), Path(folder), on_done)
    peak = peak_bytes()
    runs.close()
    sys.stdout.write(f"{done} {peak}\n")
