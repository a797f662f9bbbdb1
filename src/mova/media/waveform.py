"""Audio in memory: resampling, downmix and measurements. Waveforms are (channels, S) float32 in [-1, 1]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import soxr

from mova.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HALF_POWER = math.sqrt(0.5)
# ITU-R BS.775-4, annex 4: what each loudspeaker gives to left and right. The low-frequency channel is left out.
_TO_STEREO = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_HALF_POWER, _HALF_POWER),
    "BC": (0.5, 0.5),
    "SL": (_HALF_POWER, 0.0),
    "SR": (0.0, _HALF_POWER),
    "BL": (_HALF_POWER, 0.0),
    "BR": (0.0, _HALF_POWER),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
# Loudness of blocks (ITU-R BS.1770-5): 400 ms long, every 100 ms.
_BLOCK_S, _HOP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU, _OFFSET_LUFS = -70.0, -10.0, -0.691


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Change the sample rate of (channels, S) without shifting it in time.

    Returns:
        (channels, about S * target_rate / source_rate) float32.

    Raises:
        ConfigError: a rate that is not positive.
    """
    if min(source_rate, target_rate) < 1:
        raise ConfigError(f"sample rates must be positive, got {source_rate} and {target_rate} Hz")
    if source_rate == target_rate:
        return np.ascontiguousarray(waveform, dtype=np.float32)
    moved = soxr.resample(np.ascontiguousarray(waveform.T, dtype=np.float32), source_rate, target_rate, quality="VHQ")
    return np.ascontiguousarray(moved.T)


def downmix(waveform: np.ndarray, speakers: Sequence[str], *, mono: bool = True) -> np.ndarray:
    """Fold any loudspeaker layout to mono, or to at most stereo.

    Weights are those of ITU-R BS.775, divided by their sum so that full-scale channels never exceed full scale. One and
    two channels are kept as they are when `mono` is false.

    Args:
        waveform: (channels, S).
        speakers: the name of each channel as FFmpeg writes it ("FL", "FC", "LFE", ...).
        mono: fold to one channel.

    Returns:
        (1, S), or (1 or 2, S) when `mono` is false; float32.

    Raises:
        ConfigError: more than two channels of which one has an unknown place.
    """
    channels = len(waveform)
    if channels == 1 or (channels == 2 and not mono):
        return np.ascontiguousarray(waveform, dtype=np.float32)
    if channels == 2:
        return np.asarray(waveform.mean(axis=0, keepdims=True, dtype=np.float32))
    unknown = [name for name in speakers if name not in _TO_STEREO]
    if unknown or len(speakers) != channels:
        raise ConfigError(f"each of {channels} channels must have a known loudspeaker, got {list(speakers)}")
    weights = np.array([_TO_STEREO[name] for name in speakers], dtype=np.float32).T  # (2, channels)
    stereo = (weights / weights.sum(axis=1).max()) @ waveform.astype(np.float32)
    return np.asarray(stereo.mean(axis=0, keepdims=True)) if mono else stereo


def peak(waveform: np.ndarray) -> float:
    """Return the largest absolute value, 0 for no samples."""
    return float(np.abs(waveform).max(initial=0.0))


def loudness_lufs(waveform: np.ndarray, sample_rate: int) -> float:
    """Measure integrated loudness as ITU-R BS.1770 defines it for mono and stereo.

    Args:
        waveform: (1 or 2, S), at least 0.4 s long; shorter audio is measured as one block.
        sample_rate: in Hz.

    Returns:
        LUFS; minus infinity where nothing is above the absolute gate of -70 LUFS.

    Raises:
        ConfigError: more than two channels.
    """
    if len(waveform) > 2:
        raise ConfigError(f"loudness is defined here for 1 or 2 channels, got {len(waveform)}; mix down first")
    if not waveform.size:
        return -math.inf
    power = (_k_weighted(waveform, sample_rate) ** 2).sum(axis=0)
    length = min(round(_BLOCK_S * sample_rate), len(power))
    total = np.concatenate(([0.0], np.cumsum(power)))
    starts = np.arange(0, len(power) - length + 1, max(1, round(_HOP_S * sample_rate)))
    blocks = np.maximum(total[starts + length] - total[starts], 0.0) / length
    loud = blocks[_to_lufs(blocks) > _ABSOLUTE_GATE_LUFS]
    if not loud.size:
        return -math.inf
    gated = loud[_to_lufs(loud) > float(_to_lufs(loud.mean())) + _RELATIVE_GATE_LU]
    return float(_to_lufs(gated.mean()))


def _to_lufs(power: np.ndarray | np.floating) -> np.ndarray:
    return _OFFSET_LUFS + 10.0 * np.log10(np.maximum(power, 1e-30))


def _k_weighted(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Filter with the two second-order sections of BS.1770, in the frequency domain: numpy has no recursive filter."""
    samples = waveform.shape[1]
    padded = 1 << (samples + sample_rate // 2 - 1).bit_length()  # room for the filter's decay, against wrap-around
    spectrum = np.fft.rfft(waveform.astype(np.float64), padded)
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(padded))
    for b, a in (_high_shelf(sample_rate), _high_pass(sample_rate)):
        spectrum *= np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    return np.fft.irfft(spectrum, padded)[:, :samples]


def _high_shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    """Section 1 for any rate: the analogue prototype behind the 48 kHz coefficients of the standard."""
    gain, quality = 10.0 ** (3.999843853973347 / 20.0), 0.7071752369554196
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    band = gain**0.4996667741545416
    norm = 1.0 + k / quality + k * k
    b = [gain + band * k / quality + k * k, 2.0 * (k * k - gain), gain - band * k / quality + k * k]
    return [value / norm for value in b], [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm]


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    """Section 2, likewise."""
    k, quality = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    norm = 1.0 + k / quality + k * k
    return [1.0, -2.0, 1.0], [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm]
