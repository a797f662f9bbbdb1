"""Find the events of a clip from its pixels alone: when, where, and on which bar.

A bounce is where two parabolas of the world's gravity, fitted to the ball's path before and after, meet. A strike is
where a bar lights up: the brightness of the frames after it tells the moment between two frames, the path of the
mallet's head confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError
from mova.toyworld.ball import GRAVITY
from mova.toyworld.draw import Viewport
from mova.toyworld.mallet import (
    BAR_BOTTOM,
    BAR_TOP,
    BAR_WIDTH,
    FALL_S,
    GLOW_DECAY_S,
    GLOW_RGB,
    GLOW_SHARE,
    RAISED,
    bar_x,
)
from mova.toyworld.track import DiscTrack, track_disc
from mova.toyworld.vocabulary import COLOURS, KINDS

FloatArray = NDArray[np.float64]

FIT_S: Final = 4 / 24  # of the path that is fitted on each side of a contact
MIN_PROMINENCE: Final = 0.02  # by which a bounce lies below the path before and after it
MIN_TURN_SPEED: Final = 0.6  # change of the vertical speed, in frame sizes per second
MAX_MISFIT: Final = 0.025  # root mean square distance from the parabolas, in frame sizes
MIN_GAP_S: Final = 0.12
BAR_INSET: Final = 0.02
MIN_GLOW_RISE: Final = 0.35
GLOW_GAP_S: Final = 0.25
REST_SHARE: Final = 0.15  # of the frames, the dimmest, show a bar unlit
HEAD_WEIGHT: Final = 0.5
MAX_HEAD_DISTANCE_S: Final = 0.05


@dataclass(frozen=True)
class SeenEvent:
    """One contact as it is seen.

    Attributes:
        time_s: of the contact.
        x, y: of the contact in units of the frame size.
        bar: index of the bar that lights up, None for a bounce.
    """

    time_s: float
    x: float
    y: float
    bar: int | None


@dataclass(frozen=True)
class VideoReading:
    """What the pixels of a clip show.

    Attributes:
        events: in the order of time.
        track: the ball's, or the mallet head's.
        bar_rgb: (5, 3) colour of each unlit bar; None for a ball.
    """

    events: tuple[SeenEvent, ...]
    track: DiscTrack
    bar_rgb: FloatArray | None


def detect_video(frames: NDArray[np.uint8], frame_rate: float, kind: str) -> VideoReading:
    """Read the events of a clip.

    Args:
        frames: (F, H, W, 3) uint8.
        frame_rate: frames per second.
        kind: of the scene, "ball" or "mallet", which the first frame shows.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind of scene must be one of {', '.join(KINDS)}, got {kind!r}")
    track = track_disc(frames, kind)
    times_s = np.arange(len(frames)) / frame_rate
    if kind == "ball":
        return VideoReading(_bounces(track, times_s), track, None)
    bars = _bar_colours(frames)
    unlit = np.stack([_unlit(bars[:, bar]) for bar in range(len(COLOURS))])
    return VideoReading(_strikes(bars, unlit, track, times_s), track, unlit)


def _bounces(track: DiscTrack, times_s: FloatArray) -> tuple[SeenEvent, ...]:
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
        turn = _turn(times_s, track.y, (before, at, after), GRAVITY)
        if turn is not None and (not events or turn[0] - events[-1].time_s >= MIN_GAP_S):
            x = float(np.interp(turn[0], times_s[near], track.x[near]))
            radius = float(np.median(track.radius[near]))
            events.append(SeenEvent(turn[0], x, turn[1] + radius, None))
    return tuple(events)


def _turn(
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


def _bar_colours(frames: NDArray[np.uint8]) -> FloatArray:
    """Return the mean colour (F, 5, 3) of the inner part of each bar."""
    viewport = Viewport(*frames.shape[1:3])
    rows = slice(int(np.ceil(viewport.y(BAR_TOP + BAR_INSET))), int(viewport.y(BAR_BOTTOM - BAR_INSET)))
    colours = []
    for bar in range(len(COLOURS)):
        left, right = (viewport.x(bar_x(bar) + side * (BAR_WIDTH / 2 - BAR_INSET)) for side in (-1, 1))
        colours.append(frames[:, rows, int(np.ceil(left)) : int(right)].mean(axis=(1, 2)))
    return np.stack(colours, axis=1)


def _unlit(colours: FloatArray) -> FloatArray:
    """Return the colour (3,) of one bar in its dimmest frames, from (F, 3)."""
    brightness = colours.sum(axis=1)
    dimmest = brightness <= np.quantile(brightness, REST_SHARE)
    return np.asarray(colours[dimmest].mean(axis=0))


def _strikes(bars: FloatArray, unlit: FloatArray, track: DiscTrack, times_s: FloatArray) -> tuple[SeenEvent, ...]:
    events = []
    for bar in range(len(COLOURS)):
        towards = np.asarray(GLOW_RGB) - unlit[bar]
        glow = (bars[:, bar] - unlit[bar]) @ towards / (GLOW_SHARE * float(towards @ towards) + 1e-9)
        for lit in _glow_starts(glow, times_s):
            lit_s = _lighting_time(glow, times_s, lit)
            head_s = _head_time(track, times_s, lit_s)
            time_s = lit_s if head_s is None else (1 - HEAD_WEIGHT) * lit_s + HEAD_WEIGHT * head_s
            events.append(SeenEvent(time_s, bar_x(bar), BAR_TOP, bar))
    return tuple(sorted(events, key=lambda event: event.time_s))


def _glow_starts(glow: FloatArray, times_s: FloatArray) -> list[int]:
    """Return the first bright frame of each lighting-up."""
    if len(glow) < 3:
        return []
    # Two frames back, because an autoencoder may spread the jump over two frames.
    fade = np.exp(-(times_s[2] - times_s[0]) / GLOW_DECAY_S)
    rise = np.concatenate([[0.0, 0.0], glow[2:] - fade * np.maximum(glow[:-2], 0)])
    starts: list[int] = []
    for index in np.argsort(-rise, kind="stable").tolist():
        if rise[index] < MIN_GLOW_RISE:
            break
        if all(abs(times_s[index] - times_s[start]) >= GLOW_GAP_S for start in starts):
            starts.append(index)
    return [start - 1 if glow[start - 1] >= glow[start] else start for start in starts]


def _lighting_time(glow: FloatArray, times_s: FloatArray, lit: int) -> float:
    """Return when a bar lit up, from how far the light has faded in the frames from `lit` on."""
    frames = np.arange(lit, min(lit + 4, len(glow)))
    strength = np.clip(glow[frames], 0.05, 1.0)
    moments = times_s[frames] + GLOW_DECAY_S * np.log(strength)
    estimate = float(np.average(moments, weights=strength**2))
    return float(np.clip(estimate, times_s[max(lit - 1, 0)] - 0.02, times_s[lit]))


def _head_time(track: DiscTrack, times_s: FloatArray, lit_s: float) -> float | None:
    """Return when the head turns near `lit_s`; None where it does not, or is not seen."""
    near = np.flatnonzero(track.visible & (np.abs(times_s - lit_s) <= FIT_S))
    if len(near) < 5:
        return None
    at = int(near[np.argmax(track.y[near])])
    before, after = near[near < at], near[near > at]
    if min(len(before), len(after)) < 2:
        return None
    turn = _turn(times_s, track.y, (before[-3:], at, after[:3]), 2 * RAISED / FALL_S**2)
    return turn[0] if turn is not None and abs(turn[0] - lit_s) <= MAX_HEAD_DISTANCE_S else None
