"""What of a clip is given, what of it stays, and what is asked for: one object for every task (no torch here).

Images stand at moments (first and last frame are two of them), a video or an audio is kept whole or in spans, and one
modality may be left out of the result. All of it lies on the grid of latents in the end: an image stands where a latent
frame ends (the first frame is a latent frame by itself), and of a kept span those latent frames stay that lie inside.
`place` does that, refuses what contradicts itself, and says what it moved.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from mova.errors import ConfigError
from mova.geometry import ClipGeometry

Modality = Literal["video", "audio"]
MODALITIES: Final[tuple[Modality, ...]] = get_args(Modality)
Moment = int | float
"""Of a clip: an int is a frame, counted from the end where it is negative; a float is in seconds."""
Span = tuple[float, float]
"""(start, end) in seconds."""
Range = tuple[int, int]
"""(first, end) of frames, samples or latent frames, the end left out."""
ALL: Final[frozenset[Modality]] = frozenset(MODALITIES)
# Seconds as people write them are rounded; this much of a frame, or of a sample of 1/20 ms, is no other time.
_SLACK_FRAMES: Final = 0.05
_SLACK_S: Final = 5e-4


def check_tasks(*, has_image: bool, has_video: bool, has_audio: bool) -> None:
    """Refuse inputs that contradict each other, where what is given is kept whole."""
    if has_video and has_audio:
        raise ConfigError(
            "video and audio are both given, so nothing is left to generate; give one of them, or say what is made anew"
        )
    if has_video and has_image:
        raise ConfigError("video already holds the frames; leave out image, last_image and keyframes")


@dataclass(frozen=True)
class Snap:
    """A time that the grid of latents moved.

    Attributes:
        what: the thing that was moved, such as "keyframe" or "kept video, start".
        asked_s, used_s: in seconds.
    """

    what: str
    asked_s: float
    used_s: float

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.what}: {self.asked_s:.3f} s became {self.used_s:.3f} s"

    def record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"what": self.what, "asked_s": round(self.asked_s, 6), "used_s": round(self.used_s, 6)}


@dataclass(frozen=True)
class Held:
    """What of one modality stays.

    Attributes:
        latents: ranges of latent frames.
        media: ranges of the same in frames or samples.
        is_whole: whether nothing of it is sampled.
    """

    latents: tuple[Range, ...] = ()
    media: tuple[Range, ...] = ()
    is_whole: bool = False

    @property
    def end(self) -> int:
        """How many frames or samples must be given: those up to the last that stays."""
        return self.media[-1][1] if self.media else 0


NOTHING_HELD: Final = Held()


@dataclass(frozen=True)
class Placed:
    """Conditions on the grid of a clip.

    Attributes:
        keyframes: frame of each image, in the order of the moments.
        video, audio: what stays.
        snaps: what was moved.
    """

    keyframes: tuple[int, ...] = ()
    video: Held = NOTHING_HELD
    audio: Held = NOTHING_HELD
    snaps: tuple[Snap, ...] = ()

    @property
    def held(self) -> dict[Modality, Held]:
        """What stays, by modality."""
        return {"video": self.video, "audio": self.audio}

    @property
    def is_partly_held(self) -> bool:
        """Whether a part of a modality stays while another part of it is sampled."""
        return any(held.latents and not held.is_whole for held in self.held.values())


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What of a clip is given, what of it stays, and what is asked for.

    Attributes:
        keyframes: moments at which images are given.
        has_video, has_audio: whether media of these kinds are given.
        keep_video, keep_audio: spans of them that stay; None keeps all of what is given.
        outputs: modalities that are asked for; the other one is made beside it and left out of the result.
    """

    keyframes: tuple[Moment, ...] = ()
    has_video: bool = False
    has_audio: bool = False
    keep_video: tuple[Span, ...] | None = None
    keep_audio: tuple[Span, ...] | None = None
    outputs: frozenset[Modality] = field(default=ALL)

    def place(self, geometry: ClipGeometry) -> Placed:
        """Return where all of it lies in a clip.

        Raises:
            ConfigError: a keyframe outside the clip or on a latent frame that has another one or stays anyway; spans
                that end before they start, overlap, or lie outside the clip; spans of what is not given; a clip of
                which everything stays, or of which nothing is asked for that does not.
        """
        check_outputs(self.outputs)
        snaps: list[Snap] = []
        video = self._held("video", geometry, snaps)
        audio = self._held("audio", geometry, snaps)
        check_tasks(has_image=bool(self.keyframes), has_video=video.is_whole, has_audio=audio.is_whole)
        _check_something_is_asked(video, audio, self.outputs)
        frames = _place_keyframes(self.keyframes, video, geometry, snaps)
        return Placed(frames, video, audio, tuple(snaps))

    def record(self, geometry: ClipGeometry) -> dict[str, object]:
        """Return what a clip's file says of spans, of what was asked for, and of what was moved, as JSON values."""
        kept = {"keep_video": self.keep_video, "keep_audio": self.keep_audio}
        found: dict[str, object] = {
            name: [list(span) for span in spans] for name, spans in kept.items() if spans is not None
        }
        if self.outputs != ALL:
            found["only"] = next(iter(self.outputs))
        snaps = [snap.record() for snap in self.place(geometry).snaps]
        return found | ({"snaps": snaps} if snaps else {})

    def _held(self, name: Modality, geometry: ClipGeometry, snaps: list[Snap]) -> Held:
        is_given = self.has_video if name == "video" else self.has_audio
        spans = self.keep_video if name == "video" else self.keep_audio
        if not is_given:
            if spans is not None:
                raise ConfigError(f"keep_{name} is for {name} that is given, got {_shown(spans)} without it")
            return NOTHING_HELD
        grid = _VideoGrid(geometry) if name == "video" else _AudioGrid(geometry)
        if spans is None:
            return Held(((0, grid.num_latents),), ((0, grid.length),), is_whole=True)
        check_spans(f"keep_{name}", spans, geometry.duration_s)
        kept = [(span, found) for span in sorted(spans) if (found := grid.inside(span)) is not None]
        if spans and not kept:
            raise ConfigError(
                f"keep_{name} must hold at least one whole latent frame ({grid.latent_s:.3f} s), got {_shown(spans)}"
            )
        for (start_s, end_s), (_, (first, end)) in kept:
            for what, asked_s, used_s in (
                ("start", start_s, grid.time_s(first)),
                ("end", end_s, grid.time_s(end)),
            ):
                if abs(asked_s - used_s) > _SLACK_S:
                    snaps.append(Snap(f"kept {name}, {what}", asked_s, used_s))
        latents = _joined([latent for _, (latent, _) in kept])
        media = _joined([own for _, (_, own) in kept])
        return Held(latents, media, is_whole=latents == ((0, grid.num_latents),))


def check_outputs(outputs: frozenset[Modality]) -> None:
    """Refuse anything but one or both modalities.

    Raises:
        ConfigError: with the nearest valid value.
    """
    if not outputs or not outputs <= ALL:
        raise ConfigError(f"outputs must be one or both of {', '.join(MODALITIES)}, got {sorted(outputs)}")


def check_spans(name: str, spans: Sequence[Span], duration_s: float) -> None:
    """Refuse spans that are none.

    Args:
        name: of the argument, for the error.
        spans: in seconds.
        duration_s: of the clip.

    Raises:
        ConfigError: a span that ends before it starts, lies outside the clip or overlaps another.
    """
    for start_s, end_s in spans:
        if not (math.isfinite(start_s) and math.isfinite(end_s)):
            raise ConfigError(f"{name} must be spans in seconds, got {start_s} to {end_s}")
        if not start_s < end_s:
            nearest = f"{end_s:g} to {start_s:g} s"
            raise ConfigError(f"{name} must end after it starts, got {start_s:g} to {end_s:g} s; nearest is {nearest}")
        if start_s < -_SLACK_S or end_s > duration_s + _SLACK_S:
            nearest = f"{max(start_s, 0.0):g} to {min(end_s, duration_s):.6g} s"
            raise ConfigError(
                f"{name} must lie inside the clip, 0 to {duration_s:.6g} s, got {start_s:g} to {end_s:g} s; nearest "
                f"is {nearest}"
            )
    ordered = sorted(spans)
    for (first, end), (other, other_end) in itertools.pairwise(ordered):
        if other < end:
            raise ConfigError(
                f"{name} must be spans that do not overlap, got {first:g} to {end:g} s and {other:g} to "
                f"{other_end:g} s; nearest is {first:g} to {max(end, other_end):g} s"
            )


def spans_outside(spans: Sequence[Span], duration_s: float) -> tuple[Span, ...]:
    """Return what of a clip lies outside of checked spans: what stays where they are made anew."""
    kept, at_s = [], 0.0
    for start_s, end_s in sorted(spans):
        if start_s - at_s > _SLACK_S:
            kept.append((at_s, start_s))
        at_s = end_s
    if duration_s - at_s > _SLACK_S:
        kept.append((at_s, duration_s))
    return tuple(kept)


class _VideoGrid:
    """Latent frames of a video: the first frame alone, then one for each `temporal_stride` frames."""

    def __init__(self, geometry: ClipGeometry) -> None:
        self._rate, self._stride = geometry.frame_rate, geometry.codec.temporal_stride
        self.length, self.num_latents = geometry.num_frames, geometry.num_latent_frames
        self.latent_s = self._stride / self._rate

    def time_s(self, frame: int) -> float:
        return frame / self._rate

    def inside(self, span: Span) -> tuple[Range, Range] | None:
        """Return the latent frames all of whose frames are shown inside a span, and those frames; None for none."""
        first = max(0, math.ceil(span[0] * self._rate - _SLACK_FRAMES))
        end = min(self.length, math.floor(span[1] * self._rate + _SLACK_FRAMES))
        begin = 0 if first == 0 else -(-(first - 1) // self._stride) + 1
        over = (end - 1) // self._stride + 1 if end > 0 else 0
        if begin >= over:
            return None
        return (begin, over), (0 if begin == 0 else self._stride * (begin - 1) + 1, self._stride * (over - 1) + 1)


class _AudioGrid:
    """Latent frames of an audio, `hop_length` samples each; the last one may be longer than the audio."""

    def __init__(self, geometry: ClipGeometry) -> None:
        self._rate, self._hop = geometry.codec.sample_rate, geometry.codec.hop_length
        self.length, self.num_latents = geometry.num_samples, geometry.num_audio_latents
        self.latent_s = self._hop / self._rate

    def time_s(self, sample: int) -> float:
        return sample / self._rate

    def inside(self, span: Span) -> tuple[Range, Range] | None:
        """Return the latent frames all of whose samples lie inside a span, and those samples; None for none."""
        slack = _SLACK_S * self._rate
        first, end = max(0.0, span[0] * self._rate - slack), min(float(self.length), span[1] * self._rate + slack)
        begin = math.ceil(first / self._hop)
        over = self.num_latents if end >= self.length - slack else math.floor(end / self._hop)
        if begin >= over:
            return None
        return (begin, over), (begin * self._hop, min(over * self._hop, self.length))


def _joined(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return ranges in order, those that touch as one."""
    found: list[Range] = []
    for first, end in ranges:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return tuple(found)


def _place_keyframes(
    moments: Sequence[Moment], video: Held, geometry: ClipGeometry, snaps: list[Snap]
) -> tuple[int, ...]:
    """Return the frame of each keyframe: the nearest at which a latent frame ends."""
    stride, placed = geometry.codec.temporal_stride, list[int]()
    names: dict[int, str] = {}
    for moment in moments:
        asked = _frame_of(moment, geometry)
        frame = stride * math.floor(asked / stride + 0.5)
        name = _moment_name(moment)
        if frame in names:
            raise ConfigError(
                f"keyframes must lie on latent frames of their own, one for each {stride} frames "
                f"({stride / geometry.frame_rate:.3f} s), got {names[frame]} and {name}, both on frame {frame}"
            )
        latent = frame // stride
        if any(first <= latent < end for first, end in video.latents):
            raise ConfigError(f"keyframes must lie where the video does not stay, got {name}, whose frame stays anyway")
        names[frame] = name
        placed.append(frame)
        if abs(asked - frame) > _SLACK_FRAMES:
            snaps.append(Snap("keyframe", asked / geometry.frame_rate, frame / geometry.frame_rate))
    return tuple(placed)


def _frame_of(moment: Moment, geometry: ClipGeometry) -> float:
    """Return a moment in frames, inside the clip."""
    last, rate = geometry.num_frames - 1, geometry.frame_rate
    if isinstance(moment, int):
        frame = moment + geometry.num_frames if moment < 0 else moment
        if not 0 <= frame <= last:
            raise ConfigError(
                f"keyframes must lie inside the clip, frames 0 to {last}, got frame {moment}; nearest is "
                f"{0 if frame < 0 else last}"
            )
        return float(frame)
    if not (math.isfinite(moment) and -_SLACK_S <= moment <= geometry.duration_s + _SLACK_S):
        nearest = 0.0 if not moment > 0 else last / rate
        raise ConfigError(
            f"keyframes must lie inside the clip, 0 to {geometry.duration_s:.6g} s, got {moment:g} s; nearest is "
            f"{nearest:.6g} s"
        )
    return min(max(moment * rate, 0.0), float(last))


def _moment_name(moment: Moment) -> str:
    return f"frame {moment}" if isinstance(moment, int) else f"{moment:g} s"


def _check_something_is_asked(video: Held, audio: Held, outputs: frozenset[Modality]) -> None:
    held: Mapping[Modality, Held] = {"video": video, "audio": audio}
    if all(held[name].is_whole for name in outputs):
        (only,) = outputs
        other = "audio" if only == "video" else "video"
        raise ConfigError(
            f"the {only} is given and alone asked for, so nothing is left to generate; nearest is to ask for {other}"
        )


def _shown(spans: Sequence[Span]) -> str:
    return ", ".join(f"{start:g} to {end:g} s" for start, end in spans) or "no span"
