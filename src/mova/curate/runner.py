"""A run: every stage over every unit that is not complete, the verdicts between them, and the tables at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from mova.curate.assemble import DUPLICATE, write_captioned, write_final, write_scored
from mova.curate.config.verdicts import Gate
from mova.curate.decide.evidence import iter_kept, read_evidence, write_verdicts
from mova.curate.decide.verdicts import decide
from mova.curate.executors.base import Executor
from mova.curate.folder import OutputFolder
from mova.curate.listing import listed_digest, take_list
from mova.curate.progress import Meter, OnProgress
from mova.curate.records import ClipRecord, SourceRecord, State
from mova.curate.source_table import iter_sources, write_sources
from mova.curate.stage import Stage, Unit
from mova.curate.summary import write_summary
from mova.curate.sweep import sweep
from mova.curate.tables import arrow, clips_of, num_rows, read_unit, score_names
from mova.curate.units import (
    MOST_CLIPS,
    Manifest,
    Task,
    clip_digests,
    digest_of,
    is_done,
    read_manifest,
    unit_of_clips,
    unit_of_source,
)
from mova.errors import ConfigError, DataError
from mova.files.json_file import read_object, shorten
from mova.files.lock import lock_folder
from mova.version import package_version

FREE: Final = (
    *(f"{name}{rest}" for name in ("verdicts", "execution", "output", "export") for rest in ("", ".*")),
    *("source.most_gib", "source.keep_free_gib", "cut.limit_s", "cut.limit_factor", "cut.memory_mib"),
    *("score.weights", "score.batch", "caption.concurrency", "caption.give_up_after", "caption.budget.*"),
    *(f"caption.*.{key}" for key in ("base_url", "api_key_env", "timeout_s", "deadline_s", "attempts", "stream")),
)
"""Keys of a recipe that may change between runs over one output folder: none decides over what the rows say but for
the verdicts, which are made anew, and weights, whose files count for themselves."""
_MOST_DIFFERENCES: Final = 10
_LOG = logging.getLogger(__name__)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Run:
    """What a run is made of.

    Attributes:
        root: output folder.
        recipe: resolved, as plain values for JSON.
        sources: gives all sources; may be asked several times.
        cut: stage 1.
        score: stage 2, without the verdicts.
        caption: stage 3; None makes no captions.
        gates: of the verdicts.
        executor: does the units.
        retry_failed: whether what failed in an earlier run is tried again.
        frame_rate: of the clips, in frames per second.
        on_progress: is told how far each stage is.
        begin: called when the folder is held and its recipe is the run's own.
        finish: called when the tables are complete, while the folder is still held; says whether captions were made.
    """

    root: Path
    recipe: Mapping[str, Any]
    sources: Callable[[], Iterator[SourceRecord]]
    cut: Stage
    score: Stage
    caption: Stage | None
    gates: Sequence[Gate]
    executor: Executor
    retry_failed: bool = False
    frame_rate: float = 24.0
    on_progress: OnProgress = field(default=_nothing)
    begin: Callable[[], None] = field(default=_nothing)
    finish: Callable[[bool], None] = field(default=_nothing)

    @property
    def folder(self) -> OutputFolder:
        """The output folder with its paths."""
        return OutputFolder(self.root)

    @property
    def caption_name(self) -> str:
        """Name of stage 3, whether it is done or not."""
        return "caption" if self.caption is None else self.caption.name


def run_all(run: Run, *, limit: int | None = None) -> Path:
    """Do all stages; what is complete already is not done again.

    Args:
        run: what to do.
        limit: take at most so many sources; a larger sample holds a smaller one.

    Returns:
        The final table.

    Raises:
        ConfigError: the folder is in use or belongs to another recipe, or the recipe asks for what cannot be.
        DataError: there is no source, or the folder is full or cannot be written.
        MissingExtraError: a package is not installed.
    """
    with _holding(run):
        _check_recipe(run)
        stages = [stage.name for stage in (run.cut, run.score, run.caption) if stage is not None]
        chosen = take_list(run.folder, run.sources(), stages, limit)
        # Not before there is something to do: a mistake in the sources must not bind the folder to its recipe.
        _claim(run)
        _cut(run, chosen)
        names = _score(run)
        write_scored(run.folder, run.cut.name, run.score.name, names)
        return _conclude(run, run.caption)


def run_verdicts(run: Run) -> Path:
    """Decide again on all clips that an earlier run scored, and write the final table; no media is touched.

    Returns:
        The final table.

    Raises:
        ConfigError: the folder is in use or belongs to another recipe.
        DataError: nothing was scored there yet, or the folder is full or cannot be written.
    """
    if not run.folder.table(run.score.name).exists():
        raise DataError(f"{run.root} must hold scored clips, and has none yet; run `mova curate` to its end first")
    with _holding(run):
        _check_recipe(run)
        _claim(run)
        return _conclude(run, None)


@contextmanager
def _holding(run: Run) -> Iterator[None]:
    run.folder.check_own()
    with lock_folder(run.root, "output folder"), run.folder.must_hold(), closing(run.executor):
        yield


def _check_recipe(run: Run) -> None:
    """See that the recipe is the one that the folder was begun with, if it was begun.

    Raises:
        ConfigError: it is another one; the text says what differs.
    """
    folder = run.folder
    if folder.recipe.exists():
        former = read_object(folder.recipe, error=ConfigError).fields("recipe").values
        if differences := _differences(former, run.recipe):
            raise ConfigError(
                f"{run.root} was begun with another recipe; {'; '.join(differences[:_MOST_DIFFERENCES])}. Choose "
                "another output folder, or the recipe that it was begun with"
            )
    # Not before: what lies in a folder of something else is not ours to remove.
    folder.prepare()


def _claim(run: Run) -> None:
    """Note the recipe in the folder."""
    folder = run.folder
    folder.write_json(folder.recipe, {"mova": package_version(), "recipe": run.recipe})
    run.begin()


def _differences(former: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two recipes, but for sections that may, a line for each key."""
    one, other = dict(_flat(former)), dict(_flat(now))
    keys = [key for key in {**one, **other} if not any(fnmatchcase(key, pattern) for pattern in FREE)]
    return [
        f"{key} is {shorten(other.get(key, 'absent'))} and was {shorten(one.get(key, 'absent'))}"
        for key in sorted(keys)
        if one.get(key) != other.get(key)
    ]


def _flat(value: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        if isinstance(part, Mapping) and part:
            yield from _flat(part, f"{head}{name}.")
        else:
            yield f"{head}{name}", list(part) if isinstance(part, tuple) else part


def _cut(run: Run, chosen: Path) -> None:
    """Do stage 1 and write the table of sources."""
    folder, stage = run.folder, run.cut
    meter = Meter(stage.name, "sources", num_rows(chosen), run.on_progress)

    def tasks() -> Iterator[Task]:
        for source in iter_sources(chosen):
            unit_id, digest = unit_of_source(source.uri), listed_digest(source)
            manifest = read_manifest(folder, stage.name, unit_id)
            if is_done(manifest, stage, digest, retry_failed=run.retry_failed):
                meter.add(1)
            else:
                yield Task(Unit(unit_id, source), digest)

    run.executor.run(stage, tasks(), run.root, lambda manifest: meter.add(1, manifest.num_clips))
    write_sources(folder, folder.sources, _concluded(folder, stage, chosen))
    if folder.sweep.exists():
        sweep(folder, stage.name)


def _concluded(folder: OutputFolder, stage: Stage, chosen: Path) -> Iterator[tuple[SourceRecord, int]]:
    """Yield what became of each source, and how many of its clips go on."""
    # Sixteen bytes for each source that goes on: all that a run holds of all sources at once.
    seen: set[bytes] = set()
    for listed in iter_sources(chosen):
        manifest = _manifest(folder, stage.name, unit_of_source(listed.uri))
        source, count = manifest.source, manifest.kept
        if source.state is State.KEPT:
            contents = bytes.fromhex(source.sha256)[:16]
            if contents and contents in seen:
                reason = f"{DUPLICATE}: an earlier source has the same contents"
                source, count = replace(source, state=State.REJECTED, reasons=(reason,)), 0
            elif not count:
                source = replace(source, state=State.REJECTED, reasons=("no_clips: none of its clips goes on",))
            seen.add(contents)
        yield source, count


def _score(run: Run) -> list[str]:
    """Score the clips of all sources; return the names of the measures."""
    folder, stage = run.folder, run.score
    total = sum(_kept_of(folder, run.cut.name, source) for source in _good_sources(folder))
    meter = Meter(stage.name, "clips", total, run.on_progress)
    names: set[str] = set()

    def note(manifest: Manifest) -> None:
        names.update(manifest.scores)

    def tasks() -> Iterator[Task]:
        for source in _good_sources(folder):
            unit = unit_of_source(source.uri)
            before = _manifest(folder, run.cut.name, unit)
            clips: list[ClipRecord] | None = None
            for number in range(-(-before.kept // MOST_CLIPS)):
                unit_id, digest = unit_of_clips(unit, number), digest_of(before.rows_digest, number)
                manifest = read_manifest(folder, stage.name, unit_id)
                if manifest is not None and is_done(manifest, stage, digest, retry_failed=run.retry_failed):
                    note(manifest)
                    meter.add(manifest.num_clips)
                    continue
                if clips is None:
                    rows = read_unit(folder.rows(run.cut.name, unit))
                    clips = [clip for clip in rows if clip.state is State.KEPT]
                chunk = tuple(clips[number * MOST_CLIPS : (number + 1) * MOST_CLIPS])
                yield Task(Unit(unit_id, source, chunk), digest)

    def on_done(manifest: Manifest) -> None:
        note(manifest)
        meter.add(manifest.num_clips, manifest.num_clips)

    run.executor.run(stage, tasks(), run.root, on_done)
    return sorted(names)


def _conclude(run: Run, caption: Stage | None) -> Path:
    """Decide, make captions of what is kept if a stage is given, and write the tables."""
    folder = run.folder
    scored = folder.table(run.score.name)
    decisions = decide(run.gates, read_evidence(scored, run.gates))
    write_verdicts(folder, scored, decisions)
    if caption is not None:
        _caption(run, caption)
    kept = ((unit_id, frozenset(clip.clip_id for clip in clips)) for unit_id, clips in _kept(run))
    write_captioned(folder, run.caption_name, kept)
    waiting = write_final(folder, run.score.name, run.caption_name)
    if waiting and run.caption is not None:
        _LOG.warning("%d clips are kept and have no captions yet: `mova curate` makes them", waiting)
    write_summary(folder, (run.cut.name, run.score.name, run.caption_name), decisions, run.frame_rate)
    run.finish(caption is not None)
    return folder.clips


def _caption(run: Run, stage: Stage) -> None:
    """Make captions of the clips that are kept; those that are there already are not asked for again."""
    folder = run.folder
    total = sum(int(is_kept.sum()) for _, _, is_kept in iter_kept(folder, folder.table(run.score.name)))
    meter = Meter(stage.name, "clips", total, run.on_progress)

    def tasks() -> Iterator[Task]:
        for unit_id, clips in _kept(run):
            digests = clip_digests(stage, clips)
            manifest = read_manifest(folder, stage.name, unit_id)
            if manifest is not None and manifest.stage_digest == stage.digest:
                has_all = all(manifest.clips.get(clip) == digest for clip, digest in digests.items())
                if has_all and not (run.retry_failed and manifest.has_failures):
                    meter.add(len(clips))
                    continue
            source = _manifest(folder, run.cut.name, unit_of_source(clips[0].uri)).source
            yield Task(Unit(unit_id, source, tuple(clips)), digest_of(sorted(digests.items())), digests)

    sizes: dict[str, int] = {}

    def counted() -> Iterator[Task]:
        for task in tasks():
            sizes[task.unit.unit_id] = len(task.unit.clips)
            yield task

    def on_done(manifest: Manifest) -> None:
        count = sizes.pop(manifest.unit_id)
        meter.add(count, count)

    run.executor.run(stage, counted(), run.root, on_done)


def _kept(run: Run) -> Iterator[tuple[str, list[ClipRecord]]]:
    """Yield the clips that the verdicts keep, by unit of the stage before, in order; units without any are left out."""
    folder = run.folder
    scored = folder.table(run.score.name)
    names = score_names(scored)
    source, number, unit_id = "", 0, ""
    clips: list[ClipRecord] = []
    for piece, _, is_kept in iter_kept(folder, scored):
        places = zip(piece.column("uri").to_pylist(), piece.column("stage").to_pylist(), is_kept.tolist(), strict=True)
        records = clips_of(piece.filter(arrow().array(is_kept)), names)
        for uri, stage, wanted in places:
            if uri != source:
                source, number = uri, 0
            if stage != run.score.name:
                continue
            mine = unit_of_clips(unit_of_source(uri), number // MOST_CLIPS)
            number += 1
            if mine != unit_id:
                if clips:
                    yield unit_id, clips
                unit_id, clips = mine, []
            if wanted:
                clips.append(next(records))
    if clips:
        yield unit_id, clips


def _good_sources(folder: OutputFolder) -> Iterator[SourceRecord]:
    return (source for source in iter_sources(folder.sources) if source.state is State.KEPT)


def _kept_of(folder: OutputFolder, stage: str, source: SourceRecord) -> int:
    return _manifest(folder, stage, unit_of_source(source.uri)).kept


def _manifest(folder: OutputFolder, stage: str, unit_id: str) -> Manifest:
    manifest = read_manifest(folder, stage, unit_id)
    if manifest is None:
        raise DataError(f"{folder.manifest(stage, unit_id)} is damaged; run the same command again")
    return manifest
