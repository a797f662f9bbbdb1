"""Windows over a clip that is longer than what a model makes at once: where each begins, and what of it is known.

A model knows one length. A longer clip is covered by windows of that length on one time line for both modalities. They
begin on latent frames of the video, and where the rates allow it only on those that fall on an audio latent as well (at
24 frames and 50 audio latents per second every third one, which is half a second). The last window begins early enough
to end with the clip, so all are of one length.

The first latent frame of a window stands for one pixel frame, as the autoencoder and the model have it: the last one of
the clip's latent frame at that place. Those after it are latent frames of the clip itself. So a clip is one row of
latent frames that is decoded without a seam, whatever windows made them. No torch here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

from mova.checks import check_choice
from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry

WindowMethod = Literal["continue", "joint"]
METHODS: Final[tuple[WindowMethod, ...]] = ("continue", "joint")
AUDIO_MARGIN: Final = 2
"""Audio latents at the end of a window that the next one makes anew: the autoencoder saw silence behind them."""
_MOST_WINDOWS: Final = 20_000


@dataclass(frozen=True)
class Window:
    """One window. Latent frames and audio latents are counted from the beginning of the clip; ends are not included.

    Attributes:
        index: of the window.
        start, stop: latent frames that it spans; `start` itself is of the clip only in the first window.
        known: latent frames at its beginning that are there before it is made.
        audio_start, audio_stop: audio latents that it spans.
        known_audio: audio latents at its beginning that are there before.
        kept, audio_kept: where what is kept of it ends: the end of the clip, or of the audio that the next one holds.
    """

    index: int
    start: int
    stop: int
    known: int
    audio_start: int
    audio_stop: int
    known_audio: int
    kept: int
    audio_kept: int

    @property
    def new(self) -> tuple[int, int]:
        """Latent frames of the clip that it makes."""
        return self.start + self.known, self.kept

    @property
    def new_audio(self) -> tuple[int, int]:
        """Audio latents of the clip that it makes."""
        return self.audio_start + self.known_audio, self.audio_kept


@dataclass(frozen=True)
class WindowPlan:
    """A clip in windows.

    Attributes:
        clip: geometry of the whole.
        window: geometry of each window; that of the clip where one is enough.
        overlap: pixel frames that a window takes over from the one before; the last one may take more.
        windows: in their order.
    """

    clip: ClipGeometry
    window: ClipGeometry
    overlap: int
    windows: tuple[Window, ...]

    @property
    def overlap_s(self) -> float:
        """Seconds that a window takes over."""
        return self.overlap / self.clip.frame_rate

    def begin_s(self, window: Window) -> float:
        """Return when what a window makes begins, in seconds: the first frame that is new."""
        first = window.new[0]
        return (self.clip.codec.temporal_stride * (first - 1) + 1) / self.clip.frame_rate if first else 0.0

    def end_s(self, window: Window) -> float:
        """Return when what a window makes ends, in seconds."""
        return self.frames_until(window.kept) / self.clip.frame_rate

    def frames_until(self, latent_frames: int) -> int:
        """Return how many pixel frames so many latent frames of the clip are."""
        return self.clip.codec.temporal_stride * (latent_frames - 1) + 1 if latent_frames else 0


def check_method(name: str) -> WindowMethod:
    """Return one of `METHODS`.

    Raises:
        ConfigError: another name.
    """
    check_choice("windows", name, METHODS)
    return next(method for method in METHODS if method == name)


def plan_windows(
    clip: ClipGeometry,
    window: ClipGeometry,
    *,
    overlap_s: float | None = None,
    known_frames: int = 0,
    method: WindowMethod = "continue",
) -> WindowPlan:
    """Cover a clip with windows.

    Args:
        clip: the whole, of which `known_frames` at its beginning are there already.
        window: what the model makes at once; of the same size and rate.
        overlap_s: seconds that a window takes over from the one before; None is a quarter of a window. Taken to the
            nearest latent frame on which windows can begin.
        known_frames: 0, or 1 plus a multiple of the temporal stride, and fewer than a window has.
        method: "joint" needs windows that overlap by a latent frame at least.

    Raises:
        ConfigError, GeometryError: what cannot be used: rule, value and nearest valid one.
    """
    if replace(clip, num_frames=window.num_frames) != window:
        raise GeometryError("clip and window must have the same size, rate and autoencoders")
    check_method(method)
    total, stride = clip.num_latent_frames, clip.codec.temporal_stride
    if total <= window.num_latent_frames:
        window = clip
    length = window.num_latent_frames
    known = 0 if not known_frames else (known_frames - 1) // stride + 1
    if known_frames and ((known_frames - 1) % stride or known_frames >= window.num_frames):
        most = window.num_frames - stride
        nearest = min(max(1, (known_frames - 1) // stride * stride + 1), most)
        raise GeometryError(
            f"known frames must be 1 plus a multiple of {stride} and at most {most}, got {known_frames}; nearest is "
            f"{nearest}"
        )
    grid = _grid(clip, length)
    taken = _overlap(window, grid, overlap_s, least=1 if method == "joint" else 0) if total > length else 0
    starts = _starts(total, length, length - 1 - taken, grid)
    if len(starts) > _MOST_WINDOWS:
        raise ConfigError(f"a clip must have at most {_MOST_WINDOWS} windows, got {len(starts)}; overlap less")
    return WindowPlan(clip, window, 1 + stride * taken, _windows(clip, window, starts, known))


def _grid(clip: ClipGeometry, length: int) -> int:
    """Return of how many latent frames windows begin on a multiple, so that audio latents begin there too.

    1 where no multiple within half a window does: then audio begins up to half an audio latent beside the video.
    """
    per_latent = _audio_per_latent(clip)
    return per_latent.denominator if per_latent.denominator <= max(1, (length - 1) // 2) else 1


def _audio_per_latent(clip: ClipGeometry) -> Fraction:
    codec = clip.codec
    rate = Fraction(clip.frame_rate).limit_denominator(1_000_000)
    return Fraction(codec.temporal_stride * codec.sample_rate, codec.hop_length) / rate


def _overlap(window: ClipGeometry, grid: int, overlap_s: float | None, least: int) -> int:
    """Return how many latent frames of the clip windows share, in agreement with the grid."""
    length, stride = window.num_latent_frames, window.codec.temporal_stride
    wanted = window.duration_s / 4 if overlap_s is None else overlap_s
    choices = [taken for taken in range(least, length - 1) if (length - 1 - taken) % grid == 0]
    if not choices:
        raise GeometryError(
            f"a window of {window.num_frames} frames is too short to go on from; nearest is "
            f"{1 + stride * (grid + least)} frames"
        )
    seconds = {taken: (1 + stride * taken) / window.frame_rate for taken in choices}
    nearest = min(choices, key=lambda taken: abs(seconds[taken] - wanted))
    if not (math.isfinite(wanted) and 0 < wanted <= window.duration_s):
        raise ConfigError(
            f"overlap must be above 0 and less than a window ({window.duration_s:.3f} s), got {wanted:g}; nearest is "
            f"{seconds[nearest] if math.isfinite(wanted) else seconds[choices[0]]:.3f}"
        )
    return nearest


def _starts(total: int, length: int, step: int, grid: int) -> list[int]:
    """Return where windows begin, in latent frames."""
    starts = [0]
    last = max(0, -(-(total - length) // grid) * grid)
    while starts[-1] < last:
        starts.append(min(starts[-1] + step, last))
    return starts


def _windows(clip: ClipGeometry, window: ClipGeometry, starts: list[int], known: int) -> tuple[Window, ...]:
    length, audio_length = window.num_latent_frames, window.num_audio_latents
    # A last audio latent that is padded belongs to no longer clip.
    whole = window.num_samples // clip.codec.hop_length
    audio_total = clip.num_audio_latents
    per_latent = _audio_per_latent(clip)
    audio_starts = [round(start * per_latent) for start in starts]
    audio_starts[-1] = max(audio_starts[-1], audio_total - audio_length)
    made: list[Window] = []
    stop, audio_kept = known, _whole_latents(clip, known)
    for index, (start, audio_start) in enumerate(zip(starts, audio_starts, strict=True)):
        is_last = index + 1 == len(starts)
        ready, audio_ready = stop, audio_kept
        stop = min(start + length, clip.num_latent_frames)
        audio_kept = audio_total
        if not is_last:
            # No gap, where windows overlap by less than the margin.
            audio_kept = max(audio_start + whole - AUDIO_MARGIN, audio_starts[index + 1])
        made.append(
            Window(
                index=index,
                start=start,
                stop=start + length,
                known=ready - start,
                audio_start=audio_start,
                audio_stop=audio_start + audio_length,
                known_audio=max(0, audio_ready - audio_start),
                kept=stop,
                audio_kept=audio_kept,
            )
        )
    return tuple(made)


def _whole_latents(clip: ClipGeometry, latent_frames: int) -> int:
    """Return how many audio latents lie wholly in the time of the first latent frames, without the margin."""
    if not latent_frames:
        return 0
    frames = clip.codec.temporal_stride * (latent_frames - 1) + 1
    samples = replace(clip, num_frames=frames).num_samples
    return max(0, samples // clip.codec.hop_length - AUDIO_MARGIN)
