"""Find the vowels of a clip from its samples alone: when a voice begins and ends, whose it is, and what it says.

A vowel is a stretch of loud samples that repeat at a voice's pitch; its begin is refined to the sample where the energy
changes. What is said is the nearest of the world's vowels by the envelope of the spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.reading.detect_audio import HeardEvent, mono, refined_onset
from mova.toyworld.vocabulary import VOICE_HZ, VOWELS
from mova.toyworld.voice import RELEASE_S, vowel_sound

FloatArray = NDArray[np.float64]
Naming = Callable[[FloatArray, int, str], str]

WINDOW_S: Final = 0.0125  # one and a half periods of the lower voice
HOP_S: Final = 0.0025
# Shares of the loudest window: a vowel begins above the first and ends below the second.
LOUD: Final = 0.3
QUIET: Final = 0.15
MIN_LEVEL: Final = 0.006
MIN_VOICED_S: Final = 0.08
MAX_BREAK_S: Final = 0.04
PITCH_RANGE_HZ: Final = (80.0, 320.0)
MIN_PERIODICITY: Final = 0.5
# A true period repeats as well as its multiples do.
PERIOD_SHARE: Final = 0.9
BAND_EDGES_HZ: Final = tuple(np.geomspace(180.0, 3600.0, 19).tolist())


def nearest_vowel(part: FloatArray, sample_rate: int, voice: str) -> str:
    """Return the vowel that the samples (S,) of a voice are most like."""
    return VOWELS[int(np.argmax(vowel_likeness(part, sample_rate, voice)))]


def detect_voice(
    waveform: NDArray[np.floating] | None, sample_rate: int, *, name: Naming = nearest_vowel
) -> tuple[HeardEvent, ...]:
    """Return the stretches of voice that are heard, in the order of time; `colour` is the voice, "low" or "high".

    Args:
        waveform: (channels, S) in [-1, 1], mixed to mono first; None means silence.
        sample_rate: in Hz, 8000 or more.
        name: takes samples, their rate and the voice, returns what is said; by default one vowel.

    Raises:
        GeometryError: the sample rate is too low for the world's notes.
        NumericalError: a sample is not finite.
    """
    samples = mono(waveform, sample_rate)
    if samples is None:
        return ()
    heard = []
    for coarse_s, end_s in _loud_stretches(samples, sample_rate):
        time_s = refined_onset(samples, sample_rate, coarse_s)
        first, stop = round(time_s * sample_rate), round(end_s * sample_rate)
        if stop - first < MIN_VOICED_S * sample_rate or time_s < WINDOW_S:
            continue
        part = samples[first:stop]
        periodicity, pitch = _pitch(part, sample_rate)
        if periodicity >= MIN_PERIODICITY:
            voice = min(VOICE_HZ, key=lambda name: abs(np.log(pitch / VOICE_HZ[name])))
            level = float(np.abs(part).max())
            heard.append(HeardEvent(time_s, level, name(part, sample_rate, voice), pitch, voice, end_s))
    return tuple(heard)


def _loud_stretches(samples: FloatArray, sample_rate: int) -> list[tuple[float, float]]:
    """Return rough onsets and ends in seconds of what is loud."""
    window = round(WINDOW_S * sample_rate)
    sums = np.concatenate([[0.0], np.cumsum(samples**2)])
    starts = np.arange(0, len(samples) - window, round(HOP_S * sample_rate))
    loudness = np.sqrt((sums[starts + window] - sums[starts]) / window)
    centres = (starts + window / 2) / sample_rate
    full = float(np.quantile(loudness, 0.95)) if len(loudness) else 0.0
    if full < MIN_LEVEL:
        return []
    stretches: list[tuple[float, float]] = []
    is_on = False
    onset = 0.0
    for at, level in enumerate(loudness.tolist()):
        if not is_on and level > LOUD * full:
            is_on, onset = True, float(centres[at])
        elif is_on and (level < QUIET * full or at == len(loudness) - 1):
            is_on = False
            # A fading voice falls to this share some time after it has begun to fade.
            faded_s = RELEASE_S * float(np.log(1 / QUIET)) if level < QUIET * full else 0.0
            stretches.append((onset, float(centres[at]) - faded_s))
    joined: list[tuple[float, float]] = []
    for onset, end in stretches:
        if joined and onset - joined[-1][1] < MAX_BREAK_S:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((onset, end))
    return joined


def _pitch(part: FloatArray, sample_rate: int) -> tuple[float, float]:
    """Return how well a stretch repeats, 1 at best, and the frequency in Hz at which it does."""
    centred = part - part.mean()
    power = np.abs(np.fft.rfft(centred, 2 * len(centred))) ** 2
    likeness = np.fft.irfft(power)[: len(centred)] / (len(centred) - np.arange(len(centred)))
    likeness = likeness / max(float(likeness[0]), 1e-20)
    shortest, longest = (round(sample_rate / bound) for bound in reversed(PITCH_RANGE_HZ))
    lags = np.arange(shortest, min(longest, len(likeness) - 1))
    if len(lags) < 2:
        return 0.0, PITCH_RANGE_HZ[0]
    best = float(likeness[lags].max())
    is_peak = (likeness[lags] >= likeness[lags - 1]) & (likeness[lags] >= likeness[lags + 1])
    good = lags[is_peak & (likeness[lags] >= PERIOD_SHARE * best)]
    return best, sample_rate / float(good[0] if len(good) else lags[np.argmax(likeness[lags])])


def _envelope(part: FloatArray, sample_rate: int) -> FloatArray:
    """Return a unit vector: the logarithmic loudness of bands, free of level."""
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    frequency = np.arange(len(power)) * sample_rate / len(part)
    edges = np.asarray(BAND_EDGES_HZ)
    # Overlapping triangles between the logarithms of the edges: no harmonic falls between two bands.
    place = np.interp(np.log(np.maximum(frequency, 1.0)), np.log(edges), np.arange(len(edges)), left=-2, right=-2)
    bands = np.maximum(1 - np.abs(place[None, :] - np.arange(len(edges))[:, None]), 0) @ power
    logs = np.log(bands / max(float(bands.max()), 1e-20) + 1e-3)
    centred = logs - logs.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-9))


@lru_cache(maxsize=8)
def _prototypes(sample_rate: int, voice: str) -> FloatArray:
    since_s = np.arange(round(0.3 * sample_rate)) / sample_rate
    return np.stack([_envelope(vowel_sound(vowel, VOICE_HZ[voice], since_s, 1.0), sample_rate) for vowel in VOWELS])


def vowel_likeness(part: FloatArray, sample_rate: int, voice: str) -> FloatArray:
    """Return how much the samples (S,) of a voice are like each of `VOWELS`, 1 at best."""
    return np.asarray(_prototypes(sample_rate, voice) @ _envelope(part, sample_rate))
