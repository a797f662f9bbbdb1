"""Units of work: how they are named, done, and marked as complete; what a unit needs is in its own files."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mova.curate.folder import OutputFolder
from mova.curate.records import ClipRecord, SourceRecord, State
from mova.curate.stage import Stage, Unit, UnitRows
from mova.curate.tables import read_unit, write_unit
from mova.errors import CheckpointError, ConfigError, DataError, MissingExtraError, MovaError, StageError
from mova.files.json_file import Fields, read_object, shorten_text

MOST_CLIPS: Final = 32
"""Clips of a unit after stage 1."""
LOST: Final = "worker_lost"
"""How the reason of a unit begins whose worker ended each time."""
STORAGE: Final = "storage"
"""How the reason of a unit begins whose source could not be read from its storage."""
_SPACE: Final = uuid.UUID("5d2a1c0e-6d0d-5b0f-8a5a-2f6f0a3c9d11")
_LONGEST_WAIT_S: Final = 30.0
_MOST_BYTES: Final = 2**22
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A unit that is to be done.

    Attributes:
        unit: the unit.
        input_digest: of all that its rows depend on beside the stage.
        clips: digests of what the stage reads of each clip, by the clip's id; rows that are there for the same digest
            are taken as they are. Empty where a unit is done as a whole.
    """

    unit: Unit
    input_digest: str
    clips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What is written last of a unit.

    Attributes:
        unit_id: of the unit.
        stage_digest: of the stage that did it.
        input_digest: of its task.
        clips: of its task, with those that were there before.
        source: of the unit, as the stage gave it back.
        kept: clips that go on.
        rejected: clips that do not.
        failed: clips that could not be worked on.
        scores: names of the measures that its rows have.
        seconds: what it took.
        rows_digest: of the table of its rows.
    """

    unit_id: str
    stage_digest: str
    input_digest: str
    source: SourceRecord
    clips: Mapping[str, str] = field(default_factory=dict)
    kept: int = 0
    rejected: int = 0
    failed: int = 0
    scores: tuple[str, ...] = ()
    seconds: float = 0.0
    rows_digest: str = ""

    @property
    def num_clips(self) -> int:
        """Clips in all."""
        return self.kept + self.rejected + self.failed

    @property
    def has_failures(self) -> bool:
        """Whether the unit, or a clip of it, could not be worked on."""
        return self.failed > 0 or self.source.state is State.FAILED


@dataclass(frozen=True)
class Patience:
    """How often something is tried that may go better the next time.

    Attributes:
        attempts: in all.
        wait_s: before the second one; each further wait is twice as long.
    """

    attempts: int = 3
    wait_s: float = 1.0

    def wait(self, attempt: int) -> None:
        """Wait after an attempt, counted from 1."""
        time.sleep(min(_LONGEST_WAIT_S, self.wait_s * 2 ** (attempt - 1)))


def unit_of_source(uri: str) -> str:
    """Return the id of the unit of stage 1 for a source: the same as long as the source has its place."""
    return str(uuid.uuid5(_SPACE, uri))


def unit_of_clips(source_unit: str, number: int) -> str:
    """Return the id of a unit of later stages.

    Args:
        source_unit: id of the source's unit of stage 1.
        number: of the unit among those of its source, from 0.
    """
    return f"{source_unit}-{number:05d}"


def digest_of(*parts: object) -> str:
    """Return a digest of values that have one text each."""
    return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()[:32]


def perform(stage: Stage, task: Task, root: Path, patience: Patience) -> Manifest:
    """Do a unit and write its rows, then the mark that they are complete; in whatever process this is called.

    Args:
        stage: that does it.
        task: the unit.
        root: output folder.
        patience: for storage that does not answer.

    Raises:
        MovaError: the recipe or the installation cannot do any unit, or a budget is spent.
        OSError: the output folder cannot be written.
    """
    folder = OutputFolder(root)
    begun = time.monotonic()
    former = _former_rows(stage, task, folder)
    unit = replace(task.unit, clips=tuple(clip for clip in task.unit.clips if clip.clip_id not in former))
    rows = _run(stage, unit, folder, patience) if unit.clips or not former else UnitRows(unit.source, ())
    clips = sorted((*former.values(), *rows.clips), key=lambda clip: clip.start_s)
    return _commit(stage, task, folder, UnitRows(rows.source, tuple(clips)), time.monotonic() - begun)


def give_up(stage: Stage, task: Task, root: Path, reason: str) -> Manifest:
    """Write the rows of a unit that cannot be done.

    Args:
        stage: that could not do it.
        task: the unit.
        root: output folder.
        reason: why; begins with a name.

    Raises:
        OSError: the output folder cannot be written.
    """
    folder = OutputFolder(root)
    former = _former_rows(stage, task, folder)
    rows = _failed(task.unit, reason)
    clips = [former.get(clip.clip_id, clip) for clip in rows.clips]
    return _commit(stage, task, folder, UnitRows(rows.source, tuple(clips)), 0.0)


def read_manifest(folder: OutputFolder, stage: str, unit_id: str) -> Manifest | None:
    """Return what was written last of a unit; None where it is not complete.

    A manifest that cannot be understood counts as none, and so does one whose table is not there as it was written:
    the unit is done again.
    """
    path = folder.manifest(stage, unit_id)
    if not path.exists():
        return None
    try:
        manifest = _manifest(read_object(path, error=DataError, most_bytes=_MOST_BYTES))
        if manifest.rows_digest != _file_digest(folder.rows(stage, unit_id)):
            raise DataError("its table is another one")
    except (DataError, OSError, ValueError, TypeError) as error:
        _LOG.warning("%s is damaged, and its unit is done again: %s", path, error)
        return None
    return manifest


def is_done(manifest: Manifest | None, stage: Stage, task_digest: str, *, retry_failed: bool) -> bool:
    """Say whether a unit needs nothing more.

    Args:
        manifest: of the unit, if there is one.
        stage: that does it.
        task_digest: digest of the unit's input.
        retry_failed: whether what failed is tried again.
    """
    if manifest is None or manifest.stage_digest != stage.digest:
        return False
    return manifest.input_digest == task_digest and not (retry_failed and manifest.has_failures)


def _former_rows(stage: Stage, task: Task, folder: OutputFolder) -> dict[str, ClipRecord]:
    """Return the rows that an earlier run made of the same clips, by id: what was paid for is not asked again."""
    manifest = read_manifest(folder, stage.name, task.unit.unit_id) if task.clips else None
    if manifest is None or manifest.stage_digest != stage.digest:
        return {}
    try:
        rows = read_unit(folder.rows(stage.name, task.unit.unit_id))
    except DataError:
        return {}
    wanted = {clip: digest for clip, digest in manifest.clips.items() if task.clips.get(clip, digest) == digest}
    return {row.clip_id: row for row in rows if row.clip_id in wanted and row.state is not State.FAILED}


def _run(stage: Stage, unit: Unit, folder: OutputFolder, patience: Patience) -> UnitRows:
    """Run a stage; what goes wrong with this unit alone becomes its reason."""
    for attempt in range(1, patience.attempts + 1):
        try:
            return stage.run(unit, folder.root)
        except (ConfigError, CheckpointError, MissingExtraError, StageError):
            raise
        except MovaError as error:
            return _failed(unit, str(error))
        except OSError as error:
            if folder.is_at_fault(error):
                raise
            if attempt == patience.attempts:
                return _failed(unit, f"{STORAGE}: {error}")
            patience.wait(attempt)
        except MemoryError:
            return _failed(unit, "memory: there was not enough for this unit")
        except Exception as error:
            _LOG.exception("%s of %s", stage.name, unit.source.uri)
            return _failed(unit, f"bug: {type(error).__name__}: {error}")
    raise AssertionError("at least one attempt")


def _failed(unit: Unit, reason: str) -> UnitRows:
    reasons = (shorten_text(reason, 1000),)
    source = unit.source if unit.clips else replace(unit.source, state=State.FAILED, reasons=reasons)
    return UnitRows(source, tuple(replace(clip, state=State.FAILED, reasons=reasons) for clip in unit.clips))


def _commit(stage: Stage, task: Task, folder: OutputFolder, rows: UnitRows, seconds: float) -> Manifest:
    unit_id = task.unit.unit_id
    mark, table = folder.manifest(stage.name, unit_id), folder.rows(stage.name, unit_id)
    former = read_manifest(folder, stage.name, unit_id) if task.clips else None
    known = former.clips if former is not None else {}
    there = {clip.clip_id for clip in rows.clips}
    # Not complete from here on, until the new mark is there.
    mark.unlink(missing_ok=True)
    write_unit(folder, table, rows.clips)
    states = [clip.state for clip in rows.clips]
    manifest = Manifest(
        unit_id,
        stage.digest,
        task.input_digest,
        rows.source,
        {clip: digest for clip, digest in {**known, **task.clips}.items() if clip in there},
        kept=states.count(State.KEPT),
        rejected=states.count(State.REJECTED),
        failed=states.count(State.FAILED),
        scores=tuple(sorted({name for clip in rows.clips for name in clip.scores})),
        seconds=round(seconds, 3),
        rows_digest=_file_digest(table),
    )
    folder.write_json(mark, asdict(manifest))
    return manifest


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _manifest(fields: Fields) -> Manifest:
    source = fields.fields("source")
    return Manifest(
        unit_id=fields.text("unit_id"),
        stage_digest=fields.text("stage_digest"),
        input_digest=fields.text("input_digest"),
        source=SourceRecord(
            source.text("source_id"),
            source.text("uri"),
            source.text("sha256"),
            source.integer("size_bytes", least=0),
            licence=source.text("licence"),
            columns=_texts(source.fields("columns")),
            duration_s=source.number("duration_s"),
            state=State(source.text("state")),
            reasons=tuple(source.texts("reasons")),
            version=source.text("version"),
        ),
        clips=_texts(fields.fields("clips")),
        kept=fields.integer("kept", least=0),
        rejected=fields.integer("rejected", least=0),
        failed=fields.integer("failed", least=0),
        scores=tuple(fields.texts("scores")),
        seconds=fields.number("seconds"),
        rows_digest=fields.text("rows_digest"),
    )


def _texts(fields: Fields) -> dict[str, str]:
    return {name: fields.text(name) for name in fields.values}


def clip_digests(stage: Stage, clips: Iterable[ClipRecord]) -> dict[str, str]:
    """Return a digest of what a stage reads of each clip, by the clip's id."""
    reads: Sequence[str] = sorted(stage.reads)
    return {clip.clip_id: digest_of(*(_plain(getattr(clip, name)) for name in reads)) for clip in clips}


def _plain(value: Any) -> Any:
    """Return a value with one text, whatever order a mapping came in."""
    return sorted(value.items()) if isinstance(value, Mapping) else value
