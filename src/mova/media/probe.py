"""What a media file holds, and the one way to open it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation

from mova.errors import ReadError
from mova.media.frames import display_size

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

# Formats that hold one film in one file. Not in the list: playlists, which open other files; text and image readers,
# which turn anything into a picture.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,ivf,ogg,mxf,nut,rm,wav,w64,mp3,flac,aac,aiff,caf"
)
CLOCK_RATE = 1_000_000  # ticks per second of a container's own times
# FFmpeg's fast paths between RGB and subsampled colour are off by several steps of 256.
PRECISE = (
    Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


@dataclass(frozen=True)
class VideoInfo:
    """The picture of a file.

    Attributes:
        codec: FFmpeg's name.
        coded_size: (height, width) as stored.
        display_size: (height, width) as seen: square pixels, upright.
        pixel_aspect: width of a stored pixel divided by its height.
        quarter_turns: counter-clockwise quarter turns from stored to upright, after mirroring.
        is_mirrored: whether the stored picture must be mirrored left to right.
        frame_rate: average, in frames per second; None where the file does not say.
        is_variable_rate: whether frames last differently long; None where only reading the whole file would tell.
        num_frames: as stored, of which an edit list may show fewer; None where the file does not say.
        start_s: time of the first frame on the file's own clock.
        duration_s: None where the file does not say.
    """

    codec: str
    coded_size: tuple[int, int]
    display_size: tuple[int, int]
    pixel_aspect: float
    quarter_turns: int
    is_mirrored: bool
    frame_rate: float | None
    is_variable_rate: bool | None
    num_frames: int | None
    start_s: float
    duration_s: float | None


@dataclass(frozen=True)
class AudioInfo:
    """The sound of a file: FFmpeg's names of codec and layout, rate in Hz, times as in `VideoInfo`."""

    codec: str
    channels: int
    layout: str
    sample_rate: int
    start_s: float
    duration_s: float | None


@dataclass(frozen=True)
class MediaInfo:
    """What `probe` found.

    Attributes:
        container: FFmpeg's name of the format.
        video: the picture.
        audio: None where there is no sound.
        duration_s: of the whole file; None where it does not say.
        metadata: the file's own tags.
    """

    container: str
    video: VideoInfo
    audio: AudioInfo | None
    duration_s: float | None
    metadata: Mapping[str, str]


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Say what a film holds. Decodes its first picture, so that success means that the file can be read.

    Raises:
        ReadError: the file is missing, has no picture, or cannot be decoded; the text names it and the reason.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        first = next(decode(container, stream, path), None)
        if first is None:
            raise ReadError(f"a film must have at least one picture, got none in {path}")
        sound = audio_stream(container, path)
        return MediaInfo(
            container=container.format.name,
            video=_video_info(container, stream, first),
            audio=None if sound is None else _audio_info(container, sound),
            duration_s=None if container.duration is None else container.duration / CLOCK_RATE,
            metadata=dict(container.metadata),
        )


def probe_sound(path: str | os.PathLike[str]) -> AudioInfo:
    """Say what the sound of a file is, with or without a picture; its length is the file's where the stream is silent.

    Raises:
        ReadError: the file is missing, has no sound, or cannot be decoded.
    """
    with open_media(path) as container:
        stream = audio_stream(container, path)
        if stream is None:
            raise ReadError(f"a sound file must have an audio stream, got {path} without one")
        if next(decode(container, stream, path), None) is None:
            raise ReadError(f"a sound file must have at least one sample, got none in {path}")
        info = _audio_info(container, stream)
        whole_s = None if container.duration is None else container.duration / CLOCK_RATE
        return replace(info, duration_s=whole_s if info.duration_s is None else info.duration_s)


@contextmanager
def open_media(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file for reading; what FFmpeg finds wrong, now or while the block reads, becomes a `ReadError`."""
    file = Path(path)
    if not file.is_file():
        state = "is a directory" if file.is_dir() else "does not exist"
        raise ReadError(f"a media file must exist, got {file}, which {state}")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # Absolute, since FFmpeg takes what stands before a colon in a relative path for a protocol.
        with av.open(str(file.absolute()), "r", options=options, metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as error:
        raise ReadError(f"a media file must be decodable, got {file}: {error.strerror or error}") from error


def best_stream(container: Any, kind: str) -> Any | None:
    """Return the stream that a player would choose, or None. Cover pictures do not count as video."""
    cover = av.stream.Disposition.attached_pic
    usable = [stream for stream in getattr(container.streams, kind) if not stream.disposition & cover]
    best = container.streams.best(kind)
    if best is not None and any(stream.index == best.index for stream in usable):
        return best
    return usable[0] if usable else None


def video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    """Return the picture's stream, ready to decode with several threads, or raise `ReadError`."""
    stream = best_stream(container, "video")
    if stream is None:
        raise ReadError(f"a film must have a video stream, got {path} without one")
    if stream.codec_context is None:
        raise ReadError(f"a video codec must be one that FFmpeg decodes, got {path} with an unknown one")
    stream.thread_type = "AUTO"
    return stream


def audio_stream(container: Any, path: str | os.PathLike[str]) -> Any | None:
    """Return the sound's stream, or None; raise `ReadError` where there is no decoder for it."""
    stream = best_stream(container, "audio")
    if stream is not None and stream.codec_context is None:
        raise ReadError(f"an audio codec must be one that FFmpeg decodes, got {path} with an unknown one")
    return stream


def decode(container: Any, stream: Any, path: str | os.PathLike[str]) -> Iterator[Any]:
    """Yield the decoded frames of a stream from where the container stands."""
    try:
        yield from container.decode(stream)
    except IndexError as error:
        # PyAV looks packets up in the list of streams that it made when it opened the file.
        raise ReadError(f"all streams must be there from the start, got {path} with one that appears later") from error


def frame_rate(stream: Any) -> Any | None:
    """Return the average rate as a fraction, or None."""
    return stream.average_rate or stream.guessed_rate or stream.base_rate or None


def frame_time_s(frame: Any, path: str | os.PathLike[str]) -> float:
    """Return when a decoded frame is due, on the file's clock."""
    if frame.pts is None:
        raise ReadError(f"every frame must have a time stamp, got one without in {path}; remux the file first")
    return float(frame.pts * frame.time_base)


def pixel_aspect(stream: Any) -> float:
    """Return width divided by height of a stored pixel; 1 where the file does not say."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio else 1.0


def orientation(frame: Any) -> tuple[int, bool]:
    """Return (counter-clockwise quarter turns, mirrored) that make a decoded frame upright, nearest to its matrix.

    The matrix maps stored to shown coordinates as (x, y) -> (a x + c y, b x + d y), with y pointing down.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(-b, a)) / 90.0) % 4, mirrored


def declared_duration_s(container: Any, stream: Any) -> float | None:
    """Return how long a stream says that it is: its own field, or Matroska's tag."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part.strip("\0 ")) for part in parts)
    except ValueError:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds - _start_s(container, stream)


def _video_info(container: Any, stream: Any, first: Any) -> VideoInfo:
    turns, mirrored = orientation(first)
    aspect, rate = pixel_aspect(stream), frame_rate(stream)
    return VideoInfo(
        codec=stream.codec_context.name,
        coded_size=(first.height, first.width),
        display_size=display_size(first.height, first.width, pixel_aspect=aspect, quarter_turns=turns),
        pixel_aspect=aspect,
        quarter_turns=turns,
        is_mirrored=mirrored,
        frame_rate=None if rate is None else float(rate),
        is_variable_rate=_is_variable(stream),
        num_frames=stream.frames or None,
        start_s=float(first.pts * first.time_base) if first.pts is not None else _start_s(container, stream),
        duration_s=declared_duration_s(container, stream),
    )


def _audio_info(container: Any, stream: Any) -> AudioInfo:
    return AudioInfo(
        codec=stream.codec_context.name,
        channels=stream.channels,
        layout=stream.layout.name,
        sample_rate=stream.sample_rate,
        start_s=_start_s(container, stream),
        duration_s=declared_duration_s(container, stream),
    )


def _start_s(container: Any, stream: Any) -> float:
    if stream.start_time is not None:
        return float(stream.start_time * stream.time_base)
    return (container.start_time or 0) / CLOCK_RATE


def _is_variable(stream: Any) -> bool | None:
    """Compare the distances of the frames in the file's index, where it lists them all (MP4 and relatives)."""
    entries = stream.index_entries
    if not stream.frames or len(entries) < stream.frames or stream.frames < 3:
        return None
    steps = np.diff([entry.timestamp for entry in entries])[:-1]
    return bool(steps.max() - steps.min() > 1 and steps.max() > 1.01 * steps.min())
