"""Decoded frames to upright RGB of one size: colours, scaling and turning, in one pass of swscale where that is exact.

The pass turns YCbCr into RGB and scales each plane with Lanczos. It knows whole pixels only, so what is kept of a frame
is reached by whole numbers in each direction: pixels cut off before, the size that the rest is scaled to, and pixels
cut off after. A direction for which no such numbers are near enough is scaled in a second pass, which knows fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import av.filter
import numpy as np
from av.video.reformatter import VideoReformatter

from mova.errors import ReadError
from mova.media import limits, media_file
from mova.media.frames import Fit, cover_box, fit_image, orient, scale_box
from mova.media.images import over_white

if TYPE_CHECKING:
    import os

    from av.filter import Graph
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

    from mova.media.colour import ColourMap

# Untagged material: high definition is ITU-R BT.709, the rest BT.601, as players assume.
_HD_HEIGHT, _UNSPECIFIED = 720, 2
# PyAV's names by the numbers of ITU-T H.273.
_SCALER_MATRICES = {1: "itu709", 4: "fcc", 5: "itu601", 6: "itu601", 7: "smpte240m", 9: "bt2020"}
# Pixel formats of YCbCr and grey. swscale would take RGB, too, by way of YCbCr, and lose colour on the way.
_YCBCR = ("yuv", "nv", "p0", "p2", "p4", "gray")
# How far what is seen may lie from its place, in pixels of the result.
_MOST_OFF = 1 / 16
# What is no farther off than this is not worth cutting a frame for.
_FINE = 1 / 32
_LANCZOS_LOBES = 3
_CUTS_TRIED = 16
# swscale works in steps of several pixels; frames that are smaller are left to the two passes.
_LEAST_SIDE = 16
# Earlier releases of PyAV have no such setting, and take one thread.
ONE_THREAD = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}


@dataclass(frozen=True)
class AxisPlan:
    """How a range of pixels is reached with whole numbers, in one direction.

    Attributes:
        first, end: pixels of the source that are kept before scaling.
        scaled: pixels that they are scaled to.
        offset: pixels of those that are cut off before the result.
        off: how far the ends of the result lie from where they should, at most, in its pixels.
    """

    first: int
    end: int
    scaled: int
    offset: int
    off: float


@lru_cache(maxsize=256)
def plan_axis(length: int, low: float, high: float, count: int, step: int) -> AxisPlan:
    """Choose whole numbers that put pixels [low, high) of `length` into `count` pixels.

    Args:
        length: pixels of the source.
        low, high: range of them that is to be seen, low < high.
        count: pixels of the result.
        step: the source may be cut at multiples of this, 2 where chroma has half of the pixels.
    """
    pitch = (high - low) / count
    margin = math.ceil(_LANCZOS_LOBES * max(1.0, pitch))
    before, after = math.floor((low - margin) / step) * step, math.ceil((high + margin) / step) * step
    firsts = {0, *range(before, max(before - _CUTS_TRIED * step, -1), -step)}
    ends = {length, *range(after, min(after + _CUTS_TRIED * step, length), step)}
    plans = [
        _plan(first, end, scaled, low, high, count)
        for first in firsts
        for end in ends
        for scaled in {math.floor((end - first) / pitch), math.ceil((end - first) / pitch)}
        if scaled >= count
    ]
    return min(plans, key=lambda plan: _cost(plan, length, count))


def _plan(first: int, end: int, scaled: int, low: float, high: float, count: int) -> AxisPlan:
    pitch = (end - first) / scaled
    begin, over = (low - first) / pitch, (high - first) / pitch
    offset = min(max(round((begin + over - count) / 2), 0), scaled - count)
    return AxisPlan(first, end, scaled, offset, max(abs(offset - begin), abs(offset + count - over)))


def _cost(plan: AxisPlan, length: int, count: int) -> tuple[float, float, int]:
    # Next to what is off, pixels that are scaled in vain count; a cut costs a little, too.
    is_cut = plan.end - plan.first < length
    return max(plan.off, _FINE), plan.scaled + is_cut * count / 8, plan.first


@dataclass(frozen=True)
class _Axis:
    """One direction of a frame: with colours scaled to its end, or left for a second pass.

    Attributes:
        plan: what happens to it while colours are turned; nothing where it is left.
        is_reached: whether the plan is all of it.
        begin, over: range that the second pass is to take, in pixels after the first.
        count: pixels of the result.
    """

    plan: AxisPlan
    is_reached: bool
    begin: float
    over: float
    count: int


def _axis(length: int, low: float, high: float, count: int, step: int) -> _Axis:
    plan = plan_axis(length, low, high, count, step)
    if plan.off <= _MOST_OFF:
        return _Axis(plan, True, plan.offset, plan.offset + count, count)
    return _Axis(AxisPlan(0, length, length, 0, 0.0), False, low, high, count)


@dataclass(frozen=True)
class Renderer:
    """Turns source frames into upright RGB of one size, whatever the stream does on the way.

    Args:
        path: names the file in errors.
        size: (height, width) of the result.
        crop: which part is kept, as in `frames.cover`.
        aspect: width of a pixel of the upright frame divided by its height.
        quarter_turns, is_mirrored: what makes a stored frame upright, as in `frames.orient`.
        colours: maps what is not SDR; None where nothing is mapped.
        matrix: of the stream's YCbCr, for frames that do not say; a number of ITU-T H.273.
        fit: what is done with frames of another shape, as in `frames.fit_image`.
    """

    path: str | os.PathLike[str]
    size: tuple[int, int]
    crop: tuple[float, float]
    aspect: float
    quarter_turns: int
    is_mirrored: bool
    colours: ColourMap | None
    matrix: int
    # One for all frames: to prepare it takes as long as half a pass.
    _scaler: VideoReformatter = field(default_factory=VideoReformatter)
    _cutters: dict[tuple[object, ...], Cutter] = field(default_factory=dict)
    fit: Fit = "crop"

    def __call__(self, frame: VideoFrame, time_s: float) -> np.ndarray:
        """Return (height, width, 3) uint8.

        Raises:
            ReadError: the frame is damaged, or larger than what is read.
        """
        if frame.is_corrupt:
            raise ReadError(f"a video must be undamaged, got {self.path} with a broken frame at {time_s:.3f} s")
        limits.check_video_size(frame.width, frame.height, self.path)
        if axes := self._axes(frame):
            return orient(self._scaled(frame, *axes), self.quarter_turns, mirrored=self.is_mirrored)
        upright = orient(self._stored(frame), self.quarter_turns, mirrored=self.is_mirrored)
        return fit_image(upright, self.size, self.fit, crop=self.crop, pixel_aspect=self.aspect)

    def _axes(self, frame: VideoFrame) -> tuple[_Axis, _Axis] | None:
        """Return how rows and columns are scaled while colours are turned; None where neither is."""
        if (
            self.fit != "crop"
            or self.colours is not None
            or not frame.format.name.startswith(_YCBCR)
            or has_alpha(frame.format)
        ):
            return None
        height, width = frame.height, frame.width
        is_turned = self.quarter_turns % 2 == 1
        upright = (width, height) if is_turned else (height, width)
        if (upright == tuple(self.size) and self.aspect == 1.0) or min(height, width, *self.size) < _LEAST_SIDE:
            return None
        box = cover_box(upright, self.size, crop=self.crop, pixel_aspect=self.aspect)
        left, top, right, bottom = _stored_box(box, (height, width), self.quarter_turns, mirrored=self.is_mirrored)
        rows, columns = self.size[::-1] if is_turned else self.size
        # Planes of chroma are cut with the others.
        step_x, step_y = 8 // frame.format.chroma_width(8), 8 // frame.format.chroma_height(8)
        axes = _axis(height, top, bottom, rows, step_y), _axis(width, left, right, columns, step_x)
        return axes if any(axis.is_reached for axis in axes) else None

    def _scaled(self, frame: VideoFrame, vertical: _Axis, horizontal: _Axis) -> np.ndarray:
        """Return (h, w, 3) uint8 of the result's size, stored as the frame is."""
        space = untagged_matrix(frame, self.matrix)
        kept = (horizontal.plan.first, vertical.plan.first, horizontal.plan.end, vertical.plan.end)
        if kept != (0, 0, frame.width, frame.height):
            form = (frame.width, frame.height, frame.format.name, *kept)
            if form not in self._cutters:
                self._cutters[form] = Cutter(frame, *kept)
            frame = self._cutters[form](frame)
        pixels = self._to_array(
            frame,
            "rgb24",
            media_file.SHARP,
            width=horizontal.plan.scaled,
            height=vertical.plan.scaled,
            src_colorspace=space,
        )
        if not (vertical.is_reached and horizontal.is_reached):
            box = (horizontal.begin, vertical.begin, horizontal.over, vertical.over)
            return scale_box(pixels, (vertical.count, horizontal.count), box)
        top, left = vertical.plan.offset, horizontal.plan.offset
        return pixels[top : top + vertical.count, left : left + horizontal.count]

    def _stored(self, frame: VideoFrame) -> np.ndarray:
        """Return (h, w, 3) uint8 in BT.709 or BT.601, over white where there is transparency."""
        space = untagged_matrix(frame, self.matrix)
        if self.colours is not None:
            # 16 bits, and no larger than needed: the mapping costs more than the scaling.
            height, width = self._smallest(frame)
            is_smaller = (height, width) != (frame.height, frame.width)
            way = media_file.DEEP_AREA if is_smaller else media_file.DEEP
            return self.colours(self._to_array(frame, "rgb48le", way, width=width, height=height, src_colorspace=space))
        if has_alpha(frame.format):
            return over_white(self._to_array(frame, "rgba", media_file.PRECISE, src_colorspace=space))
        return self._to_array(frame, "rgb24", media_file.PRECISE, src_colorspace=space)

    def _to_array(self, frame: VideoFrame, pixel_format: str, way: int, **options: Any) -> np.ndarray:
        scaled = self._scaler.reformat(
            frame, format=pixel_format, dst_color_range="JPEG", interpolation=way, **options, **ONE_THREAD
        )
        pixels: np.ndarray = scaled.to_ndarray()
        return pixels

    def _smallest(self, frame: VideoFrame) -> tuple[int, int]:
        """Return the (height, width) to which a stored frame may be reduced before it is cut to size."""
        height, width = self.size if self.quarter_turns % 2 == 0 else self.size[::-1]
        scale = max(height / frame.height, width / frame.width) * max(self.aspect, 1.0 / self.aspect)
        return (
            min(frame.height, math.ceil(frame.height * scale)),
            min(frame.width, math.ceil(frame.width * scale)),
        )


def untagged_matrix(frame: VideoFrame, stated: int) -> str | None:
    """Return PyAV's name of the matrix of a frame that does not say one itself; None where it does.

    Args:
        frame: a decoded frame.
        stated: what its stream says, a number of ITU-T H.273.
    """
    if frame.colorspace != _UNSPECIFIED:
        return None
    return _SCALER_MATRICES.get(stated) or ("itu709" if frame.height >= _HD_HEIGHT else "itu601")


class Cutter:
    """Cuts frames of one form to a range of whole pixels; no pixel is copied.

    Args:
        frame: one of that form.
        left, top, right, bottom: what is kept.
    """

    def __init__(self, frame: VideoFrame, left: int, top: int, right: int, bottom: int) -> None:
        self._graph: Graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=cast("VideoFormat", frame.format.name),
            time_base=frame.time_base or Fraction(1, media_file.CLOCK_RATE),
        )
        cut = self._graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1")
        sink = self._graph.add("buffersink")
        source.link_to(cut)
        cut.link_to(sink)
        self._graph.configure()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return what is kept of a frame."""
        self._graph.push(frame)
        return cast("VideoFrame", self._graph.pull())


def _stored_box(
    box: tuple[float, float, float, float], stored: tuple[int, int], quarter_turns: int, *, mirrored: bool
) -> tuple[float, float, float, float]:
    """Return where a box (left, top, right, bottom) of an upright frame lies in the stored one of (height, width)."""
    (left, top, right, bottom), (height, width) = box, stored
    match quarter_turns % 4:
        case 1:
            left, top, right, bottom = width - bottom, left, width - top, right
        case 2:
            left, top, right, bottom = width - right, height - bottom, width - left, height - top
        case 3:
            left, top, right, bottom = top, height - right, bottom, height - left
    return (width - right, top, width - left, bottom) if mirrored else (left, top, right, bottom)


def has_alpha(pixel_format: VideoFormat) -> bool:
    """Say whether a pixel format has transparency, or a palette, which may."""
    return bool(pixel_format.has_palette or any(part.is_alpha for part in pixel_format.components))
