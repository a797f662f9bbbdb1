"""Verdicts: a pure function of what was measured and of gates, for any number of clips at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from mova.curate.config.verdicts import Gate
from mova.curate.score.duplicates import near_duplicates
from mova.curate.score.neighbours import near_by_cosine
from mova.errors import ConfigError
from mova.recipe.base import nearest_name

TEXT_SCORE: Final = "text_area"
NEAR_DUPLICATES: Final = "near_duplicates"
"""How the names of gates on them begin."""
HASHES: Final = ("image_hash", "audio_hash")
_MOST_TEXT: Final = 0.0
# In the order of `Gate`: words of a rule, and how it compares.
_BOUNDS: Final = {
    "above": (">", np.greater),
    "below": ("<", np.less),
    "min": (">=", np.greater_equal),
    "max": ("<=", np.less_equal),
    "min_quantile": (">=", np.greater_equal),
    "max_quantile": ("<=", np.less_equal),
}


class Absent(IntEnum):
    """Why a clip has no value of a measure, as a code."""

    NO = 0
    SKIPPED = 1
    NOT_APPLICABLE = 2
    FAILED = 3


class Outcome(IntEnum):
    """What a gate says of a clip."""

    MET = 0
    NOT_MET = 1
    NOT_APPLIED = 2
    NOT_APPLICABLE = 3
    NOT_MEASURED = 4


class Verdict(IntEnum):
    """What becomes of a clip; `EARLIER` where a stage before has decided."""

    KEPT = 0
    REJECTED = 1
    FAILED = 2
    EARLIER = 3


@dataclass(frozen=True)
class Evidence:
    """What gates look at, for N clips.

    Attributes:
        is_open: (N,) bool; clips that are still to be decided on.
        scores: (N,) float64 by measure, NaN where there is no value.
        absences: (N,) uint8 of `Absent` by measure.
        tags: (N,) bool by tag.
        hashes: (N, words) uint64 by name; zeros where there is none.
        has_hash: (N,) bool by name.
        embeddings: (N, width) by name of the space; they may be mapped from files.
        no_embedding: (N,) uint8 of `Absent` by name of the space: why a clip has none.
    """

    is_open: np.ndarray
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    absences: Mapping[str, np.ndarray] = field(default_factory=dict)
    tags: Mapping[str, np.ndarray] = field(default_factory=dict)
    hashes: Mapping[str, np.ndarray] = field(default_factory=dict)
    has_hash: Mapping[str, np.ndarray] = field(default_factory=dict)
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict)
    no_embedding: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruling:
    """A gate with its thresholds as numbers.

    Attributes:
        name: what it is about.
        condition: what it must be, for example "< 0.8".
        thresholds: numbers that values are compared with, by bound.
    """

    name: str
    condition: str
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The gate as one statement, for example "silence_share < 0.8"."""
        return f"{self.name} {self.condition}"


def reason_of(name: str, condition: str) -> str:
    """Return the reason of a clip that does not meet a gate: what it is about, and what it must be."""
    return f"{name}: must be {condition}"


class _Choice(Ruling):
    """A choice of gates, whose condition names them."""

    @property
    def rule(self) -> str:
        """The choice as one statement."""
        return self.condition


@dataclass(frozen=True)
class Repeats:
    """Which clips are near-duplicates of which, by one gate.

    Attributes:
        rows: (N,) int64, row of the clip that one repeats; -1 elsewhere.
        cosines: (N,) float32 by name of the space, of the two clips; none where hashes were compared.
    """

    rows: np.ndarray
    cosines: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Decisions:
    """What was decided of N clips by G gates.

    Attributes:
        rulings: the gates.
        verdicts: (N,) uint8 of `Verdict`.
        outcomes: (G, N) uint8 of `Outcome`; of clips that were not open it says nothing.
        repeats: of each gate on near-duplicates that could be applied, by its place among the gates.
    """

    rulings: tuple[Ruling, ...]
    verdicts: np.ndarray
    outcomes: np.ndarray
    repeats: Mapping[int, Repeats] = field(default_factory=dict)


def names_of(gates: Sequence[Gate]) -> list[str]:
    """Return the measures that gates look at, each once, in their order."""
    found: dict[str, None] = {}
    for gate in gates:
        if gate.score is not None:
            found[gate.score] = None
        if gate.text is not None:
            found[TEXT_SCORE] = None
        for name in names_of(gate.any or ()):
            found[name] = None
    return list(found)


def tags_of(gates: Sequence[Gate]) -> list[str]:
    """Return the tags that gates look at, each once, in their order."""
    return list(dict.fromkeys(tag for gate in gates for tag in (*(gate.tags or ()), *tags_of(gate.any or ()))))


def wants_hashes(gates: Sequence[Gate]) -> bool:
    """Say whether a gate looks for near-duplicates by their hashes."""
    return any(isinstance(gate.near_duplicates, int) for gate in gates)


def embeddings_of(gates: Sequence[Gate]) -> list[str]:
    """Return the spaces in which gates look for near-duplicates, each once, in their order."""
    return list(
        dict.fromkeys(
            name for gate in gates if isinstance(gate.near_duplicates, Mapping) for name in gate.near_duplicates
        )
    )


def check_gates(gates: Sequence[Gate], known: Collection[str], spaces: Collection[str] = ()) -> None:
    """Refuse gates on measures or embeddings that no scorer has.

    Args:
        gates: of a recipe, without those of a preset.
        known: names of all measures.
        spaces: names of all embeddings.

    Raises:
        ConfigError: names the nearest.
    """
    for name in names_of(gates):
        if name not in known:
            raise ConfigError(f"verdicts.gates: no scorer measures {name!r}{nearest_name(name, sorted(known))}")
    for name in embeddings_of(gates):
        if name not in spaces:
            raise ConfigError(
                f"verdicts.gates: no scorer gives embeddings {name!r}{nearest_name(name, sorted(spaces))}"
            )


def decide(gates: Sequence[Gate], evidence: Evidence) -> Decisions:
    """Decide on clips.

    A clip is kept that meets every gate. One that does not meet a gate is rejected, whatever else is known of it. One
    that meets all gates that could be looked at, while the scorer of another failed, is failed. A gate whose measure
    was skipped for all clips alike is not applied; one whose measure is not applicable to a clip does not concern it.
    A choice (`any`) is met when one of its conditions is, and not met when none is that concerns the clip; it is not
    applied when the answer hangs on a measure that was skipped. Gates on near-duplicates come last, one after the
    other: each looks at what all others have kept so far.

    Args:
        gates: in the order of their reasons.
        evidence: of N clips; a measure that is not in it was skipped.
    """
    count = len(evidence.is_open)
    outcomes = np.full((len(gates), count), Outcome.MET, np.uint8)
    rulings: list[Ruling] = []
    repeats: dict[int, Repeats] = {}
    for index, gate in enumerate(gates):
        rulings.append(_ruling(gate, evidence))
        if gate.near_duplicates is None:
            outcomes[index] = _outcome(gate, rulings[index], evidence)
    for index, gate in enumerate(gates):
        if gate.near_duplicates is not None:
            survives = ~np.any((outcomes == Outcome.NOT_MET) | (outcomes == Outcome.NOT_MEASURED), axis=0)
            outcomes[index], found = _repeated(gate.near_duplicates, evidence, evidence.is_open & survives)
            if found is not None:
                repeats[index] = found
    verdicts = np.full(count, Verdict.KEPT, np.uint8)
    verdicts[np.any(outcomes == Outcome.NOT_MEASURED, axis=0)] = Verdict.FAILED
    verdicts[np.any(outcomes == Outcome.NOT_MET, axis=0)] = Verdict.REJECTED
    verdicts[~evidence.is_open] = Verdict.EARLIER
    return Decisions(tuple(rulings), verdicts, outcomes, repeats)


def _ruling(gate: Gate, evidence: Evidence) -> Ruling:
    if gate.score is not None:
        asked = {
            bound: _threshold(bound, getattr(gate, bound), gate.score, evidence)
            for bound in _BOUNDS
            if getattr(gate, bound) is not None
        }
        words = [
            _BOUNDS[bound][0]
            + (" what no clip has a value for" if value is None else f" {value:.6g}")
            + _quantile_words(gate, bound)
            for bound, value in asked.items()
        ]
        thresholds = {bound: value for bound, value in asked.items() if value is not None}
        return Ruling(gate.score, " and ".join(words), thresholds)
    if gate.tags is not None:
        return Ruling("tags", f"{gate.rule} of {', '.join(gate.tags)}")
    if gate.text is not None:
        return Ruling("text", str(gate.text), {TEXT_SCORE: _MOST_TEXT})
    if gate.near_duplicates is not None:
        return _ruling_on_repeats(gate.near_duplicates)
    inner = [_ruling(part, evidence) for part in gate.any or ()]
    thresholds = {f"{part.name}.{bound}": value for part in inner for bound, value in part.thresholds.items()}
    return _Choice(" or ".join(part.name for part in inner), " or ".join(part.rule for part in inner), thresholds)


def _ruling_on_repeats(limits: int | Mapping[str, float]) -> Ruling:
    if not isinstance(limits, Mapping):
        rule = f"further than {limits} bits of 64 from every clip that is kept before"
        return Ruling(NEAR_DUPLICATES, rule, {"bits": float(limits)})
    below = " or ".join(f"below {least:g} in {name}" for name, least in limits.items())
    thresholds = {f"{name}.cosine": float(least) for name, least in limits.items()}
    return Ruling(
        f"{NEAR_DUPLICATES}_by_{'_'.join(limits)}", f"{below} by cosine with every clip that is kept before", thresholds
    )


def _quantile_words(gate: Gate, bound: str) -> str:
    return f" (quantile {getattr(gate, bound):g})" if bound.endswith("_quantile") else ""


def _threshold(bound: str, value: float, name: str, evidence: Evidence) -> float | None:
    """Return the number that a bound stands for; None for a quantile of nothing."""
    if not bound.endswith("_quantile"):
        return float(value)
    measured = evidence.scores[name][evidence.is_open] if name in evidence.scores else np.empty(0)
    measured = measured[~np.isnan(measured)]
    # A value that a clip has, so that the rule says the same whatever comes between two clips.
    return float(np.quantile(measured, value, method="lower")) if len(measured) else None


def _outcome(gate: Gate, ruling: Ruling, evidence: Evidence) -> np.ndarray:
    """Return what a gate says of each clip: (N,) uint8 of `Outcome`."""
    if gate.score is not None:
        return _compare(gate.score, ruling.thresholds, evidence)
    if gate.text is not None:
        bound = "max" if gate.text == "none" else "above"
        return _compare(TEXT_SCORE, {bound: _MOST_TEXT}, evidence)
    if gate.tags is not None:
        none = np.zeros(len(evidence.is_open), bool)
        there = np.stack([evidence.tags.get(tag, none) for tag in gate.tags])
        met = {"any": there.any(axis=0), "all": there.all(axis=0), "none": ~there.any(axis=0)}[gate.rule]
        return np.where(met, Outcome.MET, Outcome.NOT_MET).astype(np.uint8)
    return _any([_outcome(part, _ruling(part, evidence), evidence) for part in gate.any or ()])


def _compare(name: str, thresholds: Mapping[str, float], evidence: Evidence) -> np.ndarray:
    count = len(evidence.is_open)
    if name not in evidence.scores:
        return np.full(count, Outcome.NOT_APPLIED, np.uint8)
    values, absent = evidence.scores[name], evidence.absences[name]
    met = np.ones(count, bool)
    for bound, threshold in thresholds.items():
        met &= _BOUNDS[bound][1](values, threshold)
    outcome = np.where(met, Outcome.MET, Outcome.NOT_MET).astype(np.uint8)
    outcome[absent == Absent.SKIPPED] = Outcome.NOT_APPLIED
    outcome[absent == Absent.NOT_APPLICABLE] = Outcome.NOT_APPLICABLE
    outcome[absent == Absent.FAILED] = Outcome.NOT_MEASURED
    return outcome


def _any(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a choice says: the first of these that any part says, in the order met, unknown, not met."""
    every = np.stack(parts)
    said = np.full(every.shape[1], Outcome.NOT_APPLICABLE, np.uint8)
    for outcome in (Outcome.NOT_MET, Outcome.NOT_APPLIED, Outcome.NOT_MEASURED, Outcome.MET):
        said[np.any(every == outcome, axis=0)] = outcome
    return said


def _repeated(
    limits: int | Mapping[str, float], evidence: Evidence, survives: np.ndarray
) -> tuple[np.ndarray, Repeats | None]:
    """Return what a gate on near-duplicates says: (N,) uint8 of `Outcome`; and which rows are repeated."""
    if isinstance(limits, Mapping):
        return _near(limits, evidence, survives)
    count = len(survives)
    if HASHES[0] not in evidence.hashes:
        return np.full(count, Outcome.NOT_APPLIED, np.uint8), None
    has = evidence.has_hash[HASHES[0]]
    is_heard = evidence.has_hash.get(HASHES[1], np.zeros(count, bool))
    repeats = np.full(count, -1, np.int64)
    # A clip without a hash of its audio is near only to others without one.
    for some in (survives & has & is_heard, survives & has & ~is_heard):
        rows = np.flatnonzero(some)
        also = evidence.hashes[HASHES[1]][rows] if HASHES[1] in evidence.hashes else None
        first = rows[near_duplicates(evidence.hashes[HASHES[0]][rows], limits, also)]
        repeats[rows] = np.where(first == rows, -1, first)
    outcome = np.where(repeats >= 0, Outcome.NOT_MET, Outcome.MET).astype(np.uint8)
    outcome[~has] = Outcome.NOT_APPLICABLE
    return outcome, Repeats(repeats)


def _near(limits: Mapping[str, float], evidence: Evidence, survives: np.ndarray) -> tuple[np.ndarray, Repeats | None]:
    """Return the same of a gate on embeddings; a clip that lacks one of them is compared with none."""
    count = len(survives)
    if any(name not in evidence.embeddings for name in limits):
        return np.full(count, Outcome.NOT_APPLIED, np.uint8), None
    absent = np.stack([evidence.no_embedding[name] for name in limits])
    rows = np.flatnonzero(survives & np.all(absent == Absent.NO, axis=0))
    first, cosines = near_by_cosine([evidence.embeddings[name] for name in limits], list(limits.values()), rows)
    repeats = np.full(count, -1, np.int64)
    repeats[rows] = np.where(first == np.arange(len(rows)), -1, rows[first])
    likeness = {name: np.full(count, np.nan, np.float32) for name in limits}
    for values, found in zip(likeness.values(), cosines, strict=True):
        values[rows] = found
    outcome = np.where(repeats >= 0, Outcome.NOT_MET, Outcome.MET).astype(np.uint8)
    for absence, said in _UNLIKE.items():
        outcome[np.any(absent == absence, axis=0)] = said
    return outcome, Repeats(repeats, likeness)


# The last of them that fits is what a gate says.
_UNLIKE: Final = {
    Absent.NOT_APPLICABLE: Outcome.NOT_APPLICABLE,
    Absent.SKIPPED: Outcome.NOT_APPLIED,
    Absent.FAILED: Outcome.NOT_MEASURED,
}
