"""How far a clip's background is from its first frame, where nothing passes, and which wall it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Box, Viewport
from mova.toyworld.reading.track import DiscTrack
from mova.toyworld.vocabulary import BACKGROUND_RGB

FloatArray = NDArray[np.float64]

MAX_BACKGROUND_ERROR: Final = 6.0  # levels of 255, mean over the pixels that nothing passes
BACKGROUND_QUANTILE: Final = 0.95  # of the frames have to be below it
# A stripe of the wall near the upper edge, above everything that all kinds of scene show.
WALL: Final = (0.01, 0.06)
MAX_WALL_ERROR: Final = 10.0  # levels of 255 between a wall and one of the world's; those are 16 and more apart
MIN_WALL_SHARE: Final = 0.9  # of the frames
WALL_LIGHTER: Final = 7.5  # how much lighter than its colour a wall is there
MARGIN: Final = 0.04  # around moving things that is not counted as background


@dataclass(frozen=True)
class Changing:
    """What of a scene's frames is no background, in units of the frame size.

    Attributes:
        bands: top and bottom of stripes from the left border to the right one.
        boxes: others parts that change.
        stick: how far to the right and upwards a stick reaches from a moving disc.
    """

    bands: tuple[tuple[float, float], ...] = ()
    boxes: tuple[Box, ...] = ()
    stick: tuple[float, float] = (0.0, 0.0)


def background_error(
    frames: NDArray[np.uint8],
    first_frame: NDArray[np.uint8],
    changing: Changing,
    tracks: tuple[DiscTrack, ...],
    given: tuple[DiscTrack, ...],
) -> float:
    """Return the 95th percentile over frames of the mean absolute error where nothing passes, in levels of 255.

    Args:
        frames: (F, H, W, 3) uint8.
        first_frame: (H, W, 3) uint8.
        changing: what is not compared.
        tracks: tracks of the moving discs through the clip.
        given: the same discs in the first frame.
    """
    height, width = first_frame.shape[:2]
    viewport = Viewport(height, width)
    x = (np.arange(width) + 0.5 - viewport.left) / viewport.scale
    y = (np.arange(height) + 0.5 - viewport.top) / viewport.scale
    always = np.ones((height, width), bool)
    for top, bottom in changing.bands:
        always[(y > top) & (y < bottom)] = False
    for box in changing.boxes:
        always[viewport.box(box)] = False
    for disc in given:
        _hide(always, x, y, changing.stick, (disc.x[0], disc.y[0], disc.radius[0]))
    difference = np.abs(frames.astype(np.int16) - first_frame).sum(axis=-1)
    errors = []
    for at, error in enumerate(difference):
        counted = always.copy()
        for track in tracks:
            if track.visible[at]:
                _hide(counted, x, y, changing.stick, (track.x[at], track.y[at], track.radius[at]))
        errors.append(float(error[counted].mean()) / 3)
    return float(np.quantile(errors, BACKGROUND_QUANTILE))


def wall_colour(frames: NDArray[np.uint8]) -> str | None:
    """Return the name of the wall that 90 % of frames (F, H, W, 3) show, a key of `BACKGROUND_RGB`, or None."""
    viewport = Viewport(*frames.shape[1:3])
    top = int(viewport.y(WALL[0]))
    rows = slice(top, max(top + 1, int(viewport.y(WALL[1]))))
    seen = np.median(frames[:, rows].reshape(len(frames), -1, 3).astype(np.float64), axis=1) - WALL_LIGHTER
    walls = np.asarray(list(BACKGROUND_RGB.values()), np.float64)
    distances = np.sqrt(np.mean((seen[:, None] - walls) ** 2, axis=2))
    nearest = np.where(distances.min(axis=1) <= MAX_WALL_ERROR, distances.argmin(axis=1), -1)
    for index, name in enumerate(BACKGROUND_RGB):
        if float(np.mean(nearest == index)) >= MIN_WALL_SHARE:
            return name
    return None


def _hide(
    counted: NDArray[np.bool_],
    x: FloatArray,
    y: FloatArray,
    stick: tuple[float, float],
    disc: tuple[float, float, float],
) -> None:
    """Take the box around a disc and its stick out of `counted` (H, W), in place."""
    centre_x, centre_y, radius = disc
    right, up = stick
    near_x = (x > centre_x - radius - MARGIN) & (x < centre_x + radius + right + MARGIN)
    near_y = (y > centre_y - radius - up - MARGIN) & (y < centre_y + radius + MARGIN)
    counted[np.ix_(near_y, near_x)] = False
