"""What a job is, and what is said of it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, Self

from mova.errors import ConfigError, MovaError
from mova.files.json_file import Fields, as_fields, parse_json, shorten
from mova.settings.sampling import GivenSettings

KEYFRAMES: Final = tuple(f"keyframe_{place}" for place in range(16))
"""Names under which an order has images at moments, in the order of their times."""
INPUTS: Final = ("image", "last_image", "video", "audio", "extend", *KEYFRAMES)
"""Names under which an order has media; `extend` is a clip that it goes on from."""
IMAGES: Final = frozenset({"image", "last_image", *KEYFRAMES})
"""Those of them that are images."""
# Of orders that are older than windows; nothing is said by it any more.
_FORMER: Final = {"joins"}


class JobState(StrEnum):
    """Where a job is. The last three are final: a job never leaves them."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether a job stays in it."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


class ConflictError(MovaError):
    """Something was asked of a job that its state, or another request with the same key, rules out.

    Args:
        text: rule and what was found.
        code: for programs: `wrong_state`, `key_reused`, `key_gone`.
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class FullError(MovaError):
    """There are as many open jobs as there may be.

    Args:
        text: rule and what was found.
        is_own: whether they are the owner's; else the whole queue is full.
    """

    def __init__(self, text: str, *, is_own: bool) -> None:
        super().__init__(text)
        self.is_own = is_own


@dataclass(frozen=True)
class JobError:
    """Why a job has no clip.

    Attributes:
        code: for programs, such as `out_of_memory`, `worker_lost`, `quarantined`, `disk_full`, `cancelled`.
        message: for people; holds no path and no secret.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: `loading`, `sampling`, `decoding` or `writing`; "" before the first.
        done, total: of the stage's own parts.
        percent: of the whole job, 0 to 100.
        left_s: seconds that it may still take; None where nothing is known.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    percent: float = 0.0
    left_s: float | None = None


NO_PROGRESS: Final = Progress()


@dataclass(frozen=True)
class Extent:
    """How long a clip of several windows is.

    Attributes:
        num_frames: of its file.
        new_frames: of them that are made.
        windows: in which they are made.
    """

    num_frames: int
    new_frames: int
    windows: int


@dataclass(frozen=True, kw_only=True)
class ClipOrder:
    """One clip that is asked for, complete: whoever has this, the model and the inputs makes the same clip.

    Attributes:
        prompt, negative_prompt: texts; None leaves the negative prompt to the model.
        seed: 0 or more.
        model: name under which the server offers the model; only workers with this model take the job.
        settings: sampling settings that were given, by field of `GivenSettings`; the rest is left to the model. Of a
            long clip they are those of a window.
        inputs: names of artifacts, by one of `INPUTS`.
        speed: preset of `mova.settings.speed`.
        start_s: where in the given video or audio the clip begins.
        enhancement: what the prompt was before, and who changed it; None where nobody has.
        retakes: spans of the given video and its audio that are made anew, as `--retake` of the command reads them.
        keyframes: seconds at which images stand; image i is the input `KEYFRAMES[i]`.
        only: the one modality that is asked for; None for both.
        fit: what is done with media of another shape or length; None crops.
        retries: how often what is flat, frozen or not finite is made again with another seed; None leaves it to mova.
        long: how the clip becomes longer than a window, as `LongChoice.record` has it; None where it does not.
        extent: how long a long clip is; None for others.
        notes: what was moved to the nearest possible value when the order was taken, in words.

    Raises:
        ConfigError: a value of another kind.
    """

    prompt: str
    seed: int
    model: str = ""
    negative_prompt: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    speed: str = "exact"
    start_s: float = 0.0
    enhancement: Mapping[str, Any] | None = None
    retakes: tuple[str, ...] = ()
    keyframes: tuple[float, ...] = ()
    only: str | None = None
    fit: str | None = None
    retries: int | None = None
    long: Mapping[str, Any] | None = None
    extent: Extent | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.inputs if name not in INPUTS]:
            raise ConfigError(f"inputs of an order must be among {', '.join(INPUTS)}; got {shorten(unknown[0])}")
        if missing := [name for name in KEYFRAMES[: len(self.keyframes)] if name not in self.inputs]:
            raise ConfigError(f"inputs of an order must have an image for each keyframe, got none for {missing[0]}")
        self.given()

    def given(self) -> GivenSettings:
        """Return the settings that were given."""
        return GivenSettings.read(as_fields(dict(self.settings), "settings of an order", error=ConfigError))

    @property
    def held(self) -> frozenset[str]:
        """What is given as a whole and stays so: `video`, `audio`."""
        given = {"video", "audio"} if self.retakes else {"video", "audio"} & set(self.inputs)
        return frozenset(name for name in given if not any(_is_about(text, name) for text in self.retakes))

    @property
    def batch_key(self) -> str:
        """What orders of one batch have in common: all but texts, seeds, retries. Empty where an order goes alone."""
        if self.inputs or self.start_s or self.long is not None:
            return ""
        common = json.dumps([self.model, self.speed, dict(self.settings), self.only, self.fit], sort_keys=True)
        return hashlib.sha256(common.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the order as JSON of ASCII letters."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: an unknown key, a missing one, or a value of another kind.
        """
        record = as_fields(parse_json(text, "order", error=ConfigError), "order", error=ConfigError)
        known = {item.name for item in fields(cls)} | _FORMER
        if unknown := [key for key in record.values if key not in known]:
            raise ConfigError(f"an order must hold only {', '.join(sorted(known))}; got {shorten(unknown[0])}")
        inputs = record.fields("inputs") if "inputs" in record else Fields({}, "inputs", ConfigError)
        return cls(
            prompt=record.text("prompt"),
            seed=record.integer("seed", least=0),
            model=record.text("model", ""),
            negative_prompt=_text(record, "negative_prompt"),
            settings=record.fields("settings").values if "settings" in record else {},
            inputs={name: inputs.text(name) for name in inputs.values},
            speed=record.text("speed", "exact"),
            start_s=record.number("start_s", 0.0, least=0.0),
            enhancement=None if record.values.get("enhancement") is None else record.fields("enhancement").values,
            retakes=tuple(record.texts("retakes", [])),
            keyframes=tuple(record.numbers("keyframes", [])),
            only=_text(record, "only"),
            fit=_text(record, "fit"),
            retries=None if record.values.get("retries") is None else record.integer("retries", least=0),
            long=None if record.values.get("long") is None else record.fields("long").values,
            extent=None if record.values.get("extent") is None else _extent(record.fields("extent")),
            notes=tuple(record.texts("notes", [])),
        )


def _text(record: Fields, name: str) -> str | None:
    return None if record.values.get(name) is None else record.text(name)


def _extent(record: Fields) -> Extent:
    return Extent(*(record.integer(item.name, least=0) for item in fields(Extent)))


def _is_about(retake: str, name: str) -> bool:
    """Say whether a span is one of a modality: it names it, or none."""
    return retake.rpartition(":")[2] == name or ":" not in retake


@dataclass(frozen=True)
class Job:
    """A job as it is in the database at one moment.

    Attributes:
        id: `video_` and 32 hexadecimal digits.
        number: in the order in which jobs were added.
        state: see `JobState`.
        order: what is asked for.
        owner: id of the API key that asked; "" where none is needed.
        position: in the queue; the least is next.
        attempt: how often it was begun.
        crashes: how often whoever ran it was lost.
        lease_owner: worker that has it, or "".
        lease_until_s: until when, in seconds since 1970.
        is_cancel_asked: whether it is to stop.
        progress: how far it is.
        error: why there is no clip.
        artifacts: names of its files, by `video`, `thumbnail`, `waveform`, `preview`.
        group: common to the variants of one request.
        variant: number among them, from 0.
        remixed_from: id of the job that it changes, or "".
        created_s, started_s, completed_s, expires_s: moments, in seconds since 1970; None where not yet.
        facts: of the clip: seconds of computation, peak of memory, metadata of the file.
    """

    id: str
    number: int
    state: JobState
    order: ClipOrder
    owner: str
    position: float
    attempt: int
    crashes: int
    lease_owner: str
    lease_until_s: float
    is_cancel_asked: bool
    progress: Progress
    error: JobError | None
    artifacts: Mapping[str, str]
    group: str
    variant: int
    remixed_from: str
    created_s: float
    started_s: float | None
    completed_s: float | None
    expires_s: float | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """Some of the jobs, in order.

    Attributes:
        jobs: of this page.
        has_more: whether others follow.
    """

    jobs: tuple[Job, ...]
    has_more: bool


class Stop(StrEnum):
    """Why a worker is to give a job up."""

    CANCELLED = "cancelled"
    LOST = "lost"
    """Its lease ran out, and the job is somebody else's now."""


@dataclass(frozen=True)
class Limits:
    """How many open jobs (queued, held, running) there may be.

    Attributes:
        of_all: in the whole queue.
        of_owner: of one owner.
    """

    of_all: int = 1000
    of_owner: int = 1000


def seconds_left(done: float, spent_s: float) -> float | None:
    """Return how many seconds a job may still take at its pace so far; None before anything is done.

    Args:
        done: share of the work, 0 to 1.
        spent_s: seconds since it began.
    """
    if not 0 < done <= 1 or not math.isfinite(spent_s):
        return None
    return round(spent_s * (1 - done) / done, 1)
