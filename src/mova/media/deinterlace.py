"""Interlaced frames to whole ones with FFmpeg's bwdif, one for each or one for each field; others pass untouched."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import av
import av.error
import av.filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.filter import Graph
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

# How long a frame of two fields lasts, where the file does not say.
_USUAL_S = 1 / 25


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame with its place in time.

    Attributes:
        time_s: when it is due on the file's clock.
        duration_s: how long it lasts; None where the file does not say.
        frame: PyAV's.
    """

    time_s: float
    duration_s: float | None
    frame: VideoFrame


def deinterlaced(frames: Iterator[TimedFrame], *, each_field: bool = False) -> Iterator[TimedFrame]:
    """Rebuild each frame that is flagged as two fields from itself and its neighbours.

    Args:
        frames: in the order in which they are shown, as decoded.
        each_field: whether both fields are shown, each at its own time; otherwise times and number stay, and what is
            seen first in the second field of a frame is shown with the next frame.
    """
    graph: Graph | None = None
    form: tuple[int, int, str] | None = None
    waiting: deque[TimedFrame] = deque()
    ahead: deque[TimedFrame] = deque()
    num_surplus = 0
    while (timed := ahead.popleft() if ahead else next(frames, None)) is not None:
        frame = timed.frame
        if graph is None and not frame.interlaced_frame:
            yield timed
            continue
        if graph is None or form != _form(frame):
            if graph is not None:
                yield from _rest(graph, waiting)
            graph, form, num_surplus = _graph(frame, each_field=each_field), _form(frame), 0
            following = next(frames, None)
            if following is not None:
                ahead.append(following)
                # With nothing before it, the filter would take the first frame as still and keep its combs.
                if _form(following.frame) == form:
                    graph.push(following.frame)
                    num_surplus = len(_moments(following, each_field=each_field))
        waiting += _moments(timed, each_field=each_field)
        graph.push(frame)
        for whole in _pulled(graph):
            if num_surplus:
                num_surplus -= 1
            elif waiting:
                yield _as(waiting.popleft(), whole)
    if graph is not None:
        yield from _rest(graph, waiting)


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _moments(timed: TimedFrame, *, each_field: bool) -> list[TimedFrame]:
    """Return what the filter makes of a frame: the frame, or its two fields."""
    if not each_field or not timed.frame.interlaced_frame:
        return [timed]
    half_s = (timed.duration_s or _USUAL_S) / 2
    return [replace(timed, duration_s=half_s), replace(timed, time_s=timed.time_s + half_s, duration_s=half_s)]


def _graph(frame: VideoFrame, *, each_field: bool) -> Graph:
    graph: Graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=cast("VideoFormat", frame.format.name), time_base=frame.time_base
    )
    # The field that comes first, or both; frames without the flag are handed through.
    bwdif = graph.add("bwdif", f"mode={'send_field' if each_field else 'send_frame'}:parity=auto:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    """Yield what the filter, which looks one frame ahead, has finished."""
    while True:
        try:
            yield cast("VideoFrame", graph.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _rest(graph: Graph, waiting: deque[TimedFrame]) -> Iterator[TimedFrame]:
    graph.push(None)
    for whole in _pulled(graph):
        if waiting:
            yield _as(waiting.popleft(), whole)
    # The filter needs a neighbour: a single frame stays as it is.
    while waiting:
        yield waiting.popleft()


def _as(timed: TimedFrame, whole: VideoFrame) -> TimedFrame:
    return TimedFrame(timed.time_s, timed.duration_s, whole)
