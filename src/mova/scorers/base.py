"""What every scorer is: clips in, for each of its measures a value or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from mova.scorers.clip_media import ClipMedia

Span = tuple[float, float]
"""(start, end) in seconds, on the clock of the clip."""


class Direction(StrEnum):
    """Which values of a measure are the better ones."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Absence(StrEnum):
    """Kinds of reasons why a measure has no value; a reason's text begins with one of them.

    Attributes:
        WEIGHTS: a file of weights is not there: "skipped: weights FILE, source, licence".
        PACKAGE: a package is not installed.
        CHOICE: what the scorer works with has no default and was not chosen.
        NOT_APPLICABLE: the clip has nothing that could be measured, for example no speech.
        FAILED: the scorer met an error, or its result was not finite.
        NO_ANSWER: an endpoint was asked and brought none, for a reason that may pass: it is asked again another time.
    """

    WEIGHTS = "skipped: weights"
    PACKAGE = "skipped: package"
    CHOICE = "skipped: choice"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Measure:
    """One number that a scorer gives.

    Attributes:
        name: name of the column, in lower case with underscores; unique among all scorers.
        unit: unit of the values; "" for plain numbers.
        direction: which values are better.
        meaning: one sentence that a reader of the report understands.
    """

    name: str
    unit: str
    direction: Direction
    meaning: str


@dataclass(frozen=True)
class EmbeddingSpace:
    """One vector that a scorer gives for every clip, near for clips that are alike.

    Attributes:
        name: unique among all scorers; that of the network.
        width: numbers of a vector.
        measure: name of a measure of the same scorer: where that has no value, there is no vector, for the same reason.
        meaning: one sentence that says what is alike in clips whose vectors are near.
    """

    name: str
    width: int
    measure: str
    meaning: str


@dataclass(frozen=True)
class Score:
    """The value of a measure for one clip, or why there is none.

    Attributes:
        value: a finite number, or None.
        reason: "" exactly where there is a value; else an `Absence` and, after a colon, what is known of it.
    """

    value: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"a score must have either a value or a reason, got {self.value!r} and {self.reason!r}")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a score must be finite, got {self.value}; say why there is none instead")

    @classmethod
    def of(cls, value: float) -> Score:
        """Return the score of a value, whatever it is: one that is not finite becomes a reason."""
        number = float(value)
        return cls(number) if math.isfinite(number) else cls.absent(Absence.FAILED, f"the result was {number}")

    @classmethod
    def absent(cls, absence: Absence, detail: str = "") -> Score:
        """Return a score without a value.

        Args:
            absence: kind of the reason.
            detail: what is known of it.
        """
        return cls(None, f"{absence}: {detail}" if detail else str(absence))


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that does not come with the package.

    Attributes:
        name: name of the file in the folder of weights.
        source: where it comes from, in words.
        licence: of the weights; "none stated" where nobody says.
        sha256: hexadecimal digest; "" where several files are right.
    """

    name: str
    source: str
    licence: str
    sha256: str = ""


@dataclass(frozen=True)
class Needs:
    """What a scorer cannot do without.

    Attributes:
        frames: whether it looks at the video.
        audio: whether it listens to the audio.
        prompt: whether it reads the prompt.
        packages: modules that must be importable.
        weights: files in the folder of weights.
        columns: what else is known of a clip that it reads, by name.
        transcriber: whether it reads what is said in the clip.
        unchosen: option that must be given and is not; "" where nothing is wanting.
    """

    frames: bool = False
    audio: bool = False
    prompt: bool = False
    packages: tuple[str, ...] = ()
    weights: tuple[WeightsFile, ...] = ()
    columns: tuple[str, ...] = ()
    transcriber: bool = False
    unchosen: str = ""


@dataclass(frozen=True)
class Trace:
    """What a scorer followed through a clip, for whoever wants to see why it has its value.

    Attributes:
        label: what it is, with its unit.
        step_s: seconds from one value to the next; the first is at 0.
        values: (N,) float32, finite.
        marks_s: moments that count, for example onsets, in seconds.
    """

    label: str
    step_s: float
    values: np.ndarray = field(compare=False)
    marks_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What a scorer found in one clip.

    Attributes:
        scores: one for each of the scorer's measures, by name.
        tags: words for what is seen or heard, the surest first.
        spans: times of something by its name, for example "speech"; in order and apart.
        fingerprints: hexadecimal perceptual hashes by name; near-duplicates differ in few bits.
        texts: words that were read or heard.
        embeddings: (width,) float32 by name of the space, as the network gives it: a mean over the clip, of any length.
            Distances between sets of clips need that length; who looks for near clips takes the cosine.
        traces: what was followed through the clip.
    """

    scores: Mapping[str, Score]
    tags: tuple[str, ...] = ()
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    embeddings: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    traces: tuple[Trace, ...] = ()


class Scorer(Protocol):
    """Measures clips. Made cheaply; networks are loaded by the first call, once in a process."""

    @property
    def name(self) -> str:
        """Name that recipes and commands select it by."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What it gives for every clip."""

    @property
    def needs(self) -> Needs:
        """What it cannot do without."""

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the findings of each clip; every measure has a value or a reason, and nothing is raised for a clip."""


@runtime_checkable
class EmbeddingScorer(Scorer, Protocol):
    """A scorer that gives embeddings too."""

    @property
    def spaces(self) -> tuple[EmbeddingSpace, ...]:
        """What it gives a vector in for every clip that it can be done for."""


@runtime_checkable
class CheckedScorer(Scorer, Protocol):
    """A scorer whose files of weights can be told from those of another model before any clip is looked at."""

    def check_weights(self) -> None:
        """Read the names and shapes in its files, which are there.

        Raises:
            ConfigError: a file is damaged, or is that of another model; the text says what differs.
        """


def all_absent(measures: Sequence[Measure], absence: Absence, detail: str = "") -> Findings:
    """Return findings without a value, all for the same reason."""
    return Findings({measure.name: Score.absent(absence, detail) for measure in measures})


def score_each(scorer: Scorer, clips: Sequence[ClipMedia], find: Callable[[ClipMedia], Findings]) -> list[Findings]:
    """Return what `find` finds in each clip; a clip that it cannot be done for gets the reason, and the others go on.

    Args:
        scorer: whose measures they are. A clip without audio is not applicable where it needs audio.
        clips: looked at one after the other.
        find: may raise any error.
    """
    return [_score_one(scorer, clip, find) for clip in clips]


def _score_one(scorer: Scorer, clip: ClipMedia, find: Callable[[ClipMedia], Findings]) -> Findings:
    try:
        if scorer.needs.audio and not clip.has_audio:
            return all_absent(scorer.measures, Absence.NOT_APPLICABLE, "the clip has no audio")
        return find(clip)
    except ImportError as error:
        return all_absent(scorer.measures, Absence.PACKAGE, str(error))
    except Exception as error:
        return all_absent(scorer.measures, Absence.FAILED, f"{type(error).__name__}: {error}")


SKIPPED: Final = (Absence.WEIGHTS, Absence.PACKAGE, Absence.CHOICE)
"""Absences that concern all clips alike: a gate on such a measure does not apply."""
