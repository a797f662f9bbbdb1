"""Mel spectrograms as published networks were taught with: one function, whose parameters tell the networks apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import torch

_SLANEY_STEP_HZ: Final = 200.0 / 3.0
_SLANEY_BREAK_HZ: Final = 1000.0
_SLANEY_LOG_STEP: Final = math.log(6.4) / 27.0


class MelScale(StrEnum):
    """How pitch is counted.

    Attributes:
        HTK: 2595 log10(1 + f / 700).
        SLANEY: in steps of 200/3 Hz up to 1000 Hz, logarithmic above, 27 steps for a factor of 6.4.
    """

    HTK = "htk"
    SLANEY = "slaney"


@dataclass(frozen=True)
class MelSettings:
    """What a mel spectrogram is made of.

    Attributes:
        sample_rate: in Hz.
        fft_size: samples of a transform.
        hop: samples between two steps.
        num_bands: triangles of the mel matrix.
        low_hz: lower end of the lowest band.
        high_hz: upper end of the highest band.
        window: samples of the periodic Hann window, which stands in the middle of the transform; None fills it.
        scale: how pitch is counted.
        area_norm: whether each triangle has area 1 (in Hz) rather than height 1.
        centred: whether the first window is centred on the first sample, the sound being mirrored at both ends.
    """

    sample_rate: int
    fft_size: int
    hop: int
    num_bands: int
    low_hz: float
    high_hz: float
    window: int | None = None
    scale: MelScale = MelScale.HTK
    area_norm: bool = False
    centred: bool = True

    def least_samples(self) -> int:
        """Return how many samples a sound must have."""
        return self.fft_size // 2 + 1 if self.centred else self.fft_size


def mel_powers(waveform: torch.Tensor, settings: MelSettings) -> torch.Tensor:
    """Return the power in mel bands over time, without a logarithm.

    Args:
        waveform: (..., S) float32 or float64 at the rate of the settings.
        settings: of the network.

    Returns:
        (..., T, bands) of the same precision; T is 1 + S // hop where windows are centred.

    Raises:
        ValueError: the sound is shorter than a window needs.
    """
    if waveform.shape[-1] < settings.least_samples():
        raise ValueError(f"a sound must have {settings.least_samples()} samples or more, got {waveform.shape[-1]}")
    window = settings.window or settings.fft_size
    spectrum = torch.stft(
        waveform.reshape(-1, waveform.shape[-1]),
        settings.fft_size,
        settings.hop,
        window,
        window=torch.hann_window(window, dtype=waveform.dtype, device=waveform.device),
        center=settings.centred,
        pad_mode="reflect",
        return_complex=True,
    )
    power = spectrum.abs().square().transpose(-1, -2)
    bands = power @ mel_matrix(settings).to(power)
    return bands.reshape(*waveform.shape[:-1], *bands.shape[-2:])


def decibels(powers: torch.Tensor, floor: float = 1e-10) -> torch.Tensor:
    """Return 10 log10 of powers, of which none counts less than `floor`."""
    return 10.0 * powers.clamp(min=floor).log10()


@lru_cache(maxsize=8)
def mel_matrix(settings: MelSettings) -> torch.Tensor:
    """Return what each frequency gives to each band: (fft_size // 2 + 1, bands) float64; do not write to it."""
    frequencies = torch.linspace(0, settings.sample_rate / 2, settings.fft_size // 2 + 1, dtype=torch.float64)
    low, high = (_mel(hz, settings.scale) for hz in (settings.low_hz, settings.high_hz))
    corners = _hertz(torch.linspace(low, high, settings.num_bands + 2, dtype=torch.float64), settings.scale)
    rising = (frequencies[:, None] - corners[None, :-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[None, 2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    triangles = torch.minimum(rising, falling).clamp(min=0)
    if settings.area_norm:
        triangles = triangles * (2.0 / (corners[2:] - corners[:-2]))
    return triangles


def _mel(hertz: float, scale: MelScale) -> float:
    if scale is MelScale.HTK:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)
    if hertz < _SLANEY_BREAK_HZ:
        return hertz / _SLANEY_STEP_HZ
    return _SLANEY_BREAK_HZ / _SLANEY_STEP_HZ + math.log(hertz / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP


def _hertz(mels: torch.Tensor, scale: MelScale) -> torch.Tensor:
    if scale is MelScale.HTK:
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bend = _SLANEY_BREAK_HZ / _SLANEY_STEP_HZ
    curved = _SLANEY_BREAK_HZ * torch.exp(_SLANEY_LOG_STEP * (mels - bend))
    return torch.where(mels < bend, mels * _SLANEY_STEP_HZ, curved)
