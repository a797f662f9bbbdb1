"""What CLAP hears of a sound: its level raised, rounded to 16 bits, repeated to 10 s, four log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from mova.scorers.front_ends.log_mel import MelSettings, decibels, mel_powers

SAMPLE_RATE: Final = 48_000
MOST_SAMPLES: Final = 480_000
"""10 s: what is longer is looked at in four ways."""
CLAP_MEL: Final = MelSettings(SAMPLE_RATE, 1024, 480, 64, 50.0, 14_000.0)
_PEAK: Final = 10 ** (-1.0 / 20.0)
_STEPS: Final = 32767.0


def normalised(sound: np.ndarray) -> np.ndarray:
    """Return a sound (S,) float32 with its peak at -1 dB and rounded towards 0 to 16 bits, as CLAP is given it.

    Args:
        sound: (S,) in any range.

    Raises:
        ValueError: it is silent or empty: nothing can be raised to a level.
    """
    peak = float(np.abs(sound).max(initial=0.0))
    if not peak > 0.0:
        raise ValueError("a sound must have a sample that is not zero")
    raised = sound * (_PEAK / peak)
    return ((raised * _STEPS).astype(np.int16) / _STEPS).astype(np.float32)


def repeated(sound: np.ndarray) -> np.ndarray:
    """Return a sound (S,) of up to 10 s as often as it fits into 10 s, and silence behind it: (480000,)."""
    tiled = np.tile(sound, MOST_SAMPLES // len(sound))
    return np.pad(tiled, (0, MOST_SAMPLES - len(tiled)))


def clap_mels(sounds: Sequence[np.ndarray]) -> torch.Tensor:
    """Return four times the spectrogram of each sound: (B, 4, 1001, 64) in decibels.

    Args:
        sounds: of `normalised`, each of 1 to 480,000 samples at 48 kHz.
    """
    filled = torch.from_numpy(np.stack([repeated(sound) for sound in sounds]))
    return decibels(mel_powers(filled, CLAP_MEL))[:, None].repeat(1, 4, 1, 1)


def fused_mels(sound: np.ndarray, starts: tuple[int, int, int] | None = None) -> torch.Tensor:
    """Return what the network fuses of a longer sound: (1, 4, 1001, 64) in decibels.

    The first spectrogram is that of all the sound, shrunk to 10 s; the others are 10 s of its beginning, middle and
    end. Where each of them lies within its third was drawn at random in training and in the original evaluation: here
    it is the middle, so that a clip has one score.

    Args:
        sound: (S,) of `normalised` with more than 480,000 samples at 48 kHz.
        starts: steps at which the three begin; None takes the middle of each third.
    """
    whole = decibels(mel_powers(torch.from_numpy(sound), CLAP_MEL))
    steps = MOST_SAMPLES // CLAP_MEL.hop + 1
    thirds = np.array_split(np.arange(max(1, len(whole) - steps + 1)), 3)
    chosen = starts or tuple(int(third[len(third) // 2]) if len(third) else 0 for third in thirds)
    shrunk = torch.nn.functional.interpolate(
        whole[None, None], (steps, CLAP_MEL.num_bands), mode="bilinear", align_corners=False
    )[0, 0]
    padded = torch.nn.functional.pad(whole, (0, 0, 0, max(0, steps - len(whole))))
    return torch.stack([shrunk, *(padded[start : start + steps] for start in chosen)])[None]
