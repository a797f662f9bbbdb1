"""Anti-aliased shapes, drawn into the small patches that they cover, all frames at once.

Positions are in pixels, continuous, with pixel i covering [i, i + 1). The share of a pixel that a shape covers is taken
from the distance of the pixel's centre to the shape's edge, which is exact enough for shapes of more than two pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import GeometryError
from mova.toyworld.vocabulary import Rgb

ELLIPSE_PARTS: Final = 4  # upright slices of each pixel

FloatArray = NDArray[np.float64]
Coverage = NDArray[np.float32]
# Left, top, right, bottom in units of the frame size.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Viewport:
    """The map from the world's unit square to pixels: the largest square in the middle of the frame.

    Args:
        height, width: size of the frame in pixels, at least 16.

    Raises:
        GeometryError: a frame too small to show anything.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 16:
            raise GeometryError(
                f"toy world frames need at least 16 x 16 pixels, got {self.height} x {self.width}; nearest is "
                f"{max(self.height, 16)} x {max(self.width, 16)}"
            )

    @classmethod
    def of(cls, size: int | tuple[int, int]) -> Viewport:
        """Return the viewport for a square of `size` pixels or for (height, width)."""
        return cls(size, size) if isinstance(size, int) else cls(*size)

    @property
    def scale(self) -> int:
        """Pixels per unit of length."""
        return min(self.height, self.width)

    @property
    def left(self) -> float:
        """Horizontal position of the unit square's left edge, in pixels."""
        return (self.width - self.scale) / 2

    @property
    def top(self) -> float:
        """Vertical position of the unit square's upper edge, in pixels."""
        return (self.height - self.scale) / 2

    def x(self, value: FloatArray | float) -> FloatArray:
        """Return the horizontal pixel position of world position `value`."""
        return self.left + np.asarray(value, np.float64) * self.scale

    def y(self, value: FloatArray | float) -> FloatArray:
        """Return the vertical pixel position of world position `value`."""
        return self.top + np.asarray(value, np.float64) * self.scale

    def box(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns of all pixels that a box of the world touches."""
        left, top, right, bottom = box
        rows = slice(max(0, int(self.y(top))), int(np.ceil(self.y(bottom))))
        return rows, slice(max(0, int(self.x(left))), int(np.ceil(self.x(right))))


@dataclass(frozen=True)
class Patches:
    """One patch of coverage per frame.

    Attributes:
        rows, columns: (F,) integer position of each patch's upper left pixel; may lie outside the frame.
        coverage: (F, P, Q) float32 in [0, 1].
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    coverage: Coverage


def vertical_gradient(viewport: Viewport, colour: Rgb, *, lighter: float, darker: float) -> NDArray[np.float32]:
    """Return a plain background (H, W, 3) that goes from `colour` + `lighter` at the top to `colour` - `darker`."""
    ramp = lighter - (lighter + darker) * (np.arange(viewport.height) + 0.5) / viewport.height
    rows = np.clip(np.asarray(colour, np.float32) + ramp[:, None], 0, 255).astype(np.float32)
    return np.repeat(rows[:, None, :], viewport.width, axis=1)


def fill_below(canvas: NDArray[np.float32], edge: float, colour: Rgb) -> None:
    """Paint everything below the horizontal line at `edge` pixels into `canvas` (H, W, 3), in place."""
    covered = np.clip(np.arange(canvas.shape[0]) + 1 - edge, 0, 1).astype(np.float32)[:, None, None]
    canvas += covered * (np.asarray(colour, np.float32) - canvas)


def rounded_box(
    height: int, width: int, box: tuple[float, float, float, float], radius: float
) -> tuple[slice, slice, Coverage]:
    """Return where a rounded box lies in a frame and its coverage there.

    Args:
        height, width: size of the frame in pixels.
        box: left, top, right, bottom in pixels.
        radius: radius of the corners, in pixels.
    """
    left, top, right, bottom = box
    rows = slice(max(0, int(top) - 1), min(height, int(bottom) + 2))
    columns = slice(max(0, int(left) - 1), min(width, int(right) + 2))
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5
    x = np.arange(columns.start, columns.stop)[None, :] + 0.5
    outside_x = np.abs(x - (left + right) / 2) - (right - left) / 2 + radius
    outside_y = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2 + radius
    distance = np.hypot(np.maximum(outside_x, 0), np.maximum(outside_y, 0)) - radius
    distance += np.minimum(np.maximum(outside_x, outside_y), 0)
    return rows, columns, np.clip(0.5 - distance, 0, 1).astype(np.float32)


def discs(x: FloatArray, y: FloatArray, radius: float) -> Patches:
    """Return the coverage of a disc of `radius` pixels centred at (x, y), each (F,) in pixels."""
    side = int(np.ceil(2 * radius)) + 3
    rows, columns, dy, dx = _offsets(x, y, side, side)
    distance = np.sqrt(dy[:, :, None] ** 2 + dx[:, None, :] ** 2)
    return Patches(rows, columns, np.clip(radius + 0.5 - distance, 0, 1))


def ellipses(x: FloatArray, y: FloatArray, half_width: FloatArray, half_height: FloatArray) -> Patches:
    """Return the coverage of upright ellipses, also of those thinner than a pixel.

    Args:
        x, y: (F,) centres in pixels.
        half_width, half_height: (F,) half axes in pixels.
    """
    height, width = (int(np.ceil(2 * float(half.max()))) + 3 for half in (half_height, half_width))
    rows, columns, dy, dx = _offsets(x, y, height, width)
    parts = (np.arange(ELLIPSE_PARTS) + 0.5) / ELLIPSE_PARTS - 0.5
    across = (dx[:, :, None] + parts.astype(np.float32)) / half_width[:, None, None]
    # In each upright slice of a pixel the ellipse is a span, whose overlap with the pixel is exact.
    reach = (half_height[:, None, None] * np.sqrt(np.maximum(1 - across**2, 0))).astype(np.float32)[:, None]
    centre = dy[:, :, None, None]
    overlap = np.minimum(centre + np.float32(0.5), reach) - np.maximum(centre - np.float32(0.5), -reach)
    return Patches(rows, columns, np.maximum(overlap, 0).mean(axis=3, dtype=np.float32))


def rods(x: FloatArray, y: FloatArray, reach: tuple[float, float], radius: float) -> Patches:
    """Return the coverage of a straight rod with round ends.

    Args:
        x, y: (F,) position of one end in pixels.
        reach: (dx, dy) from that end to the other, in pixels.
        radius: half of its thickness in pixels.
    """
    dx_end, dy_end = reach
    height = int(np.ceil(abs(dy_end) + 2 * radius)) + 3
    width = int(np.ceil(abs(dx_end) + 2 * radius)) + 3
    rows, columns, dy, dx = _offsets(x + dx_end / 2, y + dy_end / 2, height, width)
    px, py = dx[:, None, :] + np.float32(dx_end / 2), dy[:, :, None] + np.float32(dy_end / 2)
    along = np.clip((px * np.float32(dx_end) + py * np.float32(dy_end)) / np.float32(dx_end**2 + dy_end**2), 0, 1)
    distance = np.sqrt((px - along * np.float32(dx_end)) ** 2 + (py - along * np.float32(dy_end)) ** 2)
    # A rod thinner than a pixel keeps its width by becoming fainter.
    return Patches(rows, columns, np.clip(radius + 0.5 - distance, 0, min(1.0, 2 * radius)))


def paint(frames: NDArray[np.uint8], patches: Patches, colour: Rgb) -> None:
    """Blend one colour into `frames` (F, H, W, 3) in place, frame by frame, clipped at the frame's border."""
    _, height, width, _ = frames.shape
    _, patch_height, patch_width = patches.coverage.shape
    rgb = np.asarray(colour, np.float32)
    for frame, row, column, coverage in zip(
        frames, patches.rows.tolist(), patches.columns.tolist(), patches.coverage, strict=True
    ):
        top, bottom = max(0, row), min(height, row + patch_height)
        left, right = max(0, column), min(width, column + patch_width)
        if top < bottom and left < right:
            share = coverage[top - row : bottom - row, left - column : right - column, None]
            under = frame[top:bottom, left:right]
            frame[top:bottom, left:right] = under + share * (rgb - under) + np.float32(0.5)


def _offsets(
    x: FloatArray, y: FloatArray, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    rows = np.floor(y - height / 2 + 0.5).astype(np.int64)
    columns = np.floor(x - width / 2 + 0.5).astype(np.int64)
    dy = rows[:, None] + np.arange(height) + 0.5 - y[:, None]
    dx = columns[:, None] + np.arange(width) + 0.5 - x[:, None]
    return rows, columns, dy.astype(np.float32), dx.astype(np.float32)
