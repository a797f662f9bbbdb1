"""Find the events of a clip from its pixels alone: when, where, and on which bar.

A bounce is where two parabolas of the world's gravity, fitted to the ball's path before and after, meet. A strike is
where a bar lights up: the brightness of the frames after it tells the moment between two frames, the path of the
mallet's head confirms it. Keys are read like bars, without a mallet; mouths in `detect_mouth`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError
from mova.toyworld.draw import Viewport
from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_mouth import hat_colours, spoken
from mova.toyworld.reading.track import DiscTrack, track_disc
from mova.toyworld.scenes.ball import GRAVITY
from mova.toyworld.scenes.keys import (
    BLACK_BOTTOM,
    KEY_BOTTOM,
    KEY_WIDTH,
    LIGHT_RGB,
    LIGHT_SHARE,
    key_x,
)
from mova.toyworld.scenes.mallet import (
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
from mova.toyworld.vocabulary import ALL_KINDS, COLOURS, NOTES, SIDES, SPEAKING_KINDS, Rgb

FloatArray = NDArray[np.float64]

FIT_S: Final = 4 / 24  # of the path that is fitted on each side of a contact
MIN_PROMINENCE: Final = 0.02  # by which a bounce lies below the path before and after it
MIN_TURN_SPEED: Final = 0.6  # change of the vertical speed, in frame sizes per second
MAX_MISFIT: Final = 0.025  # root mean square distance from the parabolas, in frame sizes
MIN_GAP_S: Final = 0.12
MIN_GLOW_RISE: Final = 0.35
GLOW_GAP_S: Final = 0.25
REST_SHARE: Final = 0.15  # of the frames, the dimmest, show a bar unlit
HEAD_WEIGHT: Final = 0.5
MAX_HEAD_DISTANCE_S: Final = 0.05


@dataclass(frozen=True)
class _Layout:
    """A row of bars or keys.

    Attributes:
        count: how many there are.
        middle: takes an index from the left, returns the horizontal middle.
        y: where an event is reported.
        inside: half of the width, top and bottom of the part that is looked at.
        glow_rgb, glow_share: the light, and how much of it there is at first.
        is_dimmed: whether the light makes it darker.
        strength_power: of the light's strength, by which frames weigh in its moment. An autoencoder that drags spoils
            the first frame most; with a mallet its path makes up for that.
    """

    count: int
    middle: Callable[[int], float]
    y: float
    inside: tuple[float, float, float]
    glow_rgb: Rgb
    glow_share: float
    is_dimmed: bool
    strength_power: float


_BARS: Final = _Layout(
    count=len(COLOURS),
    middle=bar_x,
    y=BAR_TOP,
    inside=(BAR_WIDTH / 2 - 0.02, BAR_TOP + 0.02, BAR_BOTTOM - 0.02),
    glow_rgb=GLOW_RGB,
    glow_share=GLOW_SHARE,
    is_dimmed=False,
    strength_power=2.0,
)
_KEYS: Final = _Layout(
    count=len(NOTES),
    middle=key_x,
    y=(BLACK_BOTTOM + KEY_BOTTOM) / 2,
    inside=(KEY_WIDTH / 2 - 0.015, BLACK_BOTTOM + 0.02, KEY_BOTTOM - 0.02),
    glow_rgb=LIGHT_RGB,
    glow_share=LIGHT_SHARE,
    is_dimmed=True,
    strength_power=0.0,
)


@dataclass(frozen=True)
class VideoReading:
    """What the pixels of a clip show.

    Attributes:
        events: in the order of time.
        tracks: one for each moving disc, of two balls the left one first; none for keys and faces.
        bar_rgb: (N, 3) colour of each unlit bar or key; None for other scenes.
        hat_rgb: (N, 3) colour of the hat of each face; None for other scenes.
    """

    events: tuple[SeenEvent, ...]
    tracks: tuple[DiscTrack, ...] = ()
    bar_rgb: FloatArray | None = None
    hat_rgb: FloatArray | None = None


def detect_video(frames: NDArray[np.uint8], frame_rate: float, kind: str) -> VideoReading:
    """Read the events of a clip.

    Args:
        frames: (F, H, W, 3) uint8.
        frame_rate: frames per second.
        kind: of the scene, one of `ALL_KINDS`, which the first frame shows.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in ALL_KINDS:
        raise ConfigError(f"kind of scene must be one of {', '.join(ALL_KINDS)}, got {kind!r}")
    times_s = np.arange(len(frames)) / frame_rate
    if kind in SPEAKING_KINDS:
        return VideoReading(spoken(frames, times_s, kind), hat_rgb=hat_colours(frames, kind))
    if kind == "ball":
        track = track_disc(frames, kind)
        return VideoReading(_bounces(track, times_s), (track,))
    if kind == "balls":
        tracks = tuple(track_disc(frames, "ball", side) for side in SIDES)
        bounces = [_bounces(track, times_s, side) for track, side in zip(tracks, SIDES, strict=True)]
        return VideoReading(_in_time(event for events in bounces for event in events), tracks)
    layout = _KEYS if kind == "keys" else _BARS
    tracks = () if kind == "keys" else (track_disc(frames, kind),)
    bars = _bar_colours(frames, layout)
    unlit = np.stack([_unlit(bars[:, bar], layout) for bar in range(layout.count)])
    return VideoReading(_lit(bars, unlit, tracks, times_s, layout), tracks, bar_rgb=unlit)


def _in_time(events: Iterable[SeenEvent]) -> tuple[SeenEvent, ...]:
    return tuple(sorted(events, key=lambda event: event.time_s))


def _bounces(track: DiscTrack, times_s: FloatArray, side: str | None = None) -> tuple[SeenEvent, ...]:
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
            events.append(SeenEvent(turn[0], x, turn[1] + radius, None, side=side))
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


def _bar_colours(frames: NDArray[np.uint8], layout: _Layout) -> FloatArray:
    """Return the mean colour (F, N, 3) of the inner part of each bar or key."""
    viewport = Viewport(*frames.shape[1:3])
    half, top, bottom = layout.inside
    rows = slice(int(np.ceil(viewport.y(top))), int(viewport.y(bottom)))
    colours = []
    for bar in range(layout.count):
        left, right = (viewport.x(layout.middle(bar) + side * half) for side in (-1, 1))
        colours.append(frames[:, rows, int(np.ceil(left)) : int(right)].mean(axis=(1, 2)))
    return np.stack(colours, axis=1)


def _unlit(colours: FloatArray, layout: _Layout) -> FloatArray:
    """Return the colour (3,) of one bar or key in the frames that show it without light, from (F, 3)."""
    brightness = colours.sum(axis=1) * (-1 if layout.is_dimmed else 1)
    dimmest = brightness <= np.quantile(brightness, REST_SHARE)
    return np.asarray(colours[dimmest].mean(axis=0))


def _lit(
    bars: FloatArray, unlit: FloatArray, tracks: tuple[DiscTrack, ...], times_s: FloatArray, layout: _Layout
) -> tuple[SeenEvent, ...]:
    events = []
    for bar in range(layout.count):
        towards = np.asarray(layout.glow_rgb) - unlit[bar]
        glow = (bars[:, bar] - unlit[bar]) @ towards / (layout.glow_share * float(towards @ towards) + 1e-9)
        for lit in _glow_starts(glow, times_s):
            time_s = _lighting_time(glow, times_s, lit, layout.strength_power)
            for track in tracks:
                head_s = _head_time(track, times_s, time_s)
                time_s = time_s if head_s is None else (1 - HEAD_WEIGHT) * time_s + HEAD_WEIGHT * head_s
            events.append(SeenEvent(time_s, layout.middle(bar), layout.y, bar))
    return _in_time(events)


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


def _lighting_time(glow: FloatArray, times_s: FloatArray, lit: int, strength_power: float) -> float:
    """Return when a bar lit up, from how far the light has faded in the frames from `lit` on."""
    frames = np.arange(lit, min(lit + 4, len(glow)))
    strength = np.clip(glow[frames], 0.05, 1.0)
    moments = times_s[frames] + GLOW_DECAY_S * np.log(strength)
    estimate = float(np.average(moments, weights=strength**strength_power))
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
