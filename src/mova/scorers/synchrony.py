"""Whether things move when they sound: AV-Align, and the correlation of onsets with motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, Trace, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.motion import flow_lengths
from mova.scorers.spectrum import ONSET_HOP, ONSET_RATE, onset_strength, onset_times_s

LEAST_MOTION_PX: Final = 0.1
_SMOOTH_FRAMES: Final = 1.0


class SynchronyScorer:
    """Synchrony of a clip with audio, from every frame.

    AV-Align has quirks that are kept: onsets are matched to peaks of motion in the order of the audio, not in the best
    way; a peak counts from 0.1 pixels and a match within one frame, so that values compare only at the same size and
    frame rate; a clip in which nothing happens gets 0.

    Args:
        short_side: pixels of the shorter side at which motion is measured; None takes the clip's own size, as the
            published evaluation does, at seven times the cost of 256 for 720 lines.
    """

    name = "synchrony"
    measures = (
        Measure(
            "av_align",
            "",
            Direction.HIGHER,
            "AV-Align: onsets of sound and peaks of motion that fall within one frame, over all of both.",
        ),
        Measure("av_align_first", "", Direction.HIGHER, "AV-Align of the first quarter of the clip."),
        Measure(
            "av_align_last", "", Direction.HIGHER, "AV-Align of the last quarter: synchrony that is lost on the way."
        ),
        Measure(
            "onset_motion_correlation",
            "",
            Direction.HIGHER,
            "Correlation of the strength of onsets with motion over time, both smoothed by one frame.",
        ),
        Measure(
            "onset_motion_first",
            "",
            Direction.HIGHER,
            "Correlation of onsets with motion in the first quarter of the clip.",
        ),
        Measure("onset_motion_last", "", Direction.HIGHER, "Correlation of onsets with motion in the last quarter."),
    )
    needs = Needs(frames=True, audio=True, packages=("cv2", "librosa"))

    def __init__(self, short_side: int | None = None) -> None:
        self._short_side = short_side

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the synchrony of each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        motion = flow_lengths(clip.frames(short_side=self._short_side, hold=False))
        strength = onset_strength(clip.waveform(ONSET_RATE))
        peaks_s = motion_peaks_s(motion, clip.frame_rate)
        onsets_s = onset_times_s(strength)
        first, last = (_of_quarter(onsets_s, peaks_s, clip, quarter) for quarter in (0, 3))
        onsets = onsets_by_frame(strength, len(motion), clip.frame_rate)
        ends = _ends(len(motion))
        return Findings(
            {
                "av_align": Score.of(av_align(onsets_s, peaks_s, clip.frame_rate)),
                "av_align_first": first,
                "av_align_last": last,
                "onset_motion_correlation": correlation(onsets, motion),
                "onset_motion_first": correlation(onsets[: ends[0]], motion[: ends[0]]),
                "onset_motion_last": correlation(onsets[ends[1] :], motion[ends[1] :]),
            },
            traces=(
                Trace("onset strength", ONSET_HOP / ONSET_RATE, np.asarray(strength, np.float32), _moments(onsets_s)),
                Trace("motion (px)", 1.0 / clip.frame_rate, np.asarray(motion, np.float32), _moments(peaks_s)),
            ),
        )


def _moments(times_s: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(time), 4) for time in times_s)


def _ends(num_frames: int) -> tuple[int, int]:
    """Return where the first quarter ends and the last begins, in frames; a clip of one frame is in both."""
    first = max(1, round(num_frames / 4))
    return first, num_frames - first


def _of_quarter(onsets_s: np.ndarray, peaks_s: np.ndarray, clip: ClipMedia, quarter: int) -> Score:
    """Return AV-Align of a quarter of a clip; both sides lose what lies outside of it."""
    start, end = (clip.duration_s * part / 4 for part in (quarter, quarter + 1))
    own = [times[(times >= start) & (times < end)] for times in (onsets_s, peaks_s)]
    if not any(len(times) for times in own):
        return Score.absent(Absence.NOT_APPLICABLE, "nothing sets in or moves in that quarter")
    return Score.of(av_align(own[0], own[1], clip.frame_rate))


def motion_peaks_s(motion: np.ndarray, frame_rate: float) -> np.ndarray:
    """Return the times of strict local maxima of 0.1 pixels or more.

    Args:
        motion: (F,) of `flow_lengths`.
        frame_rate: frames per second.
    """
    inner = motion[1:-1]
    is_peak = (inner > motion[:-2]) & (inner > motion[2:]) & (inner >= LEAST_MOTION_PX)
    return (np.flatnonzero(is_peak) + 1) / frame_rate


def av_align(onsets_s: Sequence[float] | np.ndarray, peaks_s: Sequence[float] | np.ndarray, frame_rate: float) -> float:
    """Return matches over the union of onsets and peaks, in [0, 1]; 0 where there are neither.

    Each onset in turn takes the first peak that is not taken and less than one frame away.

    Args:
        onsets_s: times at which sounds set in.
        peaks_s: times of most motion.
        frame_rate: frames per second.
    """
    free = list(peaks_s)
    matches = 0
    for onset in onsets_s:
        near = next((peak for peak in free if abs(onset - peak) < 1.0 / frame_rate), None)
        if near is not None:
            free.remove(near)
            matches += 1
    union = len(onsets_s) + len(peaks_s) - matches
    return matches / union if union else 0.0


def onset_motion_correlation(strength: np.ndarray, motion: np.ndarray, frame_rate: float) -> Score:
    """Return Pearson's correlation of onsets and motion, frame by frame.

    Args:
        strength: (T,) of `onset_strength`.
        motion: (F,) of `flow_lengths`.
        frame_rate: frames per second.
    """
    return correlation(onsets_by_frame(strength, len(motion), frame_rate), motion)


def onsets_by_frame(strength: np.ndarray, num_frames: int, frame_rate: float) -> np.ndarray:
    """Return the strongest onset of each frame, (num_frames,).

    An onset between two frames counts in the later one: that is the first that can show its cause, and motion counts in
    the frame that it leads into.

    Args:
        strength: (T,) of `onset_strength`.
        num_frames: of the video.
        frame_rate: frames per second.
    """
    # A rise from one spectrum to the next begins after the earlier one.
    times = (np.arange(len(strength)) - 1) * ONSET_HOP / ONSET_RATE
    frame = np.clip(np.ceil(times * frame_rate).astype(int), 0, num_frames - 1)
    onsets = np.zeros(num_frames)
    np.maximum.at(onsets, frame, strength)
    return onsets


def correlation(onsets: np.ndarray, motion: np.ndarray) -> Score:
    """Return Pearson's correlation of two series (F,), both smoothed by one frame; a reason where one is constant."""
    pair = [_smooth(np.asarray(series, dtype=np.float64)) for series in (onsets, motion)]
    spread = [float(series.std()) for series in pair]
    for series, deviation, name in zip((onsets, motion), spread, ("sound", "video"), strict=True):
        # What resampling and decoding leave of a constant is no change.
        if deviation <= 1e-6 * max(1.0, float(np.abs(series).max())):
            return Score.absent(Absence.NOT_APPLICABLE, f"the {name} does not change")
    (one, other), (first, second) = pair, spread
    return Score.of(float(np.mean((one - one.mean()) * (other - other.mean()))) / (first * second))


def _smooth(series: np.ndarray) -> np.ndarray:
    reach = np.arange(-3, 4)
    weights = np.exp(-0.5 * (reach / _SMOOTH_FRAMES) ** 2)
    padded = np.pad(series, 3, mode="edge")
    return np.convolve(padded, weights / weights.sum(), mode="valid")
