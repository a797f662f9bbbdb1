"""Find bounces from pixels alone: two parabolas of one gravity, fitted to the path before and after, meet in each."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.track import DiscTrack

FloatArray = NDArray[np.float64]

FIT_S: Final = 4 / 24  # of the path that is fitted on each side of a contact
MIN_PROMINENCE: Final = 0.02  # by which a bounce lies below the path before and after it
MIN_TURN_SPEED: Final = 0.6  # change of the vertical speed, in frame sizes per second
MAX_MISFIT: Final = 0.025  # root mean square distance from the parabolas, in frame sizes
MIN_GAP_S: Final = 0.12


def bounces(track: DiscTrack, times_s: FloatArray, gravity: float, side: str | None = None) -> tuple[SeenEvent, ...]:
    """Return the bounces of a disc, in the order of time.

    Args:
        track: track of the disc.
        times_s: (F,) of the frames.
        gravity: in frame sizes per second squared.
        side: "left" or "right", which of two discs it is; None where there is one.
    """
    shown = np.flatnonzero(track.visible)
    events: list[SeenEvent] = []
    for at in shown.tolist():
        near = shown[np.abs(times_s[shown] - times_s[at]) <= FIT_S + 1e-6]
        before, after = near[near < at], near[near > at]
        if min(len(before), len(after)) < 2 or track.y[at] < max(track.y[before[-1]], track.y[after[0]]):
            continue
        lowest = max(float(track.y[before].min()), float(track.y[after].min()))
        if track.y[at] - lowest < MIN_PROMINENCE:
            continue
        turn = turning_point(times_s, track.y, (before, at, after), gravity)
        if turn is not None and (not events or turn[0] - events[-1].time_s >= MIN_GAP_S):
            x = float(np.interp(turn[0], times_s[near], track.x[near]))
            radius = float(np.median(track.radius[near]))
            events.append(SeenEvent(turn[0], x, turn[1] + radius, None, side=side))
    return tuple(events)


def turning_point(
    times_s: FloatArray, y: FloatArray, around: tuple[NDArray[np.intp], int, NDArray[np.intp]], acceleration: float
) -> tuple[float, float] | None:
    """Return when, and at which height, a falling path turns into a rising one.

    The frame at the turn belongs to either side; the choice with the smaller misfit counts.

    Args:
        times_s, y: (F,) of all frames.
        around: frames before the turn, the frame at it, frames after it.
        acceleration: downwards, of both paths.
    """
    before, at, after = around
    best: tuple[float, float, float] | None = None
    for falling, rising in ((np.append(before, at), after), (before, np.append(at, after))):
        origin = times_s[at]
        lines = []
        misfit = 0.0
        for part in (falling, rising):
            since = times_s[part] - origin
            straight = y[part] - acceleration / 2 * since**2
            speed, offset = np.polyfit(since, straight, 1)
            misfit += float(np.mean((straight - offset - speed * since) ** 2))
            lines.append((speed, offset))
        turn = lines[0][0] - lines[1][0]
        if turn < MIN_TURN_SPEED:
            continue
        since = (lines[1][1] - lines[0][1]) / turn
        time_s = float(origin + since)
        slack = 0.5 * (times_s[1] - times_s[0])
        outside = max(times_s[falling[-1]] - time_s, time_s - times_s[rising[0]], 0.0)
        if outside <= slack and misfit <= 2 * MAX_MISFIT**2 and (best is None or misfit < best[0]):
            best = misfit, time_s, float(lines[0][1] + lines[0][0] * since + acceleration / 2 * since**2)
    return None if best is None else best[1:]
