"""One pass over the video of a source: when its frames are due, which of them hold together, small frames to look at.

The whole file is decoded once, without the filter at the edges of blocks, which small frames do not show. Memory grows
by eight bytes a frame.
"""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from mova.errors import ReadError
from mova.media import media_file
from mova.media.decode_video import timed_frames
from mova.media.render import ONE_THREAD
from mova.media.transcode.borders import Borders
from mova.media.transcode.pieces import SPLITTABLE

if TYPE_CHECKING:
    import os

    from av.video.frame import VideoFrame

    from mova.media.transcode.canvas import Box

# A frame that stays this much longer than usual, and this long, is a gap: what came in between was lost.
_GAP_FACTOR, _GAP_S = 8, 2.0
# In streams that are received frames hardly ever stay: what is missing was lost.
_RECEIVED_GAP_S = 0.5
# Frames out of order by less than this are disorder within a stream; by more, two clocks.
_DISORDER_S = 0.5
# Borders are looked for once in a while.
_BORDER_STEP_S = 1.0
_MOST_BROKEN_SHARE = 0.05

SmallFrames = Callable[[np.ndarray], None]
"""Takes small frames (h, w, 3) uint8 BGR, each once, in order."""


@dataclass(frozen=True)
class VideoSurvey:
    """What one pass over a video found; times are ticks of its clock.

    Attributes:
        tick: seconds of a tick.
        frames: time of each whole frame, ascending.
        parts: (begin, end) of spans without a gap.
        box: content without borders; None where there are none.
        num_broken: frames that were damaged.
    """

    tick: Fraction
    frames: array[int]
    parts: tuple[tuple[int, int], ...]
    box: Box | None
    num_broken: int

    @property
    def duration_s(self) -> float:
        """Seconds that its parts last."""
        return float(sum(end - begin for begin, end in self.parts) * self.tick)


def survey_video(
    path: str | os.PathLike[str], width: int | None, look: SmallFrames | None, *, borders: bool = True
) -> VideoSurvey:
    """Decode the video of a file once.

    Args:
        path: a video file.
        width: of small frames; those of narrower videos stay as they are.
        look: is given each whole frame, small; None where nobody looks.
        borders: whether black borders are looked for.

    Raises:
        ReadError: it cannot be decoded, more than every twentieth frame is damaged, or its clock goes back far.
    """
    times: array[int] = array("q")
    breaks: list[int] = []
    edges, scaler = Borders(), VideoReformatter()
    num_broken, next_look_s, last_length = 0, -float("inf"), 0
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        context = stream.codec_context
        # Of frames that no other is made from, and no more: else they drift, and jump back at key frames like a cut.
        context.options = {**context.options, "skip_loop_filter": "noref"}
        tick = media_file.tick_s(stream)
        gap = round((_RECEIVED_GAP_S if container.format.name in SPLITTABLE else _GAP_S) / tick)
        for timed in timed_frames(container, stream, path):
            if timed.frame.is_corrupt:
                num_broken += 1
                breaks.append(len(times))
                continue
            ticks = round(timed.time_s / tick)
            if times and ticks <= times[-1]:
                if (times[-1] - ticks) * tick <= _DISORDER_S:
                    continue  # a player would not show it either
                raise ReadError(
                    f"a video's clock must go forward, got {path} where it goes back at {timed.time_s:.3f} s"
                )
            times.append(ticks)
            last_length = round((timed.duration_s or 0.0) / tick)
            if borders and timed.time_s >= next_look_s:
                next_look_s = timed.time_s + _BORDER_STEP_S
                edges.add(timed.frame)
            if look is not None:
                look(_small(scaler, timed.frame, width))
    if not times or num_broken > _MOST_BROKEN_SHARE * (len(times) + num_broken):
        raise ReadError(f"a video must be undamaged, got {path} with {num_broken} broken frames beside {len(times)}")
    parts = _parts(np.frombuffer(times, dtype=np.int64), breaks, last_length, gap)
    return VideoSurvey(tick, times, parts, edges.box(), num_broken)


def _small(scaler: VideoReformatter, frame: VideoFrame, width: int | None) -> np.ndarray:
    columns = min(width or frame.width, frame.width)
    rows = max(2, round(frame.height * columns / frame.width))
    small = scaler.reformat(
        frame, width=columns, height=rows, format="bgr24", interpolation=Interpolation.AREA, **ONE_THREAD
    )
    pixels: np.ndarray = small.to_ndarray()
    return pixels


def _parts(frames: np.ndarray, breaks: list[int], last_length: int, gap: int) -> tuple[tuple[int, int], ...]:
    """Split frames where some were lost; each part ends where its last frame does."""
    steps = np.diff(frames)
    usual = int(statistics.median(steps.tolist()[:10_000])) if steps.size else max(1, last_length)
    longest = max(_GAP_FACTOR * usual, gap)
    starts = {0, *(np.flatnonzero(steps > longest) + 1).tolist(), *(at for at in breaks if at < len(frames))}
    edges = [*sorted(starts), len(frames)]
    # A frame before a gap, or the last one, lasts as long as it says or as usual.
    final = last_length if 0 < last_length <= longest else usual
    return tuple(
        (int(frames[begin]), int(frames[end - 1]) + (final if end == len(frames) else usual))
        for begin, end in pairwise(edges)
    )
