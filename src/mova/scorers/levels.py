"""How loud a clip is: silence, amplitude, loudness after BS.1770, clipping, DC offset, the phase between channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, Span, score_each
from mova.scorers.clip_media import ClipMedia

SAMPLE_RATE: Final = 48_000
SILENT_DB: Final = -50.0
"""Level in dB below full scale under which a block counts as silent: the noise of a quiet room lies below."""
BLOCK_S: Final = 0.02
SHORTEST_SILENCE_S: Final = 0.3
FULL_SCALE: Final = 0.999
CLIPPED_RUN: Final = 3
"""So many samples in a row at full scale are clipped; the peak of a tone that is not stays below."""
SHORTEST_LOUDNESS_S: Final = 0.4


class LevelScorer:
    """Silence, amplitude, loudness, clipping, DC offset and phase, on the audio at 48 kHz with its channels as stored.

    Args:
        is_mono: takes the loudness of the mean of the channels, as the reference evaluation does: up to 3 LU less, and
            of sounds of opposite phase nothing is left.
    """

    name = "levels"
    measures = (
        Measure(
            "silence_share",
            "",
            Direction.LOWER,
            "Share of the time in which the sound stays below -50 dB of full scale (blocks of 20 ms, all channels).",
        ),
        Measure(
            "amplitude",
            "",
            Direction.NEITHER,
            "Root of the mean square of the mean of the channels, 0 to 1 at full scale.",
        ),
        Measure("loudness_lufs", "LUFS", Direction.NEITHER, "Integrated loudness after ITU-R BS.1770-4."),
        Measure(
            "clipping_share",
            "",
            Direction.LOWER,
            "Share of the samples that stand at full scale, three or more in a row.",
        ),
        Measure(
            "dc_offset", "", Direction.LOWER, "Mean of the waveform, of the channel in which it is furthest from 0."
        ),
        Measure(
            "phase_correlation",
            "",
            Direction.HIGHER,
            "Correlation of left and right: 1 for the same sound in both, -1 for sound that vanishes in mono.",
        ),
    )
    needs = Needs(audio=True, packages=("pyloudnorm",))

    def __init__(self, *, is_mono: bool = False) -> None:
        self._is_mono = is_mono

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the levels of each clip, and its spans of silence."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        sound = clip.channels(SAMPLE_RATE)
        silent = silent_blocks(sound, SAMPLE_RATE)
        scores = {
            "silence_share": Score.of(float(silent.mean())),
            "amplitude": Score.of(amplitude(sound)),
            "loudness_lufs": loudness(sound.mean(axis=0, keepdims=True) if self._is_mono else sound, SAMPLE_RATE),
            "clipping_share": Score.of(clipping_share(sound)),
            "dc_offset": Score.of(float(np.abs(sound.mean(axis=1, dtype=np.float64)).max())),
            "phase_correlation": phase_correlation(sound),
        }
        found = runs(silent, BLOCK_S, SHORTEST_SILENCE_S)
        return Findings(scores, spans={"silence": found} if found else {})


def silent_blocks(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return for each block of 20 ms whether all channels are silent.

    Args:
        sound: (channels, S) in [-1, 1], at least one sample; the last block may be shorter.
        sample_rate: in Hz.

    Returns:
        (blocks,) bool.
    """
    length = max(1, round(BLOCK_S * sample_rate))
    starts = np.arange(0, sound.shape[1], length)
    counts = np.diff([*starts, sound.shape[1]])
    power = np.add.reduceat(np.square(sound, dtype=np.float64), starts, axis=1) / counts
    return np.asarray(power.max(axis=0) < 10 ** (SILENT_DB / 10))


def runs(flags: np.ndarray, step_s: float, shortest_s: float) -> tuple[Span, ...]:
    """Return the times during which flags are set.

    Args:
        flags: (N,) bool, one for each step.
        step_s: seconds of a step.
        shortest_s: seconds under which a run is left out.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    pairs = edges.reshape(-1, 2) * step_s
    return tuple((float(start), float(end)) for start, end in pairs if end - start >= shortest_s)


def amplitude(sound: np.ndarray) -> float:
    """Return the root of the mean square of the mean of the channels; (channels, S) in [-1, 1]."""
    return float(np.sqrt(np.square(sound.mean(axis=0, dtype=np.float64)).mean()))


def loudness(sound: np.ndarray, sample_rate: int) -> Score:
    """Return the integrated loudness in LUFS: gates at -70 LUFS and 10 LU below the mean, blocks of 0.4 s.

    Args:
        sound: (channels, S) in [-1, 1].
        sample_rate: in Hz.
    """
    import pyloudnorm

    if sound.shape[1] < SHORTEST_LOUDNESS_S * sample_rate:
        return Score.absent(Absence.NOT_APPLICABLE, "loudness needs at least 0.4 s of sound")
    # Of nothing but zeros the package takes the logarithm, with a warning.
    value = pyloudnorm.Meter(sample_rate).integrated_loudness(sound.T.astype(np.float64)) if sound.any() else -np.inf
    if value == -np.inf:
        return Score.absent(Absence.NOT_APPLICABLE, "all of the sound is below the gate of -70 LUFS")
    return Score.of(float(value))


def clipping_share(sound: np.ndarray) -> float:
    """Return the share of samples in runs of three or more at full scale; (channels, S) in [-1, 1]."""
    at_top = np.abs(sound) >= FULL_SCALE
    clipped = 0
    for channel in at_top:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], channel, [False]]).astype(np.int8)))
        lengths = edges[1::2] - edges[::2]
        clipped += int(lengths[lengths >= CLIPPED_RUN].sum())
    return clipped / sound.size


def phase_correlation(sound: np.ndarray) -> Score:
    """Return the correlation of two channels around zero; (channels, S)."""
    if len(sound) < 2:
        return Score.absent(Absence.NOT_APPLICABLE, "the sound has one channel")
    left, right = sound.astype(np.float64)
    power = float(np.sqrt((left @ left) * (right @ right)))
    if power == 0.0:
        return Score.absent(Absence.NOT_APPLICABLE, "a channel is silent")
    return Score.of(float(left @ right) / power)
