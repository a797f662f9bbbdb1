"""Where the content of a source lies in a clip's frames: upright, in square pixels, centred, in BT.709.

Stored frames go to the clip's size in one pass of swscale from YCbCr to YCbCr; only what has to be mapped (HDR, wide
colour, transparency) goes by way of RGB, as `render` does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from mova.errors import ReadError
from mova.media import limits, media_file
from mova.media.colour import ColourMap, ColourTags, colour_map, colour_tags
from mova.media.frames import orient
from mova.media.mp4.streams import rgb_to_yuv
from mova.media.render import ONE_THREAD, Cutter, Renderer, has_alpha, untagged_matrix

if TYPE_CHECKING:
    import os

    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in stored pixels."""
Fit = Literal["pad", "crop"]
_SCALING = Interpolation.BICUBIC
_BLACK, _GREY = 16, 128
_CENTRE = (0.5, 0.5)


@dataclass(frozen=True)
class Look:
    """What decides how the stored frames of a stream are shown.

    Attributes:
        stored: (height, width) of a stored frame.
        aspect: width of a stored pixel divided by its height.
        quarter_turns, is_mirrored: what makes a stored frame upright, as in `frames.orient`.
        tags: of its colours.
        colours: maps what is not SDR; None where nothing is mapped.
    """

    stored: tuple[int, int]
    aspect: float
    quarter_turns: int
    is_mirrored: bool
    tags: ColourTags
    colours: ColourMap | None


def look_of(stream: VideoStream, stated: ColourTags, first: VideoFrame, path: str | os.PathLike[str]) -> Look:
    """Return how the frames of a stream are shown.

    Args:
        stream: video stream of a file.
        stated: tags of its codec before anything was decoded: a decoder whose stream says nothing forgets them.
        first: its first frame; others need not be asked, whose side data would keep them alive.
        path: names the file in errors.

    Raises:
        ReadError: colours that cannot be mapped.
    """
    tags = colour_tags(first, stated)
    turns, is_mirrored = media_file.orientation(first)
    colours = colour_map(stream, first, tags, path)
    return Look((first.height, first.width), media_file.pixel_aspect(stream), turns, is_mirrored, tags, colours)


@dataclass(frozen=True)
class Layout:
    """Where the content goes.

    Attributes:
        box: content of a stored frame.
        size: (height, width) that the upright content is scaled to.
        canvas: (height, width) of the clip.
        offset: (top, left) of the scaled content on the canvas; negative where it is cut off.
    """

    box: Box
    size: tuple[int, int]
    canvas: tuple[int, int]
    offset: tuple[int, int]


def lay_out(look: Look, box: Box | None, size: tuple[int, int], fit: Fit) -> Layout:
    """Choose the canvas by the orientation of the content, and put the content in its middle.

    Args:
        look: of the source.
        box: content without borders; None takes the whole frame.
        size: (height, width) of the canvas for wide content, both even; tall content swaps them.
        fit: bars where it does not fill the canvas, or as large as needed and its edges cut off.
    """
    height, width = look.stored
    left, top, right, bottom = box or (0, 0, width, height)
    rows, columns = float(bottom - top), (right - left) * look.aspect
    if look.quarter_turns % 2:
        rows, columns = columns, rows
    # A square is wide, whatever rounding makes of it.
    canvas = size if columns >= rows * (1 - 1e-6) else (size[1], size[0])
    scales = canvas[0] / rows, canvas[1] / columns
    scale = min(scales) if fit == "pad" else max(scales)
    # Chroma has half of the pixels: equal bars of even width leave a side that is off by two pixels at most.
    tops, lefts = (2 * round((whole - side * scale) / 4) for whole, side in zip(canvas, (rows, columns), strict=True))
    tops, lefts = min(tops, canvas[0] // 2 - 2), min(lefts, canvas[1] // 2 - 2)
    size_shown = canvas[0] - 2 * tops, canvas[1] - 2 * lefts
    return Layout((left, top, right, bottom), size_shown, canvas, (tops, lefts))


@dataclass
class Canvas:
    """Turns stored frames into frames of a clip: yuv420p, BT.709, limited range.

    Args:
        path: names the file in errors.
        look: of its frames.
        layout: where their content goes.
    """

    path: str | os.PathLike[str]
    look: Look
    layout: Layout
    _scaler: VideoReformatter = field(default_factory=VideoReformatter)
    _cutters: dict[tuple[object, ...], Cutter] = field(default_factory=dict)

    def __call__(self, frame: VideoFrame, time_s: float) -> VideoFrame:
        """Return the frame of the clip that shows a stored one; the time is for errors.

        Raises:
            ReadError: the frame is damaged, or of another size than the first one.
        """
        if frame.is_corrupt:
            raise ReadError(f"a video must be undamaged, got {self.path} with a broken frame at {time_s:.3f} s")
        limits.check_video_size(frame.width, frame.height, self.path)
        if (frame.height, frame.width) != self.look.stored:
            raise ReadError(
                f"a video's frames must keep their size, got {self.path} with {frame.width}x{frame.height} at "
                f"{time_s:.3f} s after {self.look.stored[1]}x{self.look.stored[0]}"
            )
        kept = self._cut(frame)
        if self.look.colours is not None or has_alpha(frame.format):
            return self._mapped(kept, time_s)
        return self._placed(self._scaled(kept))

    def _cut(self, frame: VideoFrame) -> VideoFrame:
        if self.layout.box == (0, 0, frame.width, frame.height):
            return frame
        form = (frame.format.name, *self.layout.box)
        if form not in self._cutters:
            self._cutters[form] = Cutter(frame, *self.layout.box)
        return self._cutters[form](frame)

    def _scaled(self, frame: VideoFrame) -> VideoFrame:
        rows, columns = self.layout.size[::-1] if self.look.quarter_turns % 2 else self.layout.size
        options: dict[str, Any] = {
            "src_colorspace": untagged_matrix(frame, self.look.tags.matrix),
            "dst_colorspace": "ITU709",
            "dst_color_range": "MPEG",
        }
        return self._scaler.reformat(
            frame,
            width=columns,
            height=rows,
            format="yuv420p",
            interpolation=_SCALING,
            **options,
            **ONE_THREAD,
        )

    def _placed(self, frame: VideoFrame) -> VideoFrame:
        layout = self.layout
        if (frame.height, frame.width) == layout.canvas and not (self.look.quarter_turns or self.look.is_mirrored):
            return frame
        height, width = layout.canvas
        shown = np.empty((height * 3 // 2, width), dtype=np.uint8)
        shown[:height], shown[height:] = _BLACK, _GREY
        chroma = shown[height:].reshape(2, height // 2, width // 2)
        for number, (plane, target) in enumerate(zip(_planes(frame), (shown[:height], *chroma), strict=True)):
            upright = orient(plane, self.look.quarter_turns, mirrored=self.look.is_mirrored)
            _paste(upright, target, tuple(side // (2 if number else 1) for side in layout.offset))
        placed: VideoFrame = av.VideoFrame.from_ndarray(shown, format="yuv420p")
        return placed

    def _mapped(self, frame: VideoFrame, time_s: float) -> VideoFrame:
        look, layout = self.look, self.layout
        aspect = 1.0 / look.aspect if look.quarter_turns % 2 else look.aspect
        turn = (look.quarter_turns, look.is_mirrored)
        render = Renderer(
            self.path, layout.size, _CENTRE, aspect, *turn, look.colours, look.tags.matrix, self._scaler, {}
        )
        shown = np.zeros((*layout.canvas, 3), dtype=np.uint8)
        _paste(render(frame, time_s), shown, layout.offset)
        return rgb_to_yuv(shown)


def _planes(frame: VideoFrame) -> list[np.ndarray]:
    """Return the planes (h, w) uint8 of a yuv420p frame without the bytes at the end of their rows."""
    return [
        np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def _paste(content: np.ndarray, target: np.ndarray, offset: tuple[int, ...]) -> None:
    """Put content (h, w, ...) at (top, left) of a target; what sticks out is cut off."""
    (top, left), (height, width) = offset, target.shape[:2]
    content = content[max(-top, 0) : height - top, max(-left, 0) : width - left]
    top, left = max(top, 0), max(left, 0)
    target[top : top + content.shape[0], left : left + content.shape[1]] = content
