"""From a video stream to frames at given times: shown at a time is the latest source frame that is due by then."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from mova.errors import ReadError
from mova.media import limits, media_file
from mova.media.colour import colour_map, colour_tags
from mova.media.deinterlace import TimedFrame, deinterlaced
from mova.media.frames import Fit, display_size
from mova.media.render import Renderer

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    PathArgument = str | os.PathLike[str]

# Matroska and Flash round time stamps to 1 ms, those of the first source frame too.
_TIME_TOLERANCE_S = 0.0015
# Below this, decoding from the start is as fast as seeking.
_SEEK_FROM_S = 1.0
_SECOND_TRY_S = 10.0


@dataclass(frozen=True)
class VideoSpan:
    """Frames of a span, and where they lie.

    Attributes:
        frames: (F, H, W, 3) uint8.
        frame_rate: frames per second.
        origin_s: time of the file's first source frame on its own clock.
        num_own: how many of the frames are the file's own; those after them hold its last source frame.
        end_s: where the file's last source frame ends, after the first source frame; None where decoding stopped
            before.
        declared_end_s: where the file says that it ends; None where it does not say.
    """

    frames: np.ndarray
    num_own: int
    frame_rate: Fraction
    origin_s: float
    end_s: float | None
    declared_end_s: float | None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(len(self.frames) / self.frame_rate)


def decode_frames(
    path: PathArgument,
    *,
    frame_rate: float | None,
    num_frames: int | None,
    size: tuple[int, int] | None,
    crop: tuple[float, float],
    start_s: float,
    pad: bool,
    fit: Fit = "crop",
) -> VideoSpan:
    """Decode the frames of a span; arguments and errors as in `read.read_clip`."""
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        # Before decoding: a decoder whose stream says nothing forgets what the container says.
        stated = colour_tags(stream.codec_context)
        sources = _source_frames(container, stream, path, start_s)
        beginning = next(sources)
        origin_s, first = beginning.time_s, beginning.frame
        source_rate = media_file.frame_rate(stream)
        rate = source_rate if frame_rate is None else Fraction(frame_rate).limit_denominator(1_000_000)
        if rate is None:
            raise ReadError(f"a video must state its frame rate when none is asked for, got {path} without one")
        if frame_rate is None:
            limits.check_frame_rate(float(rate), path)
        aspect = media_file.pixel_aspect(stream)
        # Of the first source frame only: a frame whose side data was looked at lives until the garbage collector runs.
        turns, is_mirrored = media_file.orientation(first)
        tags = colour_tags(first, stated)
        colours = colour_map(stream, first, tags, path)
        upright = display_size(first.height, first.width, pixel_aspect=aspect, quarter_turns=turns)
        limits.check_video_size(upright[1], upright[0], path)
        shown_aspect = 1.0 / aspect if turns % 2 else aspect
        render = Renderer(path, size or upright, crop, shown_aspect, turns, is_mirrored, colours, tags.matrix, fit=fit)
        times = _Times(start_s, Fraction(rate), num_frames, pad, 1.0 / float(source_rate or rate))
        shown, num_own, end_s = _place(beginning, sources, times, render)
        declared_s = media_file.declared_end_s(container, stream)
        return VideoSpan(_stack(shown), num_own, Fraction(rate), origin_s, end_s, declared_s)


@dataclass(frozen=True)
class _Times:
    """When output frames are due, in seconds after the first source frame, and how long one usually lasts."""

    start_s: float
    rate: Fraction
    num_frames: int | None
    pad: bool
    source_length_s: float

    def due_s(self, index: int) -> float:
        return self.start_s + float(index / self.rate)

    def is_complete(self, num_shown: int) -> bool:
        return self.num_frames is not None and num_shown >= self.num_frames

    def check_length(self, num_frames: int, render: Renderer) -> None:
        """Refuse to go on for ever where no length was asked for."""
        if self.num_frames is None:
            limits.check_unasked_frames(num_frames, render.size, render.path)

    def num_until(self, end_s: float, path: PathArgument) -> tuple[int, int]:
        """Return how many frames there are until `end_s`, to the nearest and at least one, and how many to give."""
        if end_s <= self.start_s + _TIME_TOLERANCE_S:
            raise ReadError(f"start_s must lie inside the video, got {self.start_s:g} s for {path} of {end_s:.3f} s")
        available = max(1, math.floor((end_s - self.start_s + _TIME_TOLERANCE_S) * float(self.rate) + 0.5))
        if self.num_frames is None:
            return available, available
        if available < self.num_frames and not self.pad:
            raise ReadError(
                f"a video must last as long as the clip, got {path} of {end_s:.3f} s, too short for {self.num_frames} "
                f"frames at {float(self.rate):g} per second from {self.start_s:g} s; nearest is {available} frames"
            )
        return min(available, self.num_frames), self.num_frames


def _source_frames(
    container: InputContainer, stream: VideoStream, path: PathArgument, start_s: float
) -> Iterator[TimedFrame]:
    """Yield the first source frame, then those from the key frame before `start_s`; times are on the file's clock."""
    sources = whole_frames(container, stream, path)
    first = next(sources, None)
    if first is None:
        raise ReadError(f"a video must have at least one frame, got none in {path}")
    yield first
    if start_s >= _SEEK_FROM_S:
        sources = _seek(container, stream, path, first.time_s, first.time_s + start_s)
    yield from sources


def _seek(
    container: InputContainer, stream: VideoStream, path: PathArgument, origin_s: float, start_s: float
) -> Iterator[TimedFrame]:
    # A seek may end too late: the index may be wrong, or the key frame's first followers need what was before it.
    for target_s in (start_s, start_s - _SECOND_TRY_S):
        if target_s < origin_s or not media_file.seek(container, stream, target_s):
            break
        sources = whole_frames(container, stream, path)
        landed = next(sources, None)
        if landed is not None and landed.time_s <= start_s + _TIME_TOLERANCE_S:
            yield landed
            yield from sources
            return
    with media_file.open_media(path) as unmoved:
        yield from whole_frames(unmoved, media_file.video_stream(unmoved, path), path)


def whole_frames(
    container: InputContainer, stream: VideoStream, path: PathArgument, *, each_field: bool = False
) -> Iterator[TimedFrame]:
    """Yield frames from where the container stands, those of two fields made whole, or one for `each_field` of them.

    Raises:
        ReadError: damaged, or without time stamps.
    """
    return deinterlaced(timed_frames(container, stream, path), each_field=each_field)


def timed_frames(container: InputContainer, stream: VideoStream, path: PathArgument) -> Iterator[TimedFrame]:
    """Yield frames as they are stored, from where the container stands, with the times at which they are due.

    Raises:
        ReadError: damaged, or without time stamps.
    """
    # AVI stores no presentation times; those that FFmpeg makes up are in disorder where frames were reordered, while
    # the decoding times come out in order.
    has_decoding_times_only = container.format.name == "avi"
    previous_s = None
    for frame in media_file.decode_video(container, stream, path):
        if not has_decoding_times_only:
            time_s = media_file.frame_time_s(frame, path)
        elif frame.dts is not None or previous_s is None:
            ticks = frame.pts if frame.dts is None else frame.dts
            time_s = float((ticks or 0) * media_file.tick_s(frame))
            limits.check_time(time_s, path)
        else:
            time_s = previous_s + float(media_file.tick_s(frame))
        previous_s = time_s
        yield TimedFrame(time_s, float(frame.duration * media_file.tick_s(frame)) if frame.duration else None, frame)


def _place(
    first: TimedFrame, sources: Iterator[TimedFrame], times: _Times, render: Renderer
) -> tuple[list[np.ndarray], int, float | None]:
    """Return the frames that are due, how many are the file's own, and its end if it was read that far.

    Args:
        first: the first source frame.
        sources: others, in order.
        times: when frames are due after the first.
        render: turns source frames into frames of the result.
    """
    shown: list[np.ndarray] = []
    current, current_s, rendered = first, 0.0, None
    for following in sources:
        next_s = following.time_s - first.time_s
        while times.due_s(len(shown)) < next_s - _TIME_TOLERANCE_S and not times.is_complete(len(shown)):
            rendered = render(current.frame, current_s) if rendered is None else rendered
            times.check_length(len(shown) + 1, render)
            shown.append(rendered)
        if times.is_complete(len(shown)):
            return shown, len(shown), None
        current, current_s, rendered = following, next_s, None
    end_s = current_s + (current.duration_s or times.source_length_s)
    num_own, wanted = times.num_until(end_s, render.path)
    times.check_length(wanted, render)
    missing = wanted - len(shown)
    if missing > 0:
        shown += [render(current.frame, current_s) if rendered is None else rendered] * missing
    return shown[: len(shown) + min(missing, 0)], num_own, end_s


def _stack(shown: list[np.ndarray]) -> np.ndarray:
    """Join frames (H, W, 3) to (F, H, W, 3), emptying the list on the way, so that memory holds them once."""
    frames = np.empty((len(shown), *shown[0].shape), dtype=np.uint8)
    while shown:
        last = shown.pop()
        frames[len(shown)] = last
    return frames
