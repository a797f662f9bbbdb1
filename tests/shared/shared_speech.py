"""Speech-like sound without a recording: phrases of syllables whose pitch falls, with formants that move and hisses."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from mova.toyworld.voice import FORMANT_HZ

SAMPLE_RATE = 16_000
_NASAL_HZ, _ORAL_HZ = (300, 1100, 2300), (400, 1700, 2600)
_STEP = 80


def speak(seconds: float, seed: int = 0, pitch_hz: float = 115.0, stretch: float = 1.0) -> np.ndarray:
    """Return (S,) float32 at 16 kHz that detectors take for speech, from 0.2 s to half a second before its end.

    Args:
        seconds: length of the result.
        seed: of what is said.
        pitch_hz: of the voice.
        stretch: of the formants: above 1 for a shorter throat.
    """
    rng = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * SAMPLE_RATE))
    at, end = int(0.2 * SAMPLE_RATE), len(sound) - SAMPLE_RATE // 2
    while at < end:
        count = int(rng.integers(3, 8))
        for place in range(count):
            consonant, first, second = str(rng.choice(list("stmn"))), *map(str, rng.choice(list("aeiou"), 2))
            if consonant in "st":
                at = _hiss(sound, at, consonant, rng)
            length = int(rng.uniform(0.09, 0.2) * SAMPLE_RATE)
            if at + length >= len(sound):
                return sound.astype(np.float32)
            pitch = pitch_hz * (1.25 - 0.35 * place / count)
            start = _NASAL_HZ if consonant in "mn" else _ORAL_HZ
            way = [np.multiply(hz, stretch) for hz in (start, FORMANT_HZ[first], FORMANT_HZ[second])]
            sound[at : at + length] += _vowel(length, pitch, way, rng)
            at += length
        at += int(rng.uniform(0.25, 0.5) * SAMPLE_RATE)
    return sound.astype(np.float32)


def _hiss(sound: np.ndarray, at: int, consonant: str, rng: np.random.Generator) -> int:
    """Add an s or a t, and return where it ends."""
    length = int((0.09 if consonant == "s" else 0.03) * SAMPLE_RATE)
    noise = lfilter([1, -0.9 if consonant == "s" else -0.5], [1], rng.normal(size=length)) * np.hanning(length) * 0.08
    end = min(len(sound), at + length)
    sound[at:end] += noise[: end - at]
    return end + (int(0.02 * SAMPLE_RATE) if consonant == "t" else 0)


def _vowel(length: int, pitch_hz: float, way: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return a glide over three mouths: pulses through three resonances that move every 5 ms."""
    place = np.linspace(0, 1, length)
    phase = np.cumsum(pitch_hz * (1 + 0.06 * np.sin(np.pi * place) + 0.01 * rng.normal()) / SAMPLE_RATE)
    pulses = np.diff(np.floor(phase), prepend=0)
    source = np.diff(lfilter([1], [1, -0.97], pulses) + 0.01 * rng.normal(size=length), prepend=0)
    states = [np.zeros(2) for _ in way[0]]
    sound = np.zeros(length)
    for begin in range(0, length, _STEP):
        part, opened = source[begin : begin + _STEP], min(1.0, 3 * begin / length)
        mouth = (1 - opened) * way[0] + opened * ((1 - place[begin]) * way[1] + place[begin] * way[2])
        for index, (formant, bandwidth) in enumerate(zip(mouth, (70, 100, 140), strict=True)):
            radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
            turn = 2 * radius * np.cos(2 * np.pi * formant / SAMPLE_RATE)
            filtered = lfilter([1 - turn + radius**2], [1, -turn, radius**2], part, zi=states[index])
            part, states[index] = filtered
        sound[begin : begin + _STEP] = part
    fade = np.minimum(1, np.minimum(np.arange(length) / 200, (length - np.arange(length)) / 500))
    return sound * fade / (np.abs(sound).max() + 1e-9) * 0.4
