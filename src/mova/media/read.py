"""Clips out of media files: frames at any rate and size, and the sound of exactly the same time span."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mova.errors import ConfigError, ReadError
from mova.geometry import num_samples
from mova.media.decode_audio import AudioSpan, decode_sound
from mova.media.decode_video import VideoSpan, decode_frames
from mova.types import Clip

if TYPE_CHECKING:
    import os

    import numpy as np

_DEFAULT_SAMPLE_RATE = 48_000
# A file may fall short of the length that it declares by this much before it counts as damaged.
_SHORTFALL_S = 0.5


def read_clip(
    path: str | os.PathLike[str],
    *,
    frame_rate: float | None = None,
    num_frames: int | None = None,
    size: tuple[int, int] | None = None,
    crop: tuple[float, float] = (0.5, 0.5),
    sample_rate: int | None = None,
    start_s: float = 0.0,
    mono: bool = True,
    require_audio: bool = False,
    pad: bool = False,
) -> Clip:
    """Read a span of a film. Decodes in a stream: only the frames of the result are held.

    Time zero is the first picture. Frame i is the picture that a player shows at `start_s + i / frame_rate`: rates
    change by repeating or leaving out pictures, never by moving them. Rotation and non-square pixels are undone. Sound
    before the first picture is cut; where sound starts late, pauses or ends early there is silence.

    Args:
        path: a film that FFmpeg decodes.
        frame_rate: of the result; None keeps the average rate of the file.
        num_frames: of the result; None reads to the end of the picture, to the nearest whole frame.
        size: (height, width) of the result, filled by scaling and cutting (`frames.cover`); None keeps it as seen.
        crop: which part is kept where `size` cuts, (vertical, horizontal) in [0, 1].
        sample_rate: of the result in Hz; None keeps the file's, or 48,000 where there is no sound.
        start_s: seconds after the first picture.
        mono: fold the sound to one channel; otherwise at most two are kept.
        require_audio: treat a film without sound as an error; otherwise its waveform is None.
        pad: hold the last picture, and add silence, where the film is shorter than asked for; otherwise an error.

    Returns:
        Frames (F, H, W, 3) uint8 and waveform (channels, num_samples(F, frame_rate, sample_rate)) in [-1, 1]. Peaks
        beyond full scale, which lossy codecs and resampling produce, are limited.

    Raises:
        ConfigError: a rate, a length or a start outside its range.
        GeometryError: a size or crop outside its range.
        ReadError: the file is missing, damaged, without a needed stream, or shorter than asked for.
    """
    _check_arguments(frame_rate, num_frames, sample_rate, start_s)
    picture = decode_frames(
        path, frame_rate=frame_rate, num_frames=num_frames, size=size, crop=crop, start_s=start_s, pad=pad
    )
    rate = float(picture.frame_rate)
    sound = decode_sound(path, origin_s=picture.origin_s, start_s=start_s, duration_s=picture.duration_s)
    _check_not_truncated(path, picture, sound)
    if sound is None:
        if require_audio:
            raise ReadError(f"a film must have sound here, got {path} without an audio stream")
        return Clip(picture.frames, None, rate, sample_rate or _DEFAULT_SAMPLE_RATE)
    target_rate = sample_rate or sound.sample_rate
    length = num_samples(len(picture.frames), rate, target_rate)
    return Clip(picture.frames, sound.cut(target_rate, length, mono=mono), rate, target_rate)


def read_sound(
    path: str | os.PathLike[str], *, sample_rate: int, length: int, start_s: float = 0.0
) -> tuple[np.ndarray, float]:
    """Read a span of the sound of a file, with or without a picture, folded to one channel.

    Args:
        path: a file that FFmpeg decodes.
        sample_rate: of the result in Hz.
        length: S, samples of the result; silence past the end of the file.
        start_s: seconds after the first sample.

    Returns:
        (1, S) float32 in [-1, 1], and how many seconds of it are the file's.

    Raises:
        ConfigError: a rate, a length or a start outside its range.
        ReadError: the file is missing, damaged or without sound.
    """
    _check_arguments(None, length, sample_rate, start_s)
    duration_s = length / sample_rate
    sound = decode_sound(path, origin_s=0.0, start_s=start_s, duration_s=duration_s)
    if sound is None:
        raise ReadError(f"a sound file must have an audio stream, got {path} without one")
    own_s = duration_s if sound.end_s is None else min(max(sound.end_s - start_s, 0.0), duration_s)
    return sound.cut(sample_rate, length, mono=True), own_s


def _check_arguments(frame_rate: float | None, num_frames: int | None, sample_rate: int | None, start_s: float) -> None:
    if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ConfigError(f"frame_rate must be a positive number of frames per second, got {frame_rate}")
    if num_frames is not None and num_frames < 1:
        raise ConfigError(f"num_frames must be at least 1, got {num_frames}; nearest is 1")
    if sample_rate is not None and sample_rate < 1:
        raise ConfigError(f"sample_rate must be a positive number of samples per second, got {sample_rate}")
    if not (math.isfinite(start_s) and start_s >= 0):
        raise ConfigError(f"start_s must be 0 or more seconds, got {start_s}; nearest is 0")


def _check_not_truncated(path: str | os.PathLike[str], picture: VideoSpan, sound: AudioSpan | None) -> None:
    """Refuse a file that was read to its end and is shorter than it says: a download or a copy that broke off."""
    if picture.end_s is None or picture.declared_end_s is None or (sound is not None and sound.end_s is None):
        return
    end_s = max(picture.end_s, 0.0 if sound is None or sound.end_s is None else sound.end_s)
    if end_s < picture.declared_end_s - _SHORTFALL_S:
        raise ReadError(
            f"a film must be as long as it declares, got {path} of {picture.declared_end_s:.3f} s that breaks off "
            f"at {end_s:.3f} s"
        )
