"""Counts that add up: of every stage, what went in, and what was kept, rejected or failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mova.curate.decide.verdicts import Decisions, Outcome, Verdict
from mova.curate.folder import OutputFolder
from mova.curate.records import State
from mova.curate.tables import ROWS, iter_batches
from mova.errors import DataError
from mova.files.json_file import Fields, read_object

_STATES: Final = tuple(map(str, State))


def write_summary(folder: OutputFolder, stages: Sequence[str], decisions: Decisions, rate: float) -> None:
    """Write the counts of all stages, and what each gate did.

    Args:
        folder: of the run; its tables are complete.
        stages: names of the three stages.
        decisions: on all clips.
        rate: frames per second of the clips.

    Raises:
        OSError: the file cannot be written.
    """
    cut, score, caption = stages
    counts, hours = _count_clips(folder, rate)
    rows: dict[str, dict[str, float]] = {"sources": _sources(folder)}
    for name in (cut, score, "verdicts", caption):
        lost = {state: counts.get((name, state), 0) for state in _STATES[1:]}
        lost_h = {state: hours.get((name, state), 0.0) for state in _STATES[1:]}
        later = _after(name, (cut, score, "verdicts", caption))
        kept = counts.get((name, _STATES[0]), 0) + sum(n for (stage, _), n in counts.items() if stage in later)
        kept_h = hours.get((name, _STATES[0]), 0.0) + sum(n for (stage, _), n in hours.items() if stage in later)
        rows[name] = {
            "in": kept + sum(lost.values()),
            "kept": kept,
            **lost,
            "duration_in_s": kept_h + sum(lost_h.values()),
            "duration_kept_s": kept_h,
        }
    folder.write_json(folder.summary, {"frame_rate": rate, "stages": rows, "gates": _gates(decisions)})


def read_summary(folder: OutputFolder) -> Fields:
    """Return the summary of a finished run.

    Raises:
        DataError: there is none, or it is damaged.
    """
    return read_object(folder.summary, error=DataError)


def counts_in_words(summary: Fields) -> list[str]:
    """Return a line for each stage: what came in, and what became of it.

    Raises:
        DataError: the summary is damaged.
    """
    stages = summary.fields("stages")
    lines = []
    for name in stages.values:
        counts = {key: int(stages.fields(name).number(key)) for key in ("in", *_STATES)}
        told = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state] or state == _STATES[0])
        lines.append(f"{name}: {told}, of {counts['in']}")
    return lines


def _after(name: str, order: Sequence[str]) -> set[str]:
    return set(order[order.index(name) + 1 :])


def _count_clips(folder: OutputFolder, rate: float) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], float]]:
    """Return how many clips, and how many seconds of them, the last stage of each left in which state."""
    counts: dict[tuple[str, str], int] = {}
    seconds: dict[tuple[str, str], float] = {}
    for batch in iter_batches(folder.clips, ["stage", "state", "num_frames"], rows=4 * ROWS):
        frames = batch.column("num_frames").to_numpy()
        stages, states = (batch.column(name).dictionary_encode() for name in ("stage", "state"))
        keys = stages.indices.to_numpy() * len(states.dictionary) + states.indices.to_numpy()
        for key in np.unique(keys):
            which = keys == key
            names = (
                stages.dictionary[int(key) // len(states.dictionary)].as_py(),
                states.dictionary[int(key) % len(states.dictionary)].as_py(),
            )
            counts[names] = counts.get(names, 0) + int(which.sum())
            seconds[names] = seconds.get(names, 0.0) + float(frames[which].sum()) / rate
    return counts, seconds


def _sources(folder: OutputFolder) -> dict[str, float]:
    found: dict[str, float] = dict.fromkeys(("in", *_STATES, "duration_in_s", "duration_kept_s"), 0)
    for batch in iter_batches(folder.sources, ["state", "duration_s"]):
        for state, duration in zip(*(batch.column(index).to_pylist() for index in range(2)), strict=True):
            found["in"] += 1
            found[state] += 1
            found["duration_in_s"] += duration
            found["duration_kept_s"] += duration if state == State.KEPT else 0.0
    return found


def _gates(decisions: Decisions) -> list[Mapping[str, object]]:
    is_open = decisions.verdicts != Verdict.EARLIER
    names = {"rejected": Outcome.NOT_MET, "not_applied": Outcome.NOT_APPLIED, "failed": Outcome.NOT_MEASURED}
    return [
        {
            "name": ruling.name,
            "rule": ruling.rule,
            "thresholds": dict(ruling.thresholds),
            **{name: int(((outcomes == code) & is_open).sum()) for name, code in names.items()},
        }
        for ruling, outcomes in zip(decisions.rulings, decisions.outcomes, strict=True)
    ]
