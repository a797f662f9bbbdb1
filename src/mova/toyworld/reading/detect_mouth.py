"""Find what faces say from pixels alone: when each mouth opens and closes, and the shape that it takes.

Width and height of the dark ellipse are followed through the frames. A mouth opens and closes at a known pace, so that
how far it has got in a frame tells when it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Box, Viewport
from mova.toyworld.event import SeenEvent
from mova.toyworld.mouth import CLOSED, HAT, MOUTH_BELOW, MOUTH_RGB, OPENING_S, SHAPE

FloatArray = NDArray[np.float64]
# Middle x and y, radius, and which of two faces it is.
Place = tuple[float, float, float, str | None]

# What is looked at: left, top, right, bottom around the middle of the mouth, in radii of the face.
REGION: Final = (-0.56, -0.42, 0.56, 0.42)
SOFT_EDGE: Final = (0.25, 0.75)  # share of the contrast between skin and mouth that counts as none and as all
MIN_CONTRAST: Final = 60.0
FLAT: Final = (0.52, 0.1)  # width and height, in radii, of a line and not of an open mouth
MIN_FILLED: Final = 0.5  # of the ellipse with the measured axes; scattered dark pixels are no mouth
REST_SHARE: Final = 0.15  # of the frames, those with the flattest mouth, show it closed
MIN_CHANGE: Final = 0.16  # of width and height, in radii, for an open mouth
MIN_OPEN_FRAMES: Final = 3
SETTLED: Final = 0.85  # of the largest change of an opening counts as fully open
MOVING: Final = (0.1, 0.9)
HAT_INSET: Final = 0.12


def spoken(frames: NDArray[np.uint8], times_s: FloatArray, places: Sequence[Place]) -> tuple[SeenEvent, ...]:
    """Return the openings of all mouths, in the order of time.

    Args:
        frames: (F, H, W, 3) uint8.
        times_s: (F,) of the frames.
        places: places of the faces.
    """
    events = [event for place in places for event in _openings(frames, times_s, place)]
    return tuple(sorted(events, key=lambda event: event.time_s))


def hat_colours(frames: NDArray[np.uint8], places: Sequence[Place]) -> FloatArray:
    """Return the colour (N, 3) of the hat of each face, from the left."""
    viewport = Viewport(*frames.shape[1:3])
    colours = []
    for x, y, radius, _ in places:
        left, top, right, bottom = (bound * radius for bound in HAT)
        inset = HAT_INSET * radius
        rows, columns = viewport.box((x + left + inset, y + top + inset, x + right - inset, y + bottom - inset))
        colours.append(frames[:, rows, columns].mean(axis=(0, 1, 2)))
    return np.stack(colours)


def mouth_box(place: Place) -> Box:
    """Return the box in which a face's mouth moves."""
    x, y, radius, _ = place
    left, top, right, bottom = (bound * radius for bound in REGION)
    middle = y + MOUTH_BELOW * radius
    return x + left, middle + top, x + right, middle + bottom


def _sizes(frames: NDArray[np.uint8], place: Place) -> FloatArray:
    """Return width and height (F, 2) of a mouth, in radii of the face; where it is shut, `CLOSED`, however faint."""
    viewport = Viewport(*frames.shape[1:3])
    rows, columns = viewport.box(mouth_box(place))
    region = frames[:, rows, columns].astype(np.float64)
    skin = np.median(region, axis=(1, 2))
    towards = np.asarray(MOUTH_RGB) - skin
    contrast = np.maximum((towards**2).sum(axis=1), MIN_CONTRAST**2)
    share = np.einsum("fhwc,fc->fhw", region - skin[:, None, None], towards) / contrast[:, None, None]
    covered = np.clip((share - SOFT_EDGE[0]) / (SOFT_EDGE[1] - SOFT_EDGE[0]), 0, 1)
    area = np.maximum(covered.sum(axis=(1, 2)), 1e-9)
    lengths = []
    for axis in (1, 2):
        along = covered.sum(axis=axis)
        at = np.arange(along.shape[1]) + 0.5
        middle = (along @ at) / area
        spread = (along * (at - middle[:, None]) ** 2).sum(axis=1) / area
        # The axis of an even ellipse is four times its spread; a pixel's own width adds a twelfth.
        lengths.append(4 * np.sqrt(np.maximum(spread - 1 / 12, 0)))
    filled = area / np.maximum(np.pi / 4 * lengths[0] * lengths[1], 1e-9)
    sizes = np.stack(lengths, axis=1) / (place[2] * viewport.scale)
    # The line of a shut mouth may be lost on the way through an autoencoder, and its width with it: were that taken for
    # rest, a mouth whose line is still there would count as open.
    sizes[(sizes <= FLAT).all(axis=1) | (filled < MIN_FILLED)] = CLOSED
    return sizes


def _openings(frames: NDArray[np.uint8], times_s: FloatArray, place: Place) -> list[SeenEvent]:
    if len(frames) < MIN_OPEN_FRAMES + 2:
        return []
    sizes = _sizes(frames, place)
    flattest = sizes[:, 1] <= np.quantile(sizes[:, 1], REST_SHARE)
    change = sizes - np.median(sizes[flattest], axis=0)
    is_open = np.hypot(change[:, 0], change[:, 1]) > MIN_CHANGE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_open, [False]])))
    events = []
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop - first < MIN_OPEN_FRAMES or first == 0:
            continue
        extent = np.hypot(change[first:stop, 0], change[first:stop, 1])
        settled = extent >= SETTLED * np.quantile(extent, 0.9)
        shape = np.median(change[first:stop][settled], axis=0)
        openness = change @ shape / float(shape @ shape)
        onset_s = _moment(openness, times_s, range(max(first - 2, 0), stop), 1)
        end_s = None
        if stop < len(times_s):
            end_s = _moment(openness, times_s, range(min(stop + 1, len(times_s) - 1), first - 1, -1), -1)
        x, y, radius, side = place
        vowel = _nearest_vowel(np.median(sizes[first:stop][settled], axis=0))
        events.append(SeenEvent(onset_s, x, y + MOUTH_BELOW * radius, None, side=side, sign=vowel, end_s=end_s))
    return events


def _moment(openness: FloatArray, times_s: FloatArray, frames: range, direction: int) -> float:
    """Return when a mouth begins to open, or, walking backwards with `direction` -1, when it begins to close."""
    moments: list[float] = []
    for at in frames:
        if openness[at] > MOVING[1]:
            break
        if openness[at] >= MOVING[0]:
            share = openness[at] if direction > 0 else 1 - openness[at]
            moments.append(times_s[at] - OPENING_S * share)
    if not moments:
        # Nothing was caught on the way: the mouth was shut in one frame and open in the next.
        middle = (times_s[at] + times_s[min(max(at - direction, 0), len(times_s) - 1)]) / 2
        return float(middle - OPENING_S / 2)
    return float(np.mean(moments))


def _nearest_vowel(size: FloatArray) -> str:
    """Return the vowel whose mouth has the nearest width and height to `size` (2,), in radii of the face."""
    return min(SHAPE, key=lambda vowel: float(np.hypot(size[0] - SHAPE[vowel][0], size[1] - SHAPE[vowel][1])))
