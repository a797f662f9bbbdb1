"""Coefficients of speech as SyncNet was taught with: 13 for each 10 ms.

Davis and Mermelstein, Comparison of parametric representations for monosyllabic word recognition, 1980, in the variant
of the package python_speech_features (0.6, MIT) with its default settings.
"""

from __future__ import annotations

from typing import Final

import numpy as np

SAMPLE_RATE: Final = 16_000
COEFFICIENTS: Final = 13
HOP: Final = 160
"""Samples between two columns."""
_FRAME: Final = 400
_TRANSFORM: Final = 512
_FILTERS: Final = 26
_EMPHASIS: Final = 0.97
_LIFTER: Final = 22


def mfcc(sound: np.ndarray) -> np.ndarray:
    """Return the coefficients of a sound: (T, 13) float64, T = 1 + ceil((S - 400) / 160), one for a shorter sound.

    The first coefficient is the natural logarithm of the energy. No window is applied; the last frame is filled up with
    zeros.

    Args:
        sound: (S,) at 16 kHz as whole numbers of 16 bits, of any dtype.
    """
    power = _power(np.asarray(sound, dtype=np.float64))
    energy, bands = power.sum(axis=1), power @ _FILTER_BANK.T
    # Silence: the logarithm of nothing is that of the smallest step of float64 at 1.
    smallest = np.finfo(np.float64).eps
    energy[energy == 0.0] = smallest
    bands[bands == 0.0] = smallest
    found = np.log(bands) @ _COSINES.T * _LIFT
    found[:, 0] = np.log(energy)
    return np.asarray(found)


def to_16_bits(sound: np.ndarray) -> np.ndarray:
    """Return a sound (S,) in [-1, 1] as whole numbers of 16 bits, to the nearest: (S,) int16."""
    return np.clip(np.round(np.asarray(sound, np.float64) * 32768.0), -32768, 32767).astype(np.int16)


def _power(sound: np.ndarray) -> np.ndarray:
    """Return (T, 257) power of each frame after the high frequencies were raised."""
    raised = np.concatenate([sound[:1], sound[1:] - _EMPHASIS * sound[:-1]])
    count = 1 + max(0, -(-(len(raised) - _FRAME) // HOP))
    whole = np.pad(raised, (0, max(0, (count - 1) * HOP + _FRAME - len(raised))))
    frames = np.lib.stride_tricks.sliding_window_view(whole, _FRAME)[::HOP][:count]
    return np.asarray(np.abs(np.fft.rfft(frames, _TRANSFORM)) ** 2 / _TRANSFORM)


def _filter_bank() -> np.ndarray:
    """Return (26, 257) triangles, evenly spaced on the mel scale from 0 to 8 kHz, with edges on whole bins."""
    highest = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    hertz = 700.0 * (10.0 ** (np.linspace(0.0, highest, _FILTERS + 2) / 2595.0) - 1.0)
    edges = np.floor((_TRANSFORM + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(_TRANSFORM // 2 + 1)
    left, middle, right = (part[:, None] for part in (edges[:-2], edges[1:-1], edges[2:]))
    rising = np.where((bins >= left) & (bins < middle), (bins - left) / np.maximum(middle - left, 1), 0.0)
    falling = np.where((bins >= middle) & (bins < right), (right - bins) / np.maximum(right - middle, 1), 0.0)
    return np.asarray(rising + falling)


def _cosines() -> np.ndarray:
    """Return the first 13 rows (13, 26) of the orthonormal cosine transform of the second kind."""
    row, column = np.arange(COEFFICIENTS)[:, None], np.arange(_FILTERS)
    waves = np.sqrt(2.0 / _FILTERS) * np.cos(np.pi * row * (2 * column + 1) / (2 * _FILTERS))
    waves[0] /= np.sqrt(2.0)
    return np.asarray(waves)


_FILTER_BANK: Final = _filter_bank()
_COSINES: Final = _cosines()
_LIFT: Final = 1.0 + _LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFTER)
