"""Find from pixels alone which of the things in a row light up, and when: bars that are struck, keys that are pressed.

The brightness of the frames after a lighting-up tells the moment between two frames; the path of a mallet's head, where
there is one, confirms it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport
from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_bounces import FIT_S, turning_point
from mova.toyworld.reading.track import DiscTrack
from mova.toyworld.vocabulary import Rgb

FloatArray = NDArray[np.float64]

MIN_GLOW_RISE: Final = 0.35
GLOW_GAP_S: Final = 0.25
REST_SHARE: Final = 0.15  # of the frames, the dimmest, show a bar unlit
HEAD_WEIGHT: Final = 0.5
MAX_HEAD_DISTANCE_S: Final = 0.05


@dataclass(frozen=True)
class Row:
    """A row of bars or keys.

    Attributes:
        count: how many there are.
        middle: takes an index from the left, returns the horizontal middle.
        y: where an event is reported.
        inside: half of the width, top and bottom of the part that is looked at.
        glow_rgb, glow_share: the light, and how much of it there is at first.
        decay_s: seconds in which the light falls to 1/e.
        is_dimmed: whether the light makes it darker.
        strength_power: power of the light's strength, by which frames weigh in its moment. An autoencoder that drags
            spoils the first frame most; with a mallet its path makes up for that.
        head_acceleration: downwards, of the heads that strike, in frame sizes per second squared.
    """

    count: int
    middle: Callable[[int], float]
    y: float
    inside: tuple[float, float, float]
    glow_rgb: Rgb
    glow_share: float
    decay_s: float
    is_dimmed: bool
    strength_power: float
    head_acceleration: float = 0.0


def lit_up(
    frames: NDArray[np.uint8], times_s: FloatArray, row: Row, heads: tuple[DiscTrack, ...] = ()
) -> tuple[tuple[SeenEvent, ...], FloatArray]:
    """Return what lights up, in the order of time, and the colours (N, 3) of all things in the row without light.

    Args:
        frames: (F, H, W, 3) uint8.
        times_s: (F,) of the frames.
        row: where the things are and how they light up.
        heads: tracks of what strikes them.
    """
    bars = _bar_colours(frames, row)
    unlit = np.stack([_unlit(bars[:, bar], row) for bar in range(row.count)])
    events = []
    for bar in range(row.count):
        towards = np.asarray(row.glow_rgb) - unlit[bar]
        glow = (bars[:, bar] - unlit[bar]) @ towards / (row.glow_share * float(towards @ towards) + 1e-9)
        for lit in _glow_starts(glow, times_s, row.decay_s):
            time_s = _lighting_time(glow, times_s, lit, row)
            for head in heads:
                head_s = _head_time(head, times_s, time_s, row.head_acceleration)
                time_s = time_s if head_s is None else (1 - HEAD_WEIGHT) * time_s + HEAD_WEIGHT * head_s
            events.append(SeenEvent(time_s, row.middle(bar), row.y, bar))
    return tuple(sorted(events, key=lambda event: event.time_s)), unlit


def _bar_colours(frames: NDArray[np.uint8], row: Row) -> FloatArray:
    """Return the mean colour (F, N, 3) of the inner part of each bar or key."""
    viewport = Viewport(*frames.shape[1:3])
    half, top, bottom = row.inside
    rows = slice(int(np.ceil(viewport.y(top))), int(viewport.y(bottom)))
    colours = []
    for bar in range(row.count):
        left, right = (viewport.x(row.middle(bar) + side * half) for side in (-1, 1))
        colours.append(frames[:, rows, int(np.ceil(left)) : int(right)].mean(axis=(1, 2)))
    return np.stack(colours, axis=1)


def _unlit(colours: FloatArray, row: Row) -> FloatArray:
    """Return the colour (3,) of one bar or key in the frames that show it without light, from (F, 3)."""
    brightness = colours.sum(axis=1) * (-1 if row.is_dimmed else 1)
    dimmest = brightness <= np.quantile(brightness, REST_SHARE)
    return np.asarray(colours[dimmest].mean(axis=0))


def _glow_starts(glow: FloatArray, times_s: FloatArray, decay_s: float) -> list[int]:
    """Return the first bright frame of each lighting-up."""
    if len(glow) < 3:
        return []
    # Two frames back, because an autoencoder may spread the jump over two frames.
    fade = np.exp(-(times_s[2] - times_s[0]) / decay_s)
    rise = np.concatenate([[0.0, 0.0], glow[2:] - fade * np.maximum(glow[:-2], 0)])
    starts: list[int] = []
    for index in np.argsort(-rise, kind="stable").tolist():
        if rise[index] < MIN_GLOW_RISE:
            break
        if all(abs(times_s[index] - times_s[start]) >= GLOW_GAP_S for start in starts):
            starts.append(index)
    return [start - 1 if glow[start - 1] >= glow[start] else start for start in starts]


def _lighting_time(glow: FloatArray, times_s: FloatArray, lit: int, row: Row) -> float:
    """Return when a bar lit up, from how far the light has faded in the frames from `lit` on."""
    frames = np.arange(lit, min(lit + 4, len(glow)))
    strength = np.clip(glow[frames], 0.05, 1.0)
    moments = times_s[frames] + row.decay_s * np.log(strength)
    estimate = float(np.average(moments, weights=strength**row.strength_power))
    return float(np.clip(estimate, times_s[max(lit - 1, 0)] - 0.02, times_s[lit]))


def _head_time(track: DiscTrack, times_s: FloatArray, lit_s: float, acceleration: float) -> float | None:
    """Return when the head turns near `lit_s`; None where it does not, or is not seen."""
    near = np.flatnonzero(track.visible & (np.abs(times_s - lit_s) <= FIT_S))
    if len(near) < 5:
        return None
    at = int(near[np.argmax(track.y[near])])
    before, after = near[near < at], near[near > at]
    if min(len(before), len(after)) < 2:
        return None
    turn = turning_point(times_s, track.y, (before[-3:], at, after[:3]), acceleration)
    return turn[0] if turn is not None and abs(turn[0] - lit_s) <= MAX_HEAD_DISTANCE_S else None
