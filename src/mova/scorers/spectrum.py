"""What of the spectrum a clip's audio fills, and when sounds set in: two bandwidths, and onsets for synchrony."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import lru_cache
from types import ModuleType
from typing import Final

import numpy as np

from mova.errors import ConfigError
from mova.files.lock import lock_folder
from mova.files.unfinished import temporary_folder
from mova.files.user_folders import user_cache_folder
from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia

SAMPLE_RATE: Final = 48_000
ONSET_RATE: Final = 44_100
ONSET_HOP: Final = 512
_WINDOW: Final = 512
_RANGE_DB: Final = 50.0

_COMPILES_ON_IMPORT: Final = ("librosa.feature", "librosa.filters", "librosa.onset")
# Compiling takes ten seconds of a core that is free.
_COMPILING_S: Final = 600.0


@lru_cache(maxsize=1)
def import_librosa() -> ModuleType:
    """Return librosa, whose functions one process at a time compiles, into the user's cache folder.

    numba compiles them on import and keeps them for later processes. Where two processes do so at the same time, it may
    keep halves that do not fit together, and every process that loads them crashes (numba issue 10128). Whatever uses
    librosa calls this first. `NUMBA_CACHE_DIR` is respected. Where no folder can be written and locked, this process
    compiles the functions for itself alone.
    """
    import numba

    former = numba.config.CACHE_DIR
    with ExitStack() as stack:
        compiled = user_cache_folder() / "numba"
        try:
            stack.enter_context(lock_folder(compiled, "folder of compiled functions", wait_s=_COMPILING_S))
        except ConfigError:
            compiled = stack.enter_context(temporary_folder("mova-numba-"))
        numba.config.CACHE_DIR = former or str(compiled)
        try:
            for name in _COMPILES_ON_IMPORT:
                importlib.import_module(name)
        finally:
            numba.config.CACHE_DIR = former
    return importlib.import_module("librosa")


class SpectrumScorer:
    """Two numbers that are both called bandwidth and answer different questions."""

    name = "spectrum"
    measures = (
        Measure(
            "bandwidth_hz",
            "Hz",
            Direction.HIGHER,
            "Highest frequency within 50 dB of the strongest one of the mean spectrum: low where sound was upsampled.",
        ),
        Measure(
            "spectral_bandwidth_hz",
            "Hz",
            Direction.HIGHER,
            "How widely the spectrum spreads around its centre, mean over time (librosa's spectral bandwidth).",
        ),
    )
    needs = Needs(audio=True, packages=("librosa",))

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return both bandwidths of each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        sound = clip.waveform(SAMPLE_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        return Findings(
            {
                "bandwidth_hz": Score.of(bandwidth_hz(sound, SAMPLE_RATE)),
                "spectral_bandwidth_hz": Score.of(spectral_bandwidth_hz(sound, SAMPLE_RATE)),
            }
        )


def bandwidth_hz(sound: np.ndarray, sample_rate: int) -> float:
    """Return the highest bin within 50 dB of the peak of the mean power spectrum (windows of 512, steps of 10 ms).

    Args:
        sound: (S,) with a sample that is not zero.
        sample_rate: in Hz; the result is a multiple of a 512th of it.
    """
    padded = np.pad(sound, (0, max(0, _WINDOW - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:: sample_rate // 100]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))).mean(axis=0)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_RANGE_DB / 10))
    return float(loud[-1] * sample_rate / _WINDOW)


def spectral_bandwidth_hz(sound: np.ndarray, sample_rate: int) -> float:
    """Return the mean of librosa's spectral bandwidth over all windows; (S,), rate in Hz."""
    librosa = import_librosa()
    return float(librosa.feature.spectral_bandwidth(y=sound, sr=sample_rate).mean())


def onset_strength(sound: np.ndarray) -> np.ndarray:
    """Return how strongly something sets in: (T,), a value for each 512 samples of (S,) at 44.1 kHz."""
    strength = import_librosa().onset.onset_strength
    return np.asarray(strength(y=sound, sr=ONSET_RATE, hop_length=ONSET_HOP))


def onset_times_s(strength: np.ndarray) -> np.ndarray:
    """Return when sounds set in, in seconds, as librosa picks peaks by default: within 30 ms, 0.07 above the mean.

    Args:
        strength: of `onset_strength`.
    """
    frames = import_librosa().onset.onset_detect(
        onset_envelope=strength, sr=ONSET_RATE, hop_length=ONSET_HOP, units="time"
    )
    return np.asarray(frames, dtype=np.float64)


def yamnet_bands(sound: np.ndarray) -> np.ndarray:
    """Return what YAMNet hears of (S,) at 16 kHz: (T, 64) logarithms of mel bands of 125 to 7500 Hz, each 10 ms."""
    mel = import_librosa().filters.mel
    window, step, size = 400, 160, 512
    padded = np.pad(sound, (0, max(0, window - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::step]
    periodic = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    magnitude = np.abs(np.fft.rfft(frames * periodic, size, axis=1))
    weights = mel(sr=16_000, n_fft=size, n_mels=64, fmin=125.0, fmax=7500.0, htk=True, norm=None)
    return np.asarray(np.log(magnitude @ weights.T + 0.001))


def voice_bands(sound: np.ndarray) -> np.ndarray:
    """Return what the GE2E encoder hears of (S,) at 16 kHz: (T, 40) float32 powers of mel bands, each 10 ms."""
    bands = import_librosa().feature.melspectrogram(y=sound, sr=16_000, n_fft=400, hop_length=160, n_mels=40)
    return np.asarray(bands.T, dtype=np.float32)
