"""How vowels sound: a train of glottal pulses through the formants of a mouth, as a sum of harmonics.

Once the first pulses have passed, a filtered pulse train is a sum of harmonics with the filter's response at each. The
sum is evaluated at the exact sample times, so a vowel may begin between two samples and no filter keeps a state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FORMANT_HZ: Final[dict[str, tuple[float, float, float]]] = {
    "a": (780.0, 1250.0, 2550.0),
    "e": (480.0, 1900.0, 2600.0),
    "i": (280.0, 2300.0, 3000.0),
    "o": (480.0, 850.0, 2500.0),
    "u": (300.0, 680.0, 2300.0),
}
BANDWIDTH_HZ: Final = (80.0, 100.0, 140.0)
HIGHEST_HZ: Final = 3600.0  # below half of the lowest sample rate, 8000 Hz
ATTACK_S: Final = 0.002
RELEASE_S: Final = 0.018


def vowel_sound(vowel: str, pitch_hz: float, since_s: FloatArray, duration_s: float) -> FloatArray:
    """Return a vowel of level 1.

    Args:
        vowel: a key of `FORMANT_HZ`.
        pitch_hz: pitch of the voice in Hz.
        since_s: (S,) seconds since the onset of voicing, all 0 or more.
        duration_s: seconds after which the voice fades.

    Returns:
        (S,) in about [-1, 1].
    """
    turn = np.exp(2j * np.pi * pitch_hz * since_s)
    total = np.zeros_like(turn)
    for amplitude in harmonics(vowel, pitch_hz)[::-1]:
        # Horner's rule: one multiplication for each harmonic instead of one sine.
        total += amplitude
        total *= turn
    fade = np.exp(np.minimum(duration_s - since_s, 0.0) / RELEASE_S)
    return np.asarray(total.real * (1 - np.exp(since_s / -ATTACK_S)) * fade)


@lru_cache(maxsize=64)
def harmonics(vowel: str, pitch_hz: float) -> NDArray[np.complex128]:
    """Return the complex amplitudes (K,) of the harmonics of a vowel, scaled so that the sum's peak is 1."""
    frequency = pitch_hz * np.arange(1, int(HIGHEST_HZ / pitch_hz) + 1)
    # Pulses fall by 12 dB per octave, the mouth's opening radiates 6 dB per octave more of the high.
    amplitude = (pitch_hz / frequency).astype(np.complex128)
    for formant, bandwidth in zip(FORMANT_HZ[vowel], BANDWIDTH_HZ, strict=True):
        relative = frequency / formant
        amplitude /= 1 - relative**2 + 1j * relative * bandwidth / formant
    phase = np.exp(2j * np.pi * np.arange(1024)[:, None] / 1024 * np.arange(1, len(frequency) + 1))
    peak = float(np.abs((phase @ amplitude).real).max())
    return np.asarray(amplitude / peak)
