"""What a media file holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mova.errors import ReadError
from mova.media import limits, media_file
from mova.media.frames import display_size

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream


@dataclass(frozen=True)
class VideoInfo:
    """The video stream of a file.

    Attributes:
        codec: FFmpeg's name.
        coded_size: (height, width) as stored.
        display_size: (height, width) as seen: square pixels, upright.
        pixel_aspect: width of a stored pixel divided by its height.
        quarter_turns: counter-clockwise quarter turns from stored to upright, after mirroring.
        is_mirrored: whether the stored frames must be mirrored left to right.
        frame_rate: average, in frames per second; None where the file does not say.
        is_variable_rate: whether frames last differently long; None where only reading the whole file would tell.
        num_frames: as stored, of which an edit list may show fewer; None where the file does not say.
        start_s: time of the first frame on the file's own clock.
        duration_s: as the file says of this stream, else measured from the time stamps of its packets.
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
    """The audio stream of a file: FFmpeg's names of codec and layout, rate in Hz, times as in `VideoInfo`."""

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
        video: the video stream.
        audio: the audio stream; None where there is none.
        duration_s: duration of the whole file; None where it does not say.
        metadata: the file's own tags.
    """

    container: str
    video: VideoInfo
    audio: AudioInfo | None
    duration_s: float | None
    metadata: Mapping[str, str]


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Say what a video file holds. Decodes its first frame, so that success means that the file can be read.

    Raises:
        ReadError: the file is missing, has no video, or cannot be decoded; the text names it and the reason.
    """
    with media_file.open_media(path) as container:
        video = _video_info(container, path)
        audio = media_file.audio_stream(container, path)
        return MediaInfo(
            container=container.format.name,
            video=video,
            audio=None if audio is None else _audio_info(container, audio, path),
            duration_s=None if container.duration is None else container.duration / media_file.CLOCK_RATE,
            metadata=dict(container.metadata),
        )


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Say what the video of a file is, whatever its audio is.

    Raises:
        ReadError: as `probe`.
    """
    with media_file.open_media(path) as container:
        return _video_info(container, path)


def probe_audio(path: str | os.PathLike[str]) -> AudioInfo:
    """Say what the audio of a file is, with or without a video.

    Raises:
        ReadError: the file is missing, has no audio, or cannot be decoded.
    """
    with media_file.open_media(path) as container:
        stream = media_file.audio_stream(container, path)
        if stream is None:
            raise ReadError(f"an audio file must have an audio stream, got {path} without one")
        if next(media_file.decode(container, stream, path), None) is None:
            raise ReadError(f"an audio file must have at least one sample, got none in {path}")
        return _audio_info(container, stream, path)


def video_start_s(path: str | os.PathLike[str]) -> float | None:
    """Return when the first frame of a file is due on its clock; None where the file has no video.

    Raises:
        ReadError: the file is missing or cannot be opened.
    """
    with media_file.open_media(path) as container:
        stream = media_file.best_stream(container, "video")
        if stream is None:
            return None
        stated_s = media_file.start_s(container, stream)
        try:
            return _video_info(container, path, measure=False).start_s
        except ReadError:
            # Its audio may be intact all the same.
            return stated_s


def _video_info(container: InputContainer, path: str | os.PathLike[str], *, measure: bool = True) -> VideoInfo:
    stream = media_file.video_stream(container, path)
    first = next(media_file.decode(container, stream, path), None)
    if first is None:
        raise ReadError(f"a video must have at least one frame, got none in {path}")
    limits.check_video_size(first.width, first.height, path)
    turns, mirrored = media_file.orientation(first)
    aspect, rate = media_file.pixel_aspect(stream), media_file.frame_rate(stream)
    stated_s = media_file.stated_duration_s(container, stream)
    if stated_s is None and measure:
        stated_s = media_file.measured_duration_s(path, stream.index)
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
        start_s=media_file.start_s(container, stream) if first.pts is None else media_file.frame_time_s(first, path),
        duration_s=stated_s,
    )


def _audio_info(container: InputContainer, stream: AudioStream, path: str | os.PathLike[str]) -> AudioInfo:
    stated_s = media_file.stated_duration_s(container, stream)
    return AudioInfo(
        codec=stream.codec_context.name,
        channels=stream.channels,
        layout=stream.layout.name,
        sample_rate=stream.sample_rate,
        start_s=media_file.start_s(container, stream),
        duration_s=media_file.measured_duration_s(path, stream.index) if stated_s is None else stated_s,
    )


def _is_variable(stream: Stream) -> bool | None:
    """Compare the distances of the frames in the file's index, where it lists them all (MP4 and relatives)."""
    entries = stream.index_entries
    if not stream.frames or len(entries) < stream.frames or stream.frames < 3:
        return None
    steps = np.diff([entry.timestamp for entry in entries])[:-1]
    return bool(steps.max() - steps.min() > 1 and steps.max() > 1.01 * steps.min())
