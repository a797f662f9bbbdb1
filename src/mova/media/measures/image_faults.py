"""Black and frozen frames, blur, blocks, and spatial and temporal information of a video, by FFmpeg's filters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, cast

import av.error
import av.filter

from mova.errors import ReadError
from mova.media import media_file

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

CHECK_LINES: Final = 360
"""Spatial and temporal information are measured at this height at most: at 720 lines they cost three times as much."""
SHARPNESS_RATE: Final = 4.0
"""Frames per second of which blur and blockiness are measured, at full size."""
_BLACK: Final = "blackdetect=d=0:pic_th=0.98:pix_th=0.10"
_FREEZE: Final = "freezedetect=n=-60dB:d=0.5"


@dataclass
class ImageFaults:
    """What the filters found in a video.

    Attributes:
        duration_s: from the first frame to the end of the last one.
        black_s: seconds of frames of which 98 % of the pixels are darker than a tenth of the range.
        frozen_s: seconds of half a second or more in which nothing moves (noise tolerance -60 dB).
        blur: mean width of edges in pixels; NaN where no frame has an edge.
        blockiness: mean strength of a grid of blocks over that between them; NaN where it has no meaning.
        spatial_information: P.910's SI, mean over the frames.
        temporal_information: P.910's TI, mean over all frames but the first; NaN for a single frame.
    """

    duration_s: float
    black_s: float
    frozen_s: float
    blur: float
    blockiness: float
    spatial_information: float
    temporal_information: float


def image_faults(path: str | os.PathLike[str]) -> ImageFaults:
    """Measure a video in one pass; frames are taken as stored, neither turned nor scaled to square pixels.

    Args:
        path: a video file of some seconds.

    Raises:
        ReadError: it is missing, cannot be decoded, or its frames change their size.
    """
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        tally = _Tally(float(media_file.frame_rate(stream) or 24.0))
        every: Graph | None = None
        for frame in media_file.decode(container, stream, path):
            if every is None:
                every, sharp = _graph(stream, frame, _every(frame.height)), _graph(stream, frame, _sharp())
                size = (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                raise ReadError(f"frames must keep their size, got {path} in which it changes")
            if tally.count(media_file.frame_time_s(frame, path)):
                tally.add_sharpness(_through(sharp, frame))
            tally.add_all(_through(every, frame))
        if every is None:
            raise ReadError(f"a video must have at least one frame, got none in {path}")
        tally.add_all(_through(every, None))
        return tally.result()


def _every(height: int) -> Sequence[str]:
    shrink = [f"scale=-2:{CHECK_LINES}:flags=area"] if height > CHECK_LINES else []
    return (_BLACK, _FREEZE, *shrink, "siti")


def _sharp() -> Sequence[str]:
    return ("blurdetect", "blockdetect")


def _graph(stream: VideoStream, frame: VideoFrame, filters: Sequence[str]) -> Graph:
    graph: Graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base)
    # The filters look at light alone: other layouts of it become the nearest that they all take.
    chain = [source, graph.add("format", "yuv420p")]
    chain += [graph.add(name, options) for name, _, options in (text.partition("=") for text in filters)]
    chain.append(graph.add("buffersink"))
    for one, following in pairwise(chain):
        one.link_to(following)
    graph.configure()
    return graph


def _through(graph: Graph, frame: VideoFrame | None) -> Iterator[Mapping[str, str]]:
    """Yield what the filters write on the frames that come out; None ends the stream."""
    graph.push(frame)
    while True:
        try:
            yield cast("VideoFrame", graph.pull()).metadata
        except (av.error.BlockingIOError, av.error.EOFError):
            return


@dataclass
class _Tally:
    """What was found so far: `rate` in frames per second, times in seconds on the file's clock."""

    rate: float
    first_s: float = math.nan
    last_s: float = math.nan
    black: _Spells = field(default_factory=lambda: _Spells("lavfi.black_start", "lavfi.black_end"))
    frozen: _Spells = field(
        default_factory=lambda: _Spells("lavfi.freezedetect.freeze_start", "lavfi.freezedetect.freeze_end")
    )
    values: dict[str, list[float]] = field(
        default_factory=lambda: {"blur": [], "block": [], "siti.si": [], "siti.ti": []}
    )
    due_s: float = -math.inf

    def count(self, time_s: float) -> bool:
        """Note a frame; say whether its sharpness is due."""
        if math.isnan(self.first_s):
            self.first_s = time_s
        self.last_s = time_s
        is_due = time_s >= self.due_s - 0.5 / self.rate
        if is_due:
            self.due_s = time_s + 1.0 / SHARPNESS_RATE
        return is_due

    def add_sharpness(self, found: Iterator[Mapping[str, str]]) -> None:
        for notes in found:
            self._take(notes, "blur", "block")

    def add_all(self, found: Iterator[Mapping[str, str]]) -> None:
        for notes in found:
            self.black.note(notes)
            self.frozen.note(notes)
            self._take(notes, "siti.si", "siti.ti")

    def result(self) -> ImageFaults:
        end_s = self.last_s + 1.0 / self.rate
        temporal = self.values["siti.ti"][1:]
        return ImageFaults(
            duration_s=end_s - self.first_s,
            black_s=self.black.total(end_s),
            frozen_s=self.frozen.total(end_s),
            blur=_mean(self.values["blur"]),
            blockiness=_mean(self.values["block"]),
            spatial_information=_mean(self.values["siti.si"]),
            temporal_information=_mean(temporal),
        )

    def _take(self, notes: Mapping[str, str], *names: str) -> None:
        for name in names:
            if (text := notes.get(f"lavfi.{name}")) is not None:
                self.values[name].append(float(text))


@dataclass
class _Spells:
    """Seconds between marks that a filter writes when something begins and when it is over."""

    begin: str
    end: str
    since_s: float | None = None
    seconds: float = 0.0

    def note(self, notes: Mapping[str, str]) -> None:
        # One frame may end a spell and begin the next.
        if (over := notes.get(self.end)) is not None and self.since_s is not None:
            self.seconds += float(over) - self.since_s
            self.since_s = None
        if (since := notes.get(self.begin)) is not None:
            self.since_s = float(since)

    def total(self, end_s: float) -> float:
        """Return the seconds, what is not yet over counted to the end of the video."""
        return self.seconds if self.since_s is None else self.seconds + end_s - self.since_s


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan
