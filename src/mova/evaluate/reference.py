"""A reference that clips are compared with: clips that are measured with them, or the report of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mova.errors import ConfigError, MediaError
from mova.evaluate.clips.find import find_clips
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import measure
from mova.evaluate.measure.store import SCORES_FILE, ScoreStore, read_embeddings
from mova.evaluate.results.distances import FIGURES, ReferenceVectors
from mova.files.json_file import Fields, as_fields, read_object
from mova.media.probe import probe

REPORT_FILE: Final = "report.json"


@dataclass(frozen=True)
class Reference:
    """What clips are compared with.

    Attributes:
        place: folder of it.
        clips: that are to be measured; none where the folder is the report of an evaluation.
        num_clips: how many there are.
    """

    place: Path
    clips: tuple[ClipItem, ...]
    num_clips: int

    @property
    def is_report(self) -> bool:
        """Whether its clips were measured before."""
        return not self.clips

    def to_json(self) -> dict[str, object]:
        """Return what a report says of it."""
        return {"place": str(self.place), "num_clips": self.num_clips, "measured_before": self.is_report}


def open_reference(
    place: Path, plan: MeasurePlan, ours: Sequence[ClipItem] = (), report: Path | None = None
) -> Reference:
    """Return a reference, checked before anything is decoded but the heads of its files.

    Args:
        place: folder of clips with audio, see `find_clips`, or the report folder of another evaluation.
        plan: what is measured.
        ours: clips that are compared with it.
        report: folder of this evaluation; None for none.

    Raises:
        ConfigError: no scorer of the plan embeds sounds; there is no clip, or none has audio; they are the clips that
            are compared; or a report was made with other weights.
    """
    names = _embedding_scorers(plan)
    if not names:
        makers = ", ".join(dict.fromkeys(one.scorer for one in FIGURES))
        raise ConfigError(
            f"reference needs a scorer that embeds sounds ({makers}), got {', '.join(plan.names)}; nearest is to name "
            "one of them in --metrics too"
        )
    if not place.is_dir():
        raise ConfigError(f"reference must be a folder of clips or of a report, got {place}, which is none")
    if report is not None and place.resolve() == report.resolve():
        raise ConfigError(f"reference must be other clips than those that are compared, got this report folder {place}")
    if (place / REPORT_FILE).is_file() and (place / SCORES_FILE).is_file():
        document = read_object(place / REPORT_FILE, error=ConfigError, most_bytes=1 << 30)
        _check_weights(document.fields("run"), plan, names, place)
        files = [Path(clip.text("path")) for clip in _clips_of(document)]
        _check_others([path for path in files if path.name], ours, place)
        return Reference(place, (), len(files))
    clips = find_clips(place)
    _check_others([one.path for one in clips if one.path is not None], ours, place)
    if not any(one.path is not None and _has_audio(one.path) for one in clips):
        raise ConfigError(f"reference must be clips with audio, got {place}, where none of {len(clips)} has any")
    return Reference(place, clips, len(clips))


def reference_vectors(
    reference: Reference,
    plan: MeasurePlan,
    store: ScoreStore,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ReferenceVectors:
    """Return the embeddings of a reference; what is known is taken from the store, the rest is found and kept there.

    Args:
        reference: of `open_reference`.
        plan: of the evaluation; of it those scorers are applied that embed sounds.
        store: of the evaluation.
        workers: number of processes.
        on_progress: see `measure`.

    Raises:
        ConfigError: a report is damaged.
        OSError: a clip cannot be read, or the store not be written.
    """
    names = _embedding_scorers(plan)
    wanted = {one.embedding: one.scorer for one in FIGURES if one.scorer in names}
    if reference.is_report:
        document = read_object(reference.place / REPORT_FILE, error=ConfigError, most_bytes=1 << 30)
        applied = document.fields("run").texts("scorers", [])
        values = {clip.text("id"): clip.fields("scores").values for clip in _clips_of(document)}
        found = read_embeddings(reference.place, wanted, values)
        absent = {name: f"the reference was not measured with {name}" for name in names if name not in applied}
        return ReferenceVectors(reference.num_clips, found, absent)
    own = MeasurePlan(names, plan.settings)
    measured = measure(reference.clips, own, store, workers=workers, on_progress=on_progress)
    vectors: dict[str, Mapping[str, np.ndarray]] = {}
    for embedding, scorer in wanted.items():
        kept = {one.item.id: one.findings[scorer].embeddings.get(embedding) for one in measured}
        vectors[embedding] = {name: vector for name, vector in kept.items() if vector is not None}
    return ReferenceVectors(reference.num_clips, vectors, {})


def _embedding_scorers(plan: MeasurePlan) -> tuple[str, ...]:
    makers = {one.scorer for one in FIGURES}
    return tuple(name for name in plan.names if name in makers)


def _clips_of(document: Fields) -> list[Fields]:
    return [as_fields(one, f"{document.where}: clips", error=ConfigError) for one in document.list("clips")]


def _check_others(files: Sequence[Path], ours: Sequence[ClipItem], place: Path) -> None:
    own = {one.path.resolve() for one in ours if one.path is not None}
    same = sum(path.resolve() in own for path in files)
    if same:
        raise ConfigError(
            f"reference must be other clips than those that are compared, got {place}, of which {same} of {len(files)} "
            "are among CLIPS: they are no distance away from themselves"
        )


def _check_weights(run: Fields, plan: MeasurePlan, names: Sequence[str], place: Path) -> None:
    theirs = run.fields("weights_sha256").values
    for name in names:
        for file, digest in plan.weights_of(name).items():
            if file in theirs and theirs[file] != digest:
                raise ConfigError(
                    f"reference must have been measured with the same weights, got {place} with {file} of SHA-256 "
                    f"{theirs[file]}, here it is {digest}"
                )


def _has_audio(path: Path) -> bool:
    try:
        return probe(path).audio is not None
    except MediaError:
        return False
