"""Why a clip is kept, rejected or failed: every gate with what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from mova.curate.decide.verdicts import NEAR_DUPLICATES, reason_of
from mova.curate.folder import OutputFolder
from mova.curate.records import ClipRecord
from mova.curate.summary import read_summary
from mova.curate.tables import arrow, clips_of, iter_batches, score_names
from mova.errors import DataError
from mova.files.json_file import Fields, as_fields, shorten
from mova.scorers.base import Absence
from mova.scorers.registry import all_spaces

_MOST_NAMED: Final = 5
_NOT_MEASURED: Final = "no scorer of this run measures it"


@dataclass(frozen=True)
class GateView:
    """What a gate says of a clip.

    Attributes:
        rule: the gate in words.
        says: "met", "not met", "not applied", "not applicable" or "not measured".
        measured: values, or the reasons why there are none, by measure.
    """

    rule: str
    says: str
    measured: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """A clip, what became of it, and why.

    Attributes:
        clip: the row of the final table.
        stage: that decided last.
        gates: of the verdicts; empty for a clip that did not come so far.
    """

    clip: ClipRecord
    stage: str
    gates: tuple[GateView, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the explanation as lines of text."""
        clip = self.clip
        head = [
            f"{clip.clip_id}: {clip.state} ({self.stage})",
            f"  of {clip.uri}, from {clip.start_s:.3f} s, {clip.num_frames} frames, {clip.kind}",
            f"  file: {clip.path or 'none'}",
            *(f"  {reason}" for reason in clip.reasons),
        ]
        for gate in self.gates:
            measured = "; ".join(f"{name}: {text}" for name, text in gate.measured.items())
            head.append(f"  {gate.says:<14} {gate.rule}" + (f"  [{measured}]" if measured else ""))
        return head


def explain_clip(root: Path, name: str) -> Explanation:
    """Return why a clip is kept, rejected or failed.

    Args:
        root: output folder of a finished run.
        name: id of the clip, the beginning of it that no other has, or its file.

    Raises:
        DataError: there is no finished run, or no such clip, or several.
    """
    folder = OutputFolder(root)
    clip, stage, skipped = _find(folder, Path(name).stem if name.endswith(".mp4") else name)
    summary = read_summary(folder)
    gates = [as_fields(gate, f"{summary.where}: gates", error=DataError) for gate in summary.list("gates")]
    had_verdict = stage in ("verdicts", "caption")
    return Explanation(clip, stage, tuple(_view(gate, clip, skipped) for gate in gates) if had_verdict else ())


def _find(folder: OutputFolder, name: str) -> tuple[ClipRecord, str, list[str]]:
    pc, names = arrow().compute, score_names(folder.clips)
    found: list[tuple[ClipRecord, str, list[str]]] = []
    for batch in iter_batches(folder.clips):
        piece = batch.filter(pc.starts_with(batch.column("clip_id"), name))
        stages, skipped = (piece.column(key).to_pylist() for key in ("stage", "gates_not_applied"))
        found += zip(clips_of(piece, names), stages, skipped, strict=True)
        if len(found) > _MOST_NAMED:
            break
    exact = [one for one in found if one[0].clip_id == name]
    if not found or not name:
        raise DataError(f"a clip must be one of {folder.clips}, and none has an id that begins with {shorten(name)}")
    if len(found) > 1 and not exact:
        ids = ", ".join(one[0].clip_id for one in found[:_MOST_NAMED])
        raise DataError(f"a clip must be named by a beginning that no other has, got {shorten(name)}: {ids}")
    return (exact or found)[0]


def _view(gate: Fields, clip: ClipRecord, skipped: list[str]) -> GateView:
    name, rule, measured = gate.text("name"), gate.text("rule"), dict(_measured(gate, clip))
    # By the condition too: several gates may look at one measure, and at tags.
    not_met = reason_of(name, rule.removeprefix(f"{name} "))
    if any(reason == not_met or reason.startswith(f"{name}: of ") for reason in clip.reasons):
        says = "not met"
    elif name in skipped:
        says = "not applied"
    elif f"not_measured: {name}: " in " ".join(clip.reasons):
        says = "not measured"
    elif measured and all(text.startswith(Absence.NOT_APPLICABLE) for text in measured.values()):
        says = "not applicable"
    else:
        says = "met"
    if name == "tags":
        measured = {"tags": ", ".join(clip.tags) or "none"}
    return GateView(rule, says, measured)


def _measured(gate: Fields, clip: ClipRecord) -> Iterator[tuple[str, str]]:
    for key in gate.fields("thresholds").values:
        measure = key.rpartition(".")[0] or (key if key in clip.scores else gate.text("name"))
        score = clip.scores.get(measure)
        if score is not None:
            yield measure, score.reason if score.value is None else f"{score.value:.6g}"
        elif measure in _measure_of_space():
            behind = clip.scores.get(_measure_of_space()[measure])
            if behind is None or behind.value is None:
                yield measure, _NOT_MEASURED if behind is None else behind.reason
        elif measure in (gate.text("name"), *gate.text("name").split(" or ")) and measure != NEAR_DUPLICATES:
            yield measure, _NOT_MEASURED


@lru_cache(maxsize=1)
def _measure_of_space() -> dict[str, str]:
    """Return, by name of an embedding, the measure that tells why there is none."""
    return {space.name: space.measure for space in all_spaces()}
