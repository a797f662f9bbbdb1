"""Follow the one moving disc of a clip, the ball or the mallet's head, through shifted hues and soft edges.

Walls and floors of the world are plain from left to right, so that a row's median is what lies behind the disc. Unlike
a median over time this holds for a disc that moves little, and for a single frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport

FloatArray = NDArray[np.float64]

# A pixel counts as covered between these shares of the disc's contrast, half a pixel at half of it.
SOFT_EDGE: Final = (0.3, 0.7)
# The centre of the head is searched with an edge that leaves out most of the stick, which has three quarters of its
# contrast; its area without the quadrant that the stick goes through.
STICKLESS_EDGE: Final = (0.55, 0.85)
# Levels of 255 by which a disc differs from the wall behind it; all of the world's have over 150.
MIN_CONTRAST: Final = 60.0
MIN_AREA_SHARE: Final = 0.3  # of the usual area: below, the disc counts as not visible
CORE_SHARE: Final = 0.002  # of the frame's area: smaller than the smallest ball, larger than stray pixels


@dataclass(frozen=True)
class Disc:
    """What kind of disc is followed.

    Attributes:
        reach: how far from its centre its pixels are looked for, in units of the frame size.
        above: only what lies above this height is looked at; None for the whole frame.
        has_stick: whether a stick goes off to its upper right.
    """

    reach: float
    above: float | None = None
    has_stick: bool = False


@dataclass(frozen=True)
class DiscTrack:
    """Where a disc is in each frame, in units of the frame size; not a number where it is not visible.

    Attributes:
        x, y: (F,) centre.
        radius: (F,) of a disc of the same area.
        rgb: (F, 3) mean colour of its inner part.
        visible: (F,) whether it was found.
    """

    x: FloatArray
    y: FloatArray
    radius: FloatArray
    rgb: FloatArray
    visible: NDArray[np.bool_]


def track_disc(frames: NDArray[np.uint8], disc: Disc, side: str | None = None) -> DiscTrack:
    """Follow the moving disc.

    Args:
        frames: (F, H, W, 3) uint8.
        disc: what to look for.
        side: "left" or "right" looks in that half only.
    """
    viewport = Viewport(*frames.shape[1:3])
    if side is not None:
        frames = _half(frames, viewport, side)
    difference, contrast = _contrast(frames, viewport, disc.above)
    share = _covered(difference, contrast, STICKLESS_EDGE if disc.has_stick else SOFT_EDGE)
    rows, columns = np.arange(viewport.height) + 0.5, np.arange(viewport.width) + 0.5
    reach = disc.reach * viewport.scale
    step = max(1, viewport.scale // 64)
    centre_x, centre_y = (step * place for place in _densest(share[:, ::step, ::step], 2 * int(reach * 0.6 / step) + 1))
    for _ in range(3):
        near_x = np.abs(columns[None, :] - centre_x[:, None]) <= reach
        near_y = np.abs(rows[None, :] - centre_y[:, None]) <= reach
        near = near_y[:, :, None] & near_x[:, None, :]
        kept = share * near
        area = kept.sum(axis=(1, 2), dtype=np.float64)
        mass = np.maximum(area, 1e-9)
        centre_x = kept.sum(axis=1, dtype=np.float64) @ columns / mass
        centre_y = kept.sum(axis=2, dtype=np.float64) @ rows / mass
    if disc.has_stick:
        right = np.clip(columns[None, :] - centre_x[:, None] + 0.5, 0, 1)
        above = np.clip(centre_y[:, None] - rows[None, :] + 0.5, 0, 1)
        rest = 1 - above[:, :, None] * right[:, None, :]
        area = (_covered(difference, contrast, SOFT_EDGE) * near * rest).sum(axis=(1, 2)) / 0.75
    found = area[area > 0.5]
    visible = area > max(0.5, MIN_AREA_SHARE * float(np.median(found))) if found.size else np.zeros(len(frames), bool)
    inner = kept > 0.95
    # No inner pixel: an empty mean would be a warning, and the frame counts as not visible anyway or is very faint.
    rgb = np.stack(
        [frame[at].mean(axis=0) if at.any() else np.zeros(3) for frame, at in zip(frames, inner, strict=True)]
    )
    hidden = np.where(visible, 0.0, np.nan)
    return DiscTrack(
        x=(centre_x - viewport.left) / viewport.scale + hidden,
        y=(centre_y - viewport.top) / viewport.scale + hidden,
        radius=np.sqrt(area / np.pi) / viewport.scale + hidden,
        rgb=rgb + hidden[:, None],
        visible=visible,
    )


def _half(frames: NDArray[np.uint8], viewport: Viewport, side: str) -> NDArray[np.uint8]:
    """Return the frames with one half of the world's square kept and nothing but the plain wall in the other."""
    middle = round(float(viewport.x(0.5)))
    half = frames.copy()
    hidden = half[:, :, middle:] if side == "left" else half[:, :, :middle]
    shown = frames[:, :, :middle] if side == "left" else frames[:, :, middle:]
    columns = np.sort(shown[:, :, :: max(1, viewport.scale // 32)], axis=2)
    hidden[:] = columns[:, :, columns.shape[2] // 2, None]
    return half


def _contrast(frames: NDArray[np.uint8], viewport: Viewport, above: float | None) -> tuple[NDArray[np.uint8], float]:
    """Return how far each pixel (F, H, W) differs from the plain wall of its own row, and how far the disc does."""
    shown = frames if above is None else frames[:, : int(viewport.y(above))]
    columns = np.sort(shown[:, :, :: max(1, viewport.scale // 32)], axis=2)
    wall = columns[:, :, columns.shape[2] // 2, None]
    by_channel = np.maximum(shown, wall) - np.minimum(shown, wall)
    difference = np.maximum(np.maximum(by_channel[..., 0], by_channel[..., 1]), by_channel[..., 2])
    core = max(4, int(CORE_SHARE * viewport.scale**2))
    strongest = np.partition(difference.reshape(len(frames), -1), -core, axis=1)[:, -core:].mean(axis=1)
    below = ((0, 0), (0, viewport.height - shown.shape[1]), (0, 0))
    return np.pad(difference, below), max(float(np.median(strongest)), MIN_CONTRAST)


def _covered(difference: NDArray[np.uint8], contrast: float, edge: tuple[float, float]) -> NDArray[np.float32]:
    """Return the share of each pixel that the disc covers."""
    low, high = edge
    share_of_level = np.clip((np.arange(256) / contrast - low) / (high - low), 0, 1).astype(np.float32)
    return np.asarray(share_of_level[difference])


def _densest(share: NDArray[np.float32], side: int) -> tuple[FloatArray, FloatArray]:
    """Return the centre (x, y), each (F,) in pixels, of the box of `side` pixels that holds most."""
    half = side // 2
    sums = np.pad(share, ((0, 0), (half + 1, half), (half + 1, half))).cumsum(axis=1).cumsum(axis=2)
    boxes = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    row, column = np.divmod(boxes.reshape(len(share), -1).argmax(axis=1), boxes.shape[2])
    return column + 0.5, row + 0.5
