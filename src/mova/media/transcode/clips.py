"""Windows of a source to clips: both streams from one timeline, in one pass wherever windows follow each other.

A frame of a clip shows the source frame whose time is nearest: rates change without moving what is seen by more than
half a frame. Audio lies where its time stamps say, to the sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mova.errors import MovaError, ReadError
from mova.media import media_file
from mova.media.colour import colour_tags
from mova.media.decode_audio import decode_audio_span
from mova.media.decode_video import whole_frames
from mova.media.transcode.canvas import Box, Canvas, Fit, lay_out, look_of
from mova.media.transcode.encode import ClipFormat, clip_file
from mova.media.transcode.verify import verify_clip
from mova.media.write import complete_file

if TYPE_CHECKING:
    import os

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mova.media.deinterlace import TimedFrame

    PathArgument = str | os.PathLike[str]

# To decode so much that nobody needs costs less than a seek to the key frame before.
_READ_ON_S = 4.0
# Matroska and Flash round time stamps to 1 ms.
_TOLERANCE_S = 0.0015
_SECOND_TRY_S = 10.0


@dataclass(frozen=True)
class ClipWindow:
    """A clip to be cut.

    Attributes:
        start: of its first frame, in seconds on the source's own clock.
        target: its file.
    """

    start: Fraction
    target: Path


@dataclass(frozen=True)
class CutClip:
    """What became of a window.

    Attributes:
        error: why there is no clip; "" where there is one.
        lead_s, tail_s: silence that was put before and after the source's own audio.
    """

    error: str = ""
    lead_s: float = 0.0
    tail_s: float = 0.0


@dataclass(frozen=True)
class SourceView:
    """How a source is shown in clips.

    Attributes:
        box: content without borders, in stored pixels; None takes all.
        fit: bars or cut edges where the shapes differ.
        is_silent: whether a source without audio gets silence.
    """

    box: Box | None = None
    fit: Fit = "pad"
    is_silent: bool = False


def cut_clips(path: PathArgument, windows: Sequence[ClipWindow], form: ClipFormat, view: SourceView) -> list[CutClip]:
    """Write the clips of some windows of a source; each file is complete, verified and on disk, or absent.

    Args:
        path: of the source.
        windows: in order of their start.
        form: what all clips have in common.
        view: how the source is shown.

    Returns:
        What became of each window; damage in one does not keep the others from being cut.

    Raises:
        ReadError: the source cannot be opened.
        OSError: the folder cannot be written, or the disk is full.
    """
    media_file.use_threads(form.threads)
    with _Player(path, form, view) as player:
        return [_cut(player, window, form, view) for window in windows]


def _cut(player: _Player, window: ClipWindow, form: ClipFormat, view: SourceView) -> CutClip:
    try:
        waveform, lead_s, tail_s = _audio(player.path, window.start, form, is_silent=view.is_silent)
        with complete_file(window.target) as temporary:
            with clip_file(temporary, form, player.canvas.layout.canvas, waveform) as clip:
                for frame in player.shown(window.start, form):
                    clip.show(frame)
            verify_clip(temporary, form)
    except MovaError as error:
        player.reopen()
        return CutClip(error=str(error))
    return CutClip("", lead_s, tail_s)


def _audio(
    path: PathArgument, start: Fraction, form: ClipFormat, *, is_silent: bool
) -> tuple[np.ndarray, float, float]:
    """Return the samples of a window, and how much silence was put before and after the source's own."""
    duration_s = float(form.duration)
    span = decode_audio_span(path, origin_s=0.0, start_s=float(start), duration_s=duration_s)
    if span is None:
        if not is_silent:
            raise ReadError(f"a clip must have audio, got {path} without any")
        return np.zeros((1, form.num_samples), np.float32), duration_s, 0.0
    waveform = span.cut(form.sample_rate, form.num_samples, mono=form.channels == 1)
    missing = form.num_samples - waveform.shape[1]
    if missing > 0:
        waveform = np.pad(waveform, ((0, 0), (0, missing)))
    if not span.parts:
        return waveform, duration_s, 0.0
    return waveform, span.begin_s, max(0.0, duration_s - span.end_s)


class _Player:
    """Shows a source from any time on, forwards; frames are decoded once where windows follow each other."""

    def __init__(self, path: PathArgument, form: ClipFormat, view: SourceView) -> None:
        self.path = path
        self.canvas: Canvas
        self._stack = ExitStack()
        self._container: InputContainer
        self._stream: VideoStream
        self._frames: Iterator[TimedFrame] = iter(())
        self._current: TimedFrame | None = None
        self._following: TimedFrame | None = None
        try:
            self._open()
            stated = colour_tags(self._stream.codec_context)
            self._begin(self._whole_frames())
            if self._current is None:
                raise ReadError(f"a video must have at least one frame, got none in {path}")
            # Of the first frame only: a frame whose side data was looked at lives until the garbage collector runs.
            look = look_of(self._stream, stated, self._current.frame, path)
            self.canvas = Canvas(path, look, lay_out(look, view.box, form.size, view.fit))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> _Player:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.close()
        self._container = self._stack.enter_context(media_file.open_media(self.path))
        self._stream = media_file.video_stream(self._container, self.path)

    def _whole_frames(self) -> Iterator[TimedFrame]:
        # Something may begin in the second field of a frame.
        return whole_frames(self._container, self._stream, self.path, each_field=True)

    def _begin(self, frames: Iterator[TimedFrame]) -> None:
        with media_file.as_read_errors(self.path):
            self._frames = frames
            self._current, self._following = next(frames, None), next(frames, None)

    def reopen(self) -> None:
        """Forget where the source stands, after an error."""
        self._frames, self._current, self._following = iter(()), None, None

    def shown(self, start: Fraction, form: ClipFormat) -> Iterator[VideoFrame]:
        """Yield the frames of a clip.

        Raises:
            ReadError: the source is damaged there, or ends.
        """
        with media_file.as_read_errors(self.path):
            yield from self._shown(start, form)

    def _shown(self, start: Fraction, form: ClipFormat) -> Iterator[VideoFrame]:
        self._go(float(start))
        source: TimedFrame | None = None
        rendered: VideoFrame | None = None
        for index in range(form.num_frames):
            due_s = float(start + (index + Fraction(1, 2)) / form.frame_rate)
            while self._following is not None and self._following.time_s <= due_s:
                self._current, self._following = self._following, next(self._frames, None)
            if self._current is None:
                raise ReadError(f"a video must not end inside of a clip, got {self.path} at {due_s:.3f} s")
            if rendered is None or source is not self._current:
                source = self._current
                rendered = self.canvas(source.frame, source.time_s)
            yield rendered

    def _go(self, time_s: float) -> None:
        """Make the current frame one that is due by a time."""
        if self._is_near(time_s):
            return
        for target_s in (time_s, time_s - _SECOND_TRY_S):
            if self._current is None:
                self._open()
            if not media_file.seek(self._container, self._stream, target_s):
                break
            try:
                self._begin(self._whole_frames())
            except ReadError:
                # Nothing that can be decoded begins there.
                self.reopen()
            if self._current is not None and self._current.time_s <= time_s + _TOLERANCE_S:
                return
        # No index, or one that leads to the wrong place: only reading from the start tells.
        if self._current is None or self._current.time_s > time_s + _TOLERANCE_S:
            self._open()
            self._begin(self._whole_frames())

    def _is_near(self, time_s: float) -> bool:
        behind_s = math.inf if self._current is None else time_s + _TOLERANCE_S - self._current.time_s
        return 0.0 <= behind_s <= _READ_ON_S
