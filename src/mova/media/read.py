"""Clips out of media files: frames at any rate and size, and the audio of exactly the same time span."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mova.errors import ConfigError, ReadError
from mova.geometry import num_samples
from mova.media import media_file
from mova.media.decode_audio import AudioSpan, decode_audio_span
from mova.media.decode_video import VideoSpan, decode_frames
from mova.media.frames import Fit
from mova.media.probe import video_start_s
from mova.types import Clip

if TYPE_CHECKING:
    import os

    import numpy as np

_DEFAULT_SAMPLE_RATE = 48_000


@dataclass(frozen=True)
class ReadSpan:
    """A span of a video file, and what of it is the file's own.

    Attributes:
        clip: frames and waveform.
        own_frames: how many of the frames are the file's; those after them hold its last one.
        own_samples: (first, end) samples of the waveform that are the file's, in order and apart; silence is filled in
            elsewhere. Empty where the span has no audio.
    """

    clip: Clip
    own_frames: int
    own_samples: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ReadAudio:
    """A span of the audio of a file, and what of it is the file's own.

    Attributes:
        waveform: (channels, S) float32 in [-1, 1]; one channel unless more were asked for.
        own_samples: as in `ReadSpan`.
        end_s: where the file's audio ends, on the clock of `start_s`; None where reading stopped before.
    """

    waveform: np.ndarray
    own_samples: tuple[tuple[int, int], ...]
    end_s: float | None


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
    """Read a span of a video file. Decodes in a stream: only the frames of the result are held.

    Time zero is the file's first frame. Frame i shows what a player shows at `start_s + i / frame_rate`: rates
    change by repeating or leaving out frames, never by moving them. Rotation and non-square pixels are undone. Audio
    before the first frame is cut; where audio starts late, pauses or ends early there is silence.

    Args:
        path: a video file that FFmpeg decodes.
        frame_rate: frame rate of the result; None keeps the average rate of the file.
        num_frames: number of frames of the result; None reads to the end of the video, to the nearest whole frame.
        size: (height, width) of the result, filled by scaling and cutting (`frames.cover`); None keeps it as seen.
        crop: which part is kept where `size` cuts, (vertical, horizontal) in [0, 1].
        sample_rate: sample rate of the result in Hz; None keeps the file's, or 48,000 where there is no audio.
        start_s: seconds after the first frame.
        mono: fold the audio to one channel; otherwise at most two are kept.
        require_audio: treat a video without audio as an error; otherwise its waveform is None.
        pad: repeat the last frame, and add silence, where the file is shorter than asked for; otherwise an error.

    Returns:
        Frames (F, H, W, 3) uint8 and waveform (channels, num_samples(F, frame_rate, sample_rate)) in [-1, 1]. Peaks
        beyond full scale, which lossy codecs and resampling produce, are limited.

    Raises:
        ConfigError: a rate, a length or a start outside its range.
        GeometryError: a size or crop outside its range.
        ReadError: the file is missing, damaged, without a needed stream, or shorter than asked for.
    """
    return read_span(
        path,
        frame_rate=frame_rate,
        num_frames=num_frames,
        size=size,
        crop=crop,
        sample_rate=sample_rate,
        start_s=start_s,
        mono=mono,
        require_audio=require_audio,
        pad=pad,
    ).clip


def read_span(
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
) -> ReadSpan:
    """Read a span of a video file as `read_clip` does, and say what of it is the file's own.

    Raises:
        MovaError: as `read_clip`.
    """
    _check_arguments(frame_rate, num_frames, sample_rate, start_s)
    video = decode_frames(
        path, frame_rate=frame_rate, num_frames=num_frames, size=size, crop=crop, start_s=start_s, pad=pad
    )
    rate = float(video.frame_rate)
    audio = decode_audio_span(path, origin_s=video.origin_s, start_s=start_s, duration_s=video.duration_s)
    _check_not_truncated(path, video, audio)
    if audio is None:
        if require_audio:
            raise ReadError(f"a video must have audio here, got {path} without an audio stream")
        return ReadSpan(Clip(video.frames, None, rate, sample_rate or _DEFAULT_SAMPLE_RATE), video.num_own, ())
    target_rate = sample_rate or audio.sample_rate
    length = num_samples(len(video.frames), rate, target_rate)
    clip = Clip(video.frames, audio.cut(target_rate, length, mono=mono), rate, target_rate)
    return ReadSpan(clip, video.num_own, _own_samples(audio, target_rate, length))


def read_frames(
    path: str | os.PathLike[str],
    *,
    frame_rate: float,
    num_frames: int,
    size: tuple[int, int] | None = None,
    start_s: float = 0.0,
    fit: Fit = "crop",
    pad: bool = False,
) -> np.ndarray:
    """Read the frames of a span and nothing of its audio, which may be one that cannot be decoded.

    Args:
        path, frame_rate, num_frames, size, start_s, pad: as in `read_clip`.
        fit: what is done with frames of another shape than `size`, as in `frames.fit_image`.

    Returns:
        (F, H, W, 3) uint8.

    Raises:
        MovaError: as `read_clip`.
    """
    _check_arguments(frame_rate, num_frames, None, start_s)
    return decode_frames(
        path,
        frame_rate=frame_rate,
        num_frames=num_frames,
        size=size,
        crop=(0.5, 0.5),
        start_s=start_s,
        pad=pad,
        fit=fit,
    ).frames


def read_audio(
    path: str | os.PathLike[str], *, sample_rate: int, length: int, start_s: float = 0.0, mono: bool = True
) -> ReadAudio:
    """Read a span of the audio of a file.

    Args:
        path: a file that FFmpeg decodes.
        sample_rate: sample rate of the result in Hz.
        length: S, samples of the result; silence past the end of the file.
        start_s: seconds after the first frame; of a file without video, after its first sample.
        mono: fold the audio to one channel; otherwise at most two are kept.

    Raises:
        ConfigError: a rate, a length or a start outside its range.
        ReadError: the file is missing, damaged or without audio.
    """
    _check_arguments(None, length, sample_rate, start_s)
    origin_s = video_start_s(path)
    audio = decode_audio_span(path, origin_s=origin_s, start_s=start_s, duration_s=length / sample_rate)
    if audio is None:
        raise ReadError(f"an audio file must have an audio stream, got {path} without one")
    _check_audio_whole(path, audio)
    own = _own_samples(audio, sample_rate, length)
    return ReadAudio(audio.cut(sample_rate, length, mono=mono), own, audio.file_end_s)


def _own_samples(audio: AudioSpan, sample_rate: int, length: int) -> tuple[tuple[int, int], ...]:
    rounded = [(round(begin * sample_rate), min(round(end * sample_rate), length)) for begin, end in audio.parts]
    return tuple((begin, end) for begin, end in rounded if begin < end)


def _check_arguments(frame_rate: float | None, num_frames: int | None, sample_rate: int | None, start_s: float) -> None:
    if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
        raise ConfigError(f"frame_rate must be a positive number of frames per second, got {frame_rate}")
    if num_frames is not None and num_frames < 1:
        raise ConfigError(f"num_frames must be at least 1, got {num_frames}; nearest is 1")
    if sample_rate is not None and sample_rate < 1:
        raise ConfigError(f"sample_rate must be a positive number of samples per second, got {sample_rate}")
    if not (math.isfinite(start_s) and start_s >= 0):
        raise ConfigError(f"start_s must be 0 or more seconds, got {start_s}; nearest is 0")


def _check_not_truncated(path: str | os.PathLike[str], video: VideoSpan, audio: AudioSpan | None) -> None:
    """Refuse a file that was read to its end and is shorter than it says: a download or a copy that broke off."""
    if audio is not None:
        _check_audio_whole(path, audio)
    if video.end_s is None or (audio is not None and audio.file_end_s is None):
        return
    end_s = max(video.end_s, 0.0 if audio is None or audio.file_end_s is None else audio.file_end_s)
    media_file.check_length(path, "video", video.declared_end_s, end_s)


def _check_audio_whole(path: str | os.PathLike[str], audio: AudioSpan) -> None:
    if audio.file_end_s is not None:
        media_file.check_length(path, "audio", audio.declared_end_s, audio.file_end_s)
