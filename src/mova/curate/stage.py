"""What a stage is: it says what it reads, writes and needs, and turns a unit into rows wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mova.curate.records import ClipRecord, SourceRecord


@dataclass(frozen=True)
class Unit:
    """What is done or lost as a whole: one source in stage 1, some clips of one source afterwards.

    Attributes:
        unit_id: name of its files; the same in every run over the same input.
        source: of all of it; in stage 1 the record is what the list says, its state not yet known.
        clips: kept by the stage before; empty in stage 1.
    """

    unit_id: str
    source: SourceRecord
    clips: tuple[ClipRecord, ...] = ()


@dataclass(frozen=True)
class UnitRows:
    """What a stage made of a unit.

    Attributes:
        source: the record of the source, in stage 1 with what became of it.
        clips: a row for each clip, whatever became of it; in order of their start.
    """

    source: SourceRecord
    clips: tuple[ClipRecord, ...]


@dataclass(frozen=True)
class StageNeeds:
    """What the machine that runs a stage must have.

    Attributes:
        packages: modules that must be importable there.
        cores: processors that one unit keeps busy.
        memory_bytes: that one unit takes at most.
        gpus: devices that one unit takes.
    """

    packages: tuple[str, ...] = ()
    cores: float = 1.0
    memory_bytes: int = 2 * 2**30
    gpus: float = 0.0


class Stage(Protocol):
    """Turns units into rows. An instance is small and can be pickled; models are loaded by the first unit."""

    @property
    def name(self) -> str:
        """Name of its folder and of its row in the report: "cut", "score", "caption"."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Fields of `ClipRecord` that it reads."""

    @property
    def writes(self) -> tuple[str, ...]:
        """Fields of `ClipRecord` that it fills."""

    @property
    def needs(self) -> StageNeeds:
        """What the machine must have."""

    @property
    def digest(self) -> str:
        """Digest of all that its rows depend on beside their units: settings, versions of its rules, weights."""

    def run(self, unit: Unit, folder: Path) -> UnitRows:
        """Return the rows of a unit.

        What it writes beside them is complete or absent, and lies under names that depend on the unit alone, so that a
        unit can be done twice.

        Args:
            unit: what to work on.
            folder: output folder of the run.

        Raises:
            DataError: the unit cannot be done, and would not be the next time: its rows are failed with the text.
            StageError: nothing more can be done now, for example because a budget is spent: the run ends, and goes on
                when it is started again.
            OSError: the folder cannot be written: the run ends. Or the source's storage does not answer: it is tried
                again, and then the unit's rows are failed with the text.
        """
