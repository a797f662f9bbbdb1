"""Find signs that are written, from pixels alone, and signs that are said as rows of vowels, from samples alone.

Which sign is written is the best of their shapes, by what stands there at the end. The pen moves at a known pace, so
that how much ink there is in a frame tells when it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Coverage
from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_voice import vowel_likeness
from mova.toyworld.vocabulary import VOWELS

FloatArray = NDArray[np.float64]

SOFT_EDGE: Final = (0.2, 0.8)  # share of the contrast between paper and ink that counts as none and as all
MIN_CONTRAST: Final = 60.0  # levels of 255
CORE_SHARE: Final = 0.04  # of the pixels, the darkest, are ink
SETTLED: Final = 0.9  # of the ink at the end counts as all of it
MOVING: Final = (0.08, 0.92)
MIN_LIKENESS: Final = 0.6  # 1 for the very shape
MIN_SETTLED_FRAMES: Final = 2
INNER: Final = 0.95
# Of a vowel, the share after its begin that is not listened to, where the one before still fades.
FADING: Final = 0.2


@dataclass(frozen=True)
class Template:
    """What a sign looks like at one place.

    Attributes:
        sign: its name.
        ink: (P, Q) share of each pixel that is covered, in [0, 1].
        growth: (N,) share of all the ink that is there after each of N equal parts of the writing.
    """

    sign: str
    ink: Coverage
    growth: FloatArray


def written(
    region: NDArray[np.uint8],
    times_s: FloatArray,
    at: tuple[int, float, float],
    templates: Sequence[Template],
    writing_s: float,
    scale: float,
) -> list[tuple[SeenEvent, FloatArray]]:
    """Return the sign that is written at a place, if any, and the colour (3,) of its ink in [0, 255].

    Args:
        region: (F, P, Q, 3) uint8, the place in each frame.
        times_s: (F,) of the frames.
        at: index of the place, x and y of its middle.
        templates: the signs that there are.
        writing_s: seconds in which any of them is written.
        scale: pixels per unit of length.
    """
    if len(region) < MIN_SETTLED_FRAMES + 1:
        return []
    pixels = region.astype(np.float64)
    paper = np.median(pixels, axis=(1, 2))
    difference = np.linalg.norm(pixels - paper[:, None, None], axis=-1)
    core = max(4, int(CORE_SHARE * difference[0].size))
    last = np.median(difference[-MIN_SETTLED_FRAMES:], axis=0)
    contrast = max(float(np.sort(last, axis=None)[-core:].mean()), MIN_CONTRAST)
    share = np.clip((difference / contrast - SOFT_EDGE[0]) / (SOFT_EDGE[1] - SOFT_EDGE[0]), 0, 1)
    ink = share.sum(axis=(1, 2))
    amount = ink / max(float(np.median(ink[-MIN_SETTLED_FRAMES:])), 1e-9)
    blank = np.flatnonzero(amount < MOVING[0])
    if not len(blank) or blank[0] != 0 or len(region) - blank[-1] - 1 < MIN_SETTLED_FRAMES:
        return []
    settled = np.flatnonzero((amount >= SETTLED) & (np.arange(len(region)) > blank[-1]))
    if len(settled) < MIN_SETTLED_FRAMES:
        return []
    shape = share[settled].mean(axis=0)
    likeness = [_likeness(shape, template.ink) for template in templates]
    best = templates[int(np.argmax(likeness))]
    if max(likeness) < MIN_LIKENESS:
        return []
    index, x, y = at
    shift_x, shift_y = ((_middle(shape, axis) - _middle(best.ink, axis)) / scale for axis in (1, 0))
    begun_s = _beginning(amount, times_s, int(blank[-1]), best.growth, writing_s)
    colour = pixels[settled][:, best.ink > INNER].mean(axis=(0, 1))
    return [(SeenEvent(begun_s, x + shift_x, y + shift_y, index, sign=best.sign), colour)]


def _likeness(shape: FloatArray, ink: Coverage) -> float:
    """Return the correlation of two shapes (P, Q), 1 at best."""
    one, other = shape - shape.mean(), ink - ink.mean()
    return float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-9))


def _middle(shape: FloatArray | Coverage, axis: int) -> float:
    """Return the middle of what is covered, in pixels, down (axis 0) or across (axis 1)."""
    along = shape.sum(axis=1 - axis, dtype=np.float64)
    return float(along @ np.arange(len(along)) / max(float(along.sum()), 1e-9))


def _beginning(amount: FloatArray, times_s: FloatArray, blank: int, growth: FloatArray, writing_s: float) -> float:
    """Return when the writing began, from the amount of ink (F,) in the frames after the last blank one."""
    moments = []
    progress = (np.arange(len(growth)) + 1) / len(growth)
    for frame in range(blank, len(amount)):
        if amount[frame] > MOVING[1]:
            break
        if amount[frame] >= MOVING[0]:
            moments.append(times_s[frame] - writing_s * float(np.interp(amount[frame], growth, progress)))
    if moments:
        return float(np.mean(moments))
    # Nothing was caught on the way: it began before the one frame and was complete in the next.
    middle = (times_s[blank] + times_s[min(blank + 1, len(times_s) - 1)]) / 2
    return float(middle - writing_s / 2)


def row_said(part: FloatArray, sample_rate: int, voice: str, rows: Mapping[str, Sequence[str]], vowel_s: float) -> str:
    """Return which row of vowels of equal length the samples (S,) of a voice are most like.

    Args:
        part: from the begin of the voice to its end.
        sample_rate: in Hz.
        voice: a key of `VOICE_HZ`.
        rows: the vowels of each sign.
        vowel_s: seconds of one vowel.
    """
    length = len(part) / sample_rate / vowel_s
    nearest = min(abs(len(row) - length) for row in rows.values())
    alike = {sign: row for sign, row in rows.items() if abs(len(row) - length) <= nearest + 1e-9}
    count = len(next(iter(alike.values())))
    heard = []
    for at in range(count):
        begin, end = ((at + edge) * vowel_s * sample_rate for edge in (FADING, 1.0))
        heard.append(vowel_likeness(part[round(begin) : round(end)], sample_rate, voice))
    return max(alike, key=lambda sign: sum(heard[at][VOWELS.index(vowel)] for at, vowel in enumerate(alike[sign])))
