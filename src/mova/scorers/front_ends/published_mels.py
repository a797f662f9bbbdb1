"""Log-mels as Cnn14 and Synchformer were taught with, in double precision and rounded once."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from mova.errors import ConfigError
from mova.scorers.front_ends.log_mel import MelScale, MelSettings, decibels, mel_powers

CNN14_RATE: Final = 32_000
CNN14_S: Final = 10
SYNCHFORMER_RATE: Final = 16_000
SEGMENT_SAMPLES: Final = 10_240
SEGMENT_STEP: Final = 5_120

_CNN14: Final = MelSettings(CNN14_RATE, 1024, 320, 64, 50, 14_000, scale=MelScale.SLANEY, area_norm=True)
_SYNCHFORMER: Final = MelSettings(SYNCHFORMER_RATE, 1024, 160, 128, 0, 8000, window=400)
_MEAN: Final = -4.2677393
_TWICE_DEVIATION: Final = 2 * 4.5689974


def cnn14_mel(sound: np.ndarray) -> torch.Tensor:
    """Return what Cnn14 hears: (1001, 64) float32 decibels of mel bands, a step each 10 ms.

    Args:
        sound: (S,) in [-1, 1] at 32 kHz; what is longer than ten seconds is cut, what is shorter filled with silence.
    """
    length = CNN14_RATE * CNN14_S
    filled = np.zeros(length, np.float64)
    filled[: min(length, len(sound))] = sound[:length]
    return decibels(mel_powers(torch.from_numpy(filled), _CNN14)).float()


def num_segments(length: int, size: int, step: int) -> int:
    """Return how many whole segments of `size` fit into a length, one each `step`; 0 where none does."""
    return max(0, (length - size) // step + 1)


def synchformer_mels(sound: np.ndarray) -> torch.Tensor:
    """Return what Synchformer hears: (segments, 66, 128) float32, normalised, for segments of 0.64 s, 0.32 s apart.

    Each segment is mirrored at its ends. Behind its 65 steps stands one of zeros, put there between the logarithm and
    the normalisation, so that it is not silence.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.

    Raises:
        ConfigError: the sound is shorter than a segment.
    """
    if len(sound) < SEGMENT_SAMPLES:
        raise ConfigError(
            f"a sound for Synchformer must have {SEGMENT_SAMPLES} samples or more, got {len(sound)}; "
            f"nearest is {SEGMENT_SAMPLES}"
        )
    whole = torch.from_numpy(np.asarray(sound, np.float64).copy())
    logarithms = (mel_powers(whole.unfold(0, SEGMENT_SAMPLES, SEGMENT_STEP), _SYNCHFORMER) + 1e-6).log()
    filled = torch.nn.functional.pad(logarithms, (0, 0, 0, 1))
    return ((filled - _MEAN) / _TWICE_DEVIATION).float()
