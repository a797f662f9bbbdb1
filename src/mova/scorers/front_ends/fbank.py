"""Filter banks as Kaldi counts them, for ImageBind: clips of two seconds out of a sound, and their log-mels."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch

from mova.scorers.front_ends.clip_starts import CLIP_S, SAMPLE_RATE, Spacing, clip_starts

NUM_BANDS: Final = 128
NUM_STEPS: Final = 204

_WINDOW: Final = 400
_HOP: Final = 160
_FFT: Final = 512
_LOW_HZ: Final = 20.0
_PRE_EMPHASIS: Final = 0.97
_LEAST: Final = float(np.finfo(np.float32).eps)
_MEAN, _DEVIATION = -4.268, 9.138


def imagebind_mels(channels: np.ndarray, spacing: Spacing = Spacing.THIRDS) -> torch.Tensor:
    """Return what ImageBind hears: (3, 128, 204) float32, normalised.

    The mean over all channels is removed from each clip, and only the first channel is then listened to.

    Args:
        channels: (channels, S) in [-1, 1] at 16 kHz, two seconds or more.
        spacing: of the three clips.

    Raises:
        ConfigError: the sound is shorter than two seconds.
    """
    starts = clip_starts(channels.shape[1], spacing)
    clips = [channels[:, start : start + CLIP_S * SAMPLE_RATE].astype(np.float64) for start in starts]
    return torch.stack([_imagebind_mel(clip) for clip in clips])


def _imagebind_mel(clip: np.ndarray) -> torch.Tensor:
    bands = kaldi_fbank(clip[0] - clip.mean())[:NUM_STEPS]
    filled = torch.nn.functional.pad(bands, (0, 0, 0, NUM_STEPS - len(bands)))
    return ((filled.T - _MEAN) / _DEVIATION).float()


def kaldi_fbank(sound: np.ndarray) -> torch.Tensor:
    """Return natural logarithms of the power in 128 mel bands of 20 to 8000 Hz: (T, 128) float64, a step each 10 ms.

    Windows of 25 ms lie inside the sound; each loses its mean, is emphasised and shaped by a symmetric Hann window.

    Args:
        sound: (S,) float64 at 16 kHz, a window or more.
    """
    frames = torch.from_numpy(np.asarray(sound, np.float64).copy()).unfold(0, _WINDOW, _HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    shaped = (frames - _PRE_EMPHASIS * before) * torch.hann_window(_WINDOW, periodic=False, dtype=torch.float64)
    power = torch.fft.rfft(shaped, _FFT).abs().square()
    bands: torch.Tensor = power @ _triangles()
    return bands.clamp(min=_LEAST).log()


@lru_cache(maxsize=1)
def _triangles() -> torch.Tensor:
    """Return what each frequency gives to each band, (257, 128) float64: triangles over pitch, not over frequency."""
    low, high = (_mel(torch.tensor(hz, dtype=torch.float64)) for hz in (_LOW_HZ, SAMPLE_RATE / 2))
    corners = low + (high - low) * torch.arange(NUM_BANDS + 2, dtype=torch.float64) / (NUM_BANDS + 1)
    pitch = _mel(torch.arange(_FFT // 2 + 1, dtype=torch.float64) * SAMPLE_RATE / _FFT)
    rising = (pitch[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - pitch[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    return 1127.0 * torch.log1p(hertz / 700.0)
