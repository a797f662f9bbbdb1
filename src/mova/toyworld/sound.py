"""How things sound: wood, metal, drum skin, bars and piano keys, as closed-form functions of the time since the blow.

Closed forms are evaluated at the exact sample times, so a blow may fall between two samples and no state is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.event import Event
from mova.toyworld.vocabulary import BAR, KEY
from mova.toyworld.voice import RELEASE_S, vowel_sound

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Partial:
    """One decaying sine: frequency over the fundamental, amplitude, seconds to fall to 1/e."""

    ratio: float
    level: float
    decay_s: float


@dataclass(frozen=True)
class Timbre:
    """A sound with a pitch.

    Attributes:
        partials: the sines, fundamental first.
        gain: makes the loudest sample of a blow of level 1 about 1.
        glide: how much higher the pitch starts, as a share of it.
        glide_s: seconds for the glide to fall to 1/e.
        attack_noise: amplitude of the noise-like start.
    """

    partials: tuple[Partial, ...]
    gain: float
    glide: float = 0.0
    glide_s: float = 1.0
    attack_noise: float = 0.0


TIMBRE: Final[dict[str, Timbre]] = {
    "wood": Timbre((Partial(1.0, 1.0, 0.030), Partial(2.57, 0.5, 0.016), Partial(4.95, 0.25, 0.008)), gain=0.75),
    "metal": Timbre(
        (Partial(1.0, 1.0, 0.130), Partial(1.68, 0.4, 0.110), Partial(2.76, 0.5, 0.090), Partial(3.90, 0.3, 0.050)),
        gain=0.52,
    ),
    "drum": Timbre(
        (Partial(1.0, 1.0, 0.090), Partial(1.59, 0.5, 0.060), Partial(2.14, 0.3, 0.045)),
        gain=0.68,
        glide=0.35,
        glide_s=0.020,
        attack_noise=0.5,
    ),
    BAR: Timbre((Partial(1.0, 1.0, 0.150), Partial(4.0, 0.35, 0.060)), gain=0.80),
    KEY: Timbre(
        (Partial(1.0, 1.0, 0.170), Partial(2.0, 0.6, 0.120), Partial(3.0, 0.35, 0.090), Partial(5.0, 0.15, 0.050)),
        gain=0.58,
    ),
}

ATTACK_S: Final = 0.0008
SILENT_AFTER_DECAYS: Final = 8.0
NOISE_DECAY_S: Final = 0.006
NOISE_HZ: Final = 620.0 + 137.0 * np.arange(14) + 41.0 * np.sin(7.0 * np.arange(14))
NOISE_PHASE: Final = 2.4 * np.arange(14) ** 2


def blow(timbre_name: str, pitch_hz: float, since_s: FloatArray) -> FloatArray:
    """Return the sound of one blow of level 1.

    Args:
        timbre_name: a material, "bar" or "key".
        pitch_hz: fundamental.
        since_s: (S,) seconds since the blow, all 0 or more, ascending.

    Returns:
        (S,) in about [-1, 1].
    """
    timbre = TIMBRE[timbre_name]
    turns = (
        since_s + timbre.glide * timbre.glide_s * (1 - np.exp(-since_s / timbre.glide_s)) if timbre.glide else since_s
    )
    out = np.zeros_like(since_s)
    for partial in timbre.partials:
        n = int(np.searchsorted(since_s, partial.decay_s * SILENT_AFTER_DECAYS))
        envelope = partial.level * np.exp(since_s[:n] / -partial.decay_s)
        out[:n] += envelope * np.sin(2 * np.pi * pitch_hz * partial.ratio * turns[:n])
    if timbre.attack_noise:
        n = int(np.searchsorted(since_s, NOISE_DECAY_S * SILENT_AFTER_DECAYS))
        waves = np.sin(2 * np.pi * NOISE_HZ[:, None] * since_s[None, :n] + NOISE_PHASE[:, None]).sum(axis=0)
        out[:n] += timbre.attack_noise / np.sqrt(len(NOISE_HZ)) * np.exp(since_s[:n] / -NOISE_DECAY_S) * waves
    n = int(np.searchsorted(since_s, ATTACK_S * 12))
    out[:n] *= 1 - np.exp(since_s[:n] / -ATTACK_S)
    out *= timbre.gain
    return out


def sound_duration_s(timbre_name: str) -> float:
    """Return the seconds after which a blow is silent."""
    return SILENT_AFTER_DECAYS * max(partial.decay_s for partial in TIMBRE[timbre_name].partials)


def mix(events: Iterable[Event], num_samples: int, sample_rate: int) -> NDArray[np.float32]:
    """Return the sound of all events.

    Args:
        events: times, timbres, pitches and levels; in any order.
        num_samples: S.
        sample_rate: in Hz.

    Returns:
        (1, S) float32 in (-1, 1); exactly zero before the first event.
    """
    out = np.zeros(num_samples)
    for event in events:
        start = int(np.ceil(event.time_s * sample_rate))
        if event.end_s is not None:
            stop = min(num_samples, int((event.end_s + SILENT_AFTER_DECAYS * RELEASE_S) * sample_rate))
            since_s = np.maximum(np.arange(start, stop) / sample_rate - event.time_s, 0.0)
            voiced = vowel_sound(event.timbre, event.pitch_hz, since_s, event.end_s - event.time_s)
            out[start : start + len(since_s)] += event.level * voiced
            continue
        stop = min(num_samples, start + int(sound_duration_s(event.timbre) * sample_rate))
        if start < stop:
            since_s = np.arange(start, stop) / sample_rate - event.time_s
            out[start:stop] += event.level * blow(event.timbre, event.pitch_hz, np.maximum(since_s, 0.0))
    return out.astype(np.float32)[None]
