"""How far a clip's background is from its first frame, where nothing passes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport
from mova.toyworld.reading.detect_mouth import PLACES, mouth_box
from mova.toyworld.reading.track import DiscTrack
from mova.toyworld.scenes.keys import CASE_BOTTOM, CASE_TOP
from mova.toyworld.scenes.mallet import BAR_BOTTOM, BAR_TOP, STICK_REACH

FloatArray = NDArray[np.float64]

MAX_BACKGROUND_ERROR: Final = 6.0  # levels of 255, mean over the pixels that nothing passes
BACKGROUND_QUANTILE: Final = 0.95  # of the frames have to be below it
MARGIN: Final = 0.04  # around moving things that is not counted as background


def background_error(
    frames: NDArray[np.uint8],
    first_frame: NDArray[np.uint8],
    kind: str,
    tracks: tuple[DiscTrack, ...],
    given: tuple[DiscTrack, ...],
) -> float:
    """Return the 95th percentile over frames of the mean absolute error where nothing passes, in levels of 255.

    Args:
        frames: (F, H, W, 3) uint8.
        first_frame: (H, W, 3) uint8.
        kind: of the scene.
        tracks: of the moving discs through the clip.
        given: of the same discs in the first frame.
    """
    height, width = first_frame.shape[:2]
    viewport = Viewport(height, width)
    x = (np.arange(width) + 0.5 - viewport.left) / viewport.scale
    y = (np.arange(height) + 0.5 - viewport.top) / viewport.scale
    always = np.ones((height, width), bool)
    if kind == "mallet":
        always[(y > BAR_TOP - MARGIN) & (y < BAR_BOTTOM + MARGIN)] = False
    elif kind == "keys":
        always[(y > CASE_TOP) & (y < CASE_BOTTOM)] = False
    for place in PLACES.get(kind, ()):
        always[mouth_box(viewport, place)] = False
    for disc in given:
        _hide(always, x, y, kind, (disc.x[0], disc.y[0], disc.radius[0]))
    difference = np.abs(frames.astype(np.int16) - first_frame).sum(axis=-1)
    errors = []
    for at, error in enumerate(difference):
        counted = always.copy()
        for track in tracks:
            if track.visible[at]:
                _hide(counted, x, y, kind, (track.x[at], track.y[at], track.radius[at]))
        errors.append(float(error[counted].mean()) / 3)
    return float(np.quantile(errors, BACKGROUND_QUANTILE))


def _hide(
    counted: NDArray[np.bool_], x: FloatArray, y: FloatArray, kind: str, disc: tuple[float, float, float]
) -> None:
    """Take the box around a disc, and around the mallet's stick, out of `counted` (H, W), in place."""
    centre_x, centre_y, radius = disc
    right, up = (STICK_REACH[0], -STICK_REACH[1]) if kind == "mallet" else (0.0, 0.0)
    near_x = (x > centre_x - radius - MARGIN) & (x < centre_x + radius + right + MARGIN)
    near_y = (y > centre_y - radius - up - MARGIN) & (y < centre_y + radius + MARGIN)
    counted[np.ix_(near_y, near_x)] = False
