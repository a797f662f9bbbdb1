"""The toy world as a benchmark: how often what is heard happens when it is seen, and whether it is what was asked for.

Beside the figures of the generated clips stand two others: the ceiling, rendered clips sent through the autoencoders
and back, and chance, each clip with the sound of another clip of its kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.evaluate.parts import score_parts
from mova.evaluate.stats import Estimate, mean, of_pooled, ratio
from mova.evaluate.subject import Subject
from mova.toyworld.render import RenderedClip, first_frame
from mova.toyworld.scenes.registry import SCENES
from mova.toyworld.score import ClipScore, count_events, score_clip
from mova.types import Clip

HELD_OUT_WORDS: Final = "with held-out combinations"
TRAINED_WORDS: Final = "without"
NUM_SHUFFLES: Final = 8

FloatArray = NDArray[np.float64]
Summary = dict[str, Estimate]
OnClip = Callable[[int, RenderedClip, Clip, "Scored"], None]


@dataclass(frozen=True)
class Scored:
    """The measures of one scene.

    Attributes:
        score: score of the generated clip.
        ceiling: score of the rendered clip sent through the autoencoders; None where there are none.
        parts: scores of equal parts of the generated clip, one after another; none where they are not asked for.
    """

    score: ClipScore
    ceiling: ClipScore | None = None
    parts: tuple[ClipScore, ...] = ()


# One row of the report each: the words that it is printed with, and how it is written.
ROWS: Final[dict[str, tuple[str, str]]] = {
    "recall": ("visible events with a sound within one frame", "share"),
    "precision": ("sounds with a visible event within one frame", "share"),
    "offset_median_abs_ms": ("distance of sound from picture, median", "ms"),
    "offset_p95_abs_ms": ("distance of sound from picture, 95th percentile", "ms"),
    "offset_median_ms": ("sound after picture, median", "ms"),
    "end_offset_median_abs_ms": ("distance of the voice's end from the closing of the mouth, median", "ms"),
    "material_right": ("timbre of floor, bars or keys right", "share"),
    "pitch_right": ("note or voice of what is seen", "share"),
    "order_right": ("what is seen and heard in the caption's order", "share"),
    "vowel_right": ("what is said is what is seen", "share"),
    "speaker_right": ("right face and right voice in the caption's order", "share"),
    "place_right": ("place of what is seen right", "share"),
    "landing_right": ("first landing of the ball on time", "share"),
    "colour_right": ("colours right", "share"),
    "size_kept": ("size of the object kept", "share"),
    "faithful": ("first frame kept", "share"),
    "background_kept": ("background kept", "share"),
    "background_right": ("wall of the caption's colour", "share"),
    "held_psnr": ("PSNR of the frames that were given", "dB"),
    "seams_quiet": ("no click where parts were joined", "share"),
    "start_kept": ("object starts where the first frame shows it", "share"),
    "nothing_seen": ("clips without any visible event", "share"),
    "nothing_heard": ("clips without any sound", "share"),
}
# Rows of what only some clips are asked for; a table without any such figure leaves them out.
OPTIONAL_ROWS: Final = ("background_right", "held_psnr", "seams_quiet")
# Those rows that are the share of clips with a property of `ClipScore` of the same name.
CLIP_MEASURES: Final = tuple(name for name in ROWS if hasattr(ClipScore, name) or name in ClipScore.__annotations__)


@dataclass(frozen=True)
class ToyworldReport:
    """The figures of one run.

    Attributes:
        overall: each figure of `ROWS` over all clips.
        by_kind: the same for each kind of scene.
        by_combination: the same for scenes "with held-out combinations" and "without"; empty where not asked for.
        chance: recall and precision with the sound of other clips; empty where no kind has two clips.
        ceiling: the figures of re-encoded rendered clips, None where there was no autoencoder.
        scores: every clip's own measures.
        by_part: the same for each of the equal parts of the clips, "part 1 of 4" and so on; empty where not asked for.
    """

    overall: Summary
    by_kind: dict[str, Summary]
    by_combination: dict[str, Summary]
    chance: Summary
    ceiling: Summary | None
    scores: tuple[ClipScore, ...]
    by_part: dict[str, Summary] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return everything, each clip's measures included, as JSON text."""
        document = {
            "num_clips": len(self.scores),
            "overall": _as_json(self.overall),
            "by_kind": {kind: _as_json(summary) for kind, summary in self.by_kind.items()},
            "by_combination": {name: _as_json(summary) for name, summary in self.by_combination.items()},
            **(
                {"by_part": {name: _as_json(summary) for name, summary in self.by_part.items()}} if self.by_part else {}
            ),
            "chance": _as_json(self.chance),
            "ceiling": None if self.ceiling is None else _as_json(self.ceiling),
            "clips": [score.to_dict() for score in self.scores],
        }
        return json.dumps(document, indent=2, allow_nan=False)

    def to_markdown(self) -> str:
        """Return a table: a row for each figure; columns for all clips, kinds, combinations, chance and ceiling."""
        columns = {f"all ({len(self.scores)} clips)": self.overall}
        for kind, summary in self.by_kind.items():
            columns[f"{kind} ({sum(score.kind == kind for score in self.scores)})"] = summary
        for name, summary in self.by_combination.items():
            columns[f"{name} ({summary['recall'].num_clips})"] = summary
        columns |= self.by_part
        columns["chance"] = self.chance
        if self.ceiling is not None:
            columns["ceiling"] = self.ceiling
        lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        for name, (words, unit) in ROWS.items():
            if name in OPTIONAL_ROWS and not self.overall[name].num_clips:
                continue
            cells = [_cell(summary.get(name), unit, summary.get("recall")) for summary in columns.values()]
            lines.append(f"| {words} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def summarise(scores: Sequence[ClipScore]) -> Summary:
    """Return every figure of `ROWS` over `scores`.

    Recall and precision are shares of events. A clip in which nothing is seen (heard) counts as one missed event, so
    that an empty clip never improves them.
    """
    summary = _recall_and_precision([_counts(score) for score in scores])
    offsets = [score.offsets_ms for score in scores]
    summary["offset_median_abs_ms"] = of_pooled(offsets, lambda values: float(np.median(np.abs(values))))
    summary["offset_p95_abs_ms"] = of_pooled(offsets, lambda values: float(np.quantile(np.abs(values), 0.95)))
    summary["offset_median_ms"] = of_pooled(offsets, lambda values: float(np.median(values)))
    ends = [score.end_offsets_ms for score in scores]
    summary["end_offset_median_abs_ms"] = of_pooled(ends, lambda values: float(np.median(np.abs(values))))
    for name in CLIP_MEASURES:
        values = [getattr(score, name) for score in scores]
        summary[name] = mean([float(value) for value in values if value is not None])
    return summary


def chance_level(scores: Sequence[ClipScore], *, seed: int = 0) -> Summary:
    """Return recall and precision when every clip gets the sound of another clip of its kind.

    The mean over several reassignments, none of which leaves a clip its own sound.
    """
    rng = np.random.default_rng(seed)
    counts: list[FloatArray] = []
    for kind in SCENES:
        alike = [score for score in scores if score.kind == kind]
        order = [alike[index] for index in rng.permutation(len(alike))]
        num_shuffles = min(NUM_SHUFFLES, len(order) - 1)
        for index, score in enumerate(order if num_shuffles > 0 else []):
            others = [order[(index + shift) % len(order)] for shift in range(1, num_shuffles + 1)]
            counts.append(np.mean([_counts(score, other.heard_s) for other in others], axis=0))
    return _recall_and_precision(counts) if counts else {}


def report_on(
    scores: Sequence[ClipScore],
    *,
    ceiling: Sequence[ClipScore] = (),
    seed: int = 0,
    by_combination: bool = False,
    parts: Sequence[Sequence[ClipScore]] = (),
) -> ToyworldReport:
    """Return the report of clips that were scored already.

    Args:
        scores: scores of the clips.
        ceiling: score of re-encoded clips, where there are any.
        seed: seed of the reassignment of sounds for the chance level.
        by_combination: whether scenes with held-out combinations are also reported apart, which says something only of
            a model that was trained without them.
        parts: scores of the parts of each clip, where there are any.
    """
    kinds = [kind for kind in SCENES if any(score.kind == kind for score in scores)]
    combinations = {
        words: [score for score in scores if score.held_out_combination == is_held_out]
        for words, is_held_out in ((HELD_OUT_WORDS, True), (TRAINED_WORDS, False))
    }
    return ToyworldReport(
        overall=summarise(scores),
        by_kind={kind: summarise([score for score in scores if score.kind == kind]) for kind in kinds},
        by_combination={words: summarise(part) for words, part in combinations.items() if part and by_combination},
        chance=chance_level(scores, seed=seed),
        ceiling=summarise(ceiling) if ceiling else None,
        scores=tuple(scores),
        by_part={
            f"part {at} of {len(parts[0])}": summarise(part) for at, part in enumerate(zip(*parts, strict=True), 1)
        },
    )


def measure(
    subject: Subject,
    *,
    by_combination: bool = False,
    on_clip: OnClip | None = None,
    known: Mapping[int, Scored] | None = None,
    parts: int = 0,
) -> ToyworldReport:
    """Measure clips against the scenes that they were asked for.

    Args:
        subject: the clips.
        by_combination: whether scenes with combinations that training can be kept from are also reported apart.
        on_clip: called after each clip with its number, the rendered clip, the measured clip and the measures.
        known: measures of clips that need not be made again, by number; `on_clip` is not called for them.
        parts: into how many parts each clip is also cut that are measured by themselves; 0 for none.
    """
    scored: list[Scored] = []
    for index in range(subject.num_clips):
        if known is not None and index in known:
            scored.append(known[index])
            continue
        asked = subject.asked(index)
        clip = subject.clip(index, asked)
        first, known_part = first_frame(asked.clip), subject.known(asked)
        best = subject.ceiling(asked)
        ceiling = None if best is None else score_clip(asked.scene, best, first_frame=first, known=known_part)
        score = score_clip(asked.scene, clip, first_frame=first, known=known_part)
        each = score_parts(asked.scene, clip, parts, first) if parts else ()
        scored.append(Scored(score, ceiling, each))
        if on_clip is not None:
            on_clip(index, asked, clip, scored[-1])
    return report_on(
        [made.score for made in scored],
        ceiling=[made.ceiling for made in scored if made.ceiling is not None],
        seed=subject.seed,
        by_combination=by_combination,
        parts=[made.parts for made in scored] if parts else (),
    )


def _counts(score: ClipScore, heard_s: Sequence[float] | None = None) -> FloatArray:
    """Return the fields of `EventCounts`, with `heard_s` as the sound."""
    return np.asarray(astuple(count_events(score, heard_s)), np.float64)


def _recall_and_precision(counts: Sequence[FloatArray]) -> Summary:
    seen_matched, seen, heard_matched, heard = np.stack(counts, axis=1)
    return {"recall": ratio(seen_matched, seen), "precision": ratio(heard_matched, heard)}


def _as_json(summary: Summary) -> dict[str, Any]:
    return {name: estimate.to_dict() for name, estimate in summary.items()}


def _cell(estimate: Estimate | None, unit: str, all_clips: Estimate | None) -> str:
    """Return a figure with its interval, and how many clips it is of where that is not all of a column."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    digits = 3 if unit == "share" else 1
    suffix = "" if unit == "share" else f" {unit}"
    part = "" if all_clips is None or estimate.num_clips == all_clips.num_clips else f" of {estimate.num_clips}"
    return f"{estimate.value:.{digits}f}{suffix} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]{part}"
