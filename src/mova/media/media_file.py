"""The one way to open a media file: containers, streams, time stamps and what they state, within the limits."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, overload

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation

from mova.cores import num_cores
from mova.errors import MovaError, ReadError
from mova.files.part import FilePart
from mova.media import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.frame import Frame
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    PathArgument = str | os.PathLike[str]
    Kind = Literal["video", "audio"]

CLOCK_RATE = 1_000_000  # ticks per second of a container's own times
# FFmpeg's fast paths between RGB and subsampled colour are off by several steps of 256.
PRECISE = (
    Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
# The same, where the size changes too: Lanczos, which averages over the right area when it shrinks.
SHARP = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
# To 16-bit RGB, where the two flags for chroma give wrong colours.
DEEP, DEEP_AREA = (way | Interpolation.ACCURATE_RND for way in (Interpolation.BILINEAR, Interpolation.AREA))
# FFmpeg's own decoders of these leave out the second stream that holds the transparency.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# A file may fall short of the length that it declares by this much before it counts as damaged.
_SHORTFALL_S = 0.5
_UNKNOWN_FRAMES = 1 << 30
# Containers that state the length of each stream. What FFmpeg says for the others is the whole file's, or a guess.
_STATE_LENGTHS = {"mov", "avi", "wav", "w64", "flac", "aiff", "caf", "mxf", "nut"}


_threads = 0


def use_threads(count: int) -> None:
    """Let decoders of this process take so many threads at most; 0 is one per core, as long as nothing else is said."""
    global _threads  # noqa: PLW0603 (a process that decodes beside others is told once)
    _threads = count


@contextmanager
def open_media(path: PathArgument) -> Iterator[InputContainer]:
    """Open a file, or a `FilePart`, for reading; what FFmpeg finds wrong with it becomes a `ReadError`."""
    file = Path(path)
    if not file.is_file():
        state = "is a directory" if file.is_dir() else "does not exist"
        raise ReadError(f"a media file must exist, got {file}, which {state}")
    limits.check_file_size(file.stat().st_size, path)
    options = {
        "format_whitelist": limits.CONTAINERS,
        "protocol_whitelist": "file,subfile",
        "max_streams": str(limits.MAX_STREAMS),
        "max_pixels": str(limits.MAX_VIDEO_PIXELS),
    }
    # Absolute, since FFmpeg takes what stands before a colon in a relative path for a protocol.
    url, form = str(file.absolute()), None
    if isinstance(path, FilePart):
        url, form = f"subfile,,start,{path.begin},end,{path.end},,:{url}", path.form or None
    with as_read_errors(path), av.open(url, "r", form, options, metadata_errors="replace") as container:
        yield container


@contextmanager
def as_read_errors(file: PathArgument) -> Iterator[None]:
    """Turn what FFmpeg finds wrong with a file while the block reads it into a `ReadError`."""
    try:
        yield
    except MovaError:
        raise
    except av.error.FFmpegError as error:
        raise ReadError(f"a media file must be decodable, got {file}: {error.strerror or error}") from error
    except (ValueError, OverflowError, ZeroDivisionError, MemoryError, NotImplementedError) as error:
        # PyAV's own, for headers with numbers that it does not expect.
        raise ReadError(f"a media file must be decodable, got {file}: {error or type(error).__name__}") from error


def best_stream(container: InputContainer, kind: Kind) -> Stream | None:
    """Return the stream that a player would choose, or None. Cover images do not count as video."""
    ranked = _ranked_streams(container, kind)
    return ranked[0] if ranked else None


def video_stream(container: InputContainer, path: PathArgument) -> VideoStream:
    """Return the video's stream, ready to decode with several threads, or raise `ReadError`."""
    stream = cast("VideoStream | None", best_stream(container, "video"))
    if stream is None:
        raise ReadError(f"a video must have a video stream, got {path} without one")
    context = stream.codec_context
    if context is None:
        raise ReadError(f"a video codec must be one that FFmpeg decodes, got {path} with an unknown one")
    limits.check_video_size(context.width, context.height, path)
    threads = min(_threads or num_cores(), limits.MAX_DECODER_THREADS)
    stream.thread_type = "AUTO"
    context.thread_count = min(threads, 2) if context.width * context.height >= limits.LARGE_PIXELS else threads
    context.options = {"max_pixels": str(limits.MAX_VIDEO_PIXELS)}
    return stream


def audio_stream(container: InputContainer, path: PathArgument) -> AudioStream | None:
    """Return the audio's stream: the one that a player would choose, or the next that can be decoded.

    Returns:
        None where there is no audio at all.

    Raises:
        ReadError: there is audio, none of which can be decoded, or of a rate or number of channels that is refused.
    """
    streams = _ranked_streams(container, "audio")
    if not streams:
        return None
    able = [stream for stream in streams if _has_decoder(stream)]
    # Of several, the first of which something can be decoded; a single one says itself what is wrong with it.
    chosen = next((stream for stream in able if len(able) == 1 or _decodes(path, stream.index)), None)
    chosen = able[0] if chosen is None and able else chosen
    if chosen is None:
        raise ReadError(f"an audio codec must be one that FFmpeg decodes, got {path} with an unknown one")
    limits.check_audio(chosen.codec_context.sample_rate, chosen.codec_context.channels, path)
    return cast("AudioStream", chosen)


@overload
def decode(container: InputContainer, stream: VideoStream, path: PathArgument) -> Iterator[VideoFrame]: ...
@overload
def decode(container: InputContainer, stream: AudioStream, path: PathArgument) -> Iterator[AudioFrame]: ...
def decode(
    container: InputContainer, stream: VideoStream | AudioStream, path: PathArgument
) -> Iterator[VideoFrame] | Iterator[AudioFrame]:
    """Yield the decoded frames of a stream from where the container stands."""
    return cast("Iterator[VideoFrame] | Iterator[AudioFrame]", _decoded(container, stream, path))


def decode_audio_from_seek(container: InputContainer, stream: AudioStream, path: PathArgument) -> Iterator[AudioFrame]:
    """Yield the decoded frames of audio behind a seek, which may have ended in the middle of one that cannot be."""
    has_begun = False
    for packet in demux(container, [stream], path):
        try:
            frames = cast("list[AudioFrame]", packet.decode())
        except av.error.InvalidDataError:
            if has_begun:
                raise
            continue
        has_begun = has_begun or bool(frames)
        yield from frames


def _decoded(container: InputContainer, stream: Stream, path: PathArgument) -> Iterator[object]:
    for packet in demux(container, [stream], path):
        yield from packet.decode()


def decode_video(container: InputContainer, stream: VideoStream, path: PathArgument) -> Iterator[VideoFrame]:
    """Yield the decoded frames of a video with their transparency, from where the container stands."""
    # Written in small letters from the header's own field, in large ones from a tag.
    has_alpha = "1" in (stream.metadata.get("alpha_mode"), stream.metadata.get("ALPHA_MODE"))
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or not has_alpha:
        yield from decode(container, stream, path)
        return
    context = av.CodecContext.create(name, "r")
    context.options = {"max_pixels": str(limits.MAX_VIDEO_PIXELS)}
    for packet in demux(container, [stream], path):
        yield from cast("VideoCodecContext", context).decode(packet)


def seek(container: InputContainer, stream: Stream, time_s: float) -> bool:
    """Go to the key frame of a stream before a time on the file's clock; say whether the file can do that."""
    try:
        container.seek(math.floor(time_s / tick_s(stream)), stream=stream)
    except av.error.FFmpegError:
        # No index, or none of this stream.
        return False
    return True


def frame_rate(stream: VideoStream) -> Fraction | None:
    """Return the average rate as a fraction, or None."""
    return stream.average_rate or stream.guessed_rate or stream.base_rate or None


def frame_time_s(frame: Frame, path: PathArgument) -> float:
    """Return when a decoded frame is due, on the file's clock."""
    if frame.pts is None:
        raise ReadError(f"every frame must have a time stamp, got one without in {path}; remux the file first")
    time_s = float(frame.pts * tick_s(frame))
    limits.check_time(time_s, path)
    return time_s


def pixel_aspect(stream: VideoStream) -> float:
    """Return width divided by height of a stored pixel; 1 where the file does not say."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio else 1.0


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Return (counter-clockwise quarter turns, mirrored) that make a decoded frame upright, nearest to its matrix.

    The matrix maps stored to shown coordinates as (x, y) -> (a x + c y, b x + d y), with y pointing down.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(cast("bytes", matrix)), dtype=np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(-b, a)) / 90.0) % 4, mirrored


def start_s(container: InputContainer, stream: Stream) -> float:
    """Return when a stream begins on the file's clock, as its header says; 0 where nothing is said."""
    if stream.start_time is not None:
        return float(stream.start_time * tick_s(stream))
    return (container.start_time or 0) / CLOCK_RATE


def stated_duration_s(container: InputContainer, stream: Stream) -> float | None:
    """Return how long a stream says that it is itself: its own field, or Matroska's tag."""
    own_s = _own_duration_s(stream)
    if own_s is not None and container.format.name.split(",")[0] in _STATE_LENGTHS:
        return own_s
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part.strip("\0 ")) for part in parts)
    except ValueError:
        return None
    duration_s = hours * 3600.0 + minutes * 60.0 + seconds - start_s(container, stream)
    return duration_s if math.isfinite(duration_s) and duration_s > 0.0 else None


def declared_end_s(container: InputContainer, stream: Stream) -> float | None:
    """Return how long a file says that a stream is, or else that it is itself; None where neither is said."""
    own_s = _own_duration_s(stream)
    if own_s is not None:
        return own_s
    stated_s = stated_duration_s(container, stream)
    if stated_s is None and container.duration is not None and not _is_unfinished(stream):
        return float(container.duration / CLOCK_RATE)
    return stated_s


def _own_duration_s(stream: Stream) -> float | None:
    """Return the length that a stream's own field states; None where it has none."""
    if stream.duration is None or _is_unfinished(stream):
        return None
    return float(stream.duration * tick_s(stream))


def tick_s(source: Stream | Frame) -> Fraction:
    """Return how long a tick of time stamps lasts."""
    if source.time_base is None:
        raise ValueError("time stamps must have a time base, got none")  # `open_media` makes a `ReadError` of it
    return source.time_base


def _is_unfinished(stream: Stream) -> bool:
    """Say whether a header was never completed: a stream of AVI then has a number of frames that stands for unknown."""
    return bool(stream.frames >= _UNKNOWN_FRAMES)


def measured_duration_s(path: PathArgument, index: int) -> float | None:
    """Return how long a stream is by the time stamps of its packets; None where there are none.

    Raises:
        ReadError: the file cannot be read to its end.
    """
    with open_media(path) as container:
        return _measure(container, [container.streams[index]], path).get(index)


def check_whole(path: PathArgument) -> None:
    """Refuse a file that breaks off: one whose packets end before the length that it states. Decodes nothing.

    Raises:
        ReadError: a stream is shorter than it says, or the file cannot be read to its end.
    """
    with open_media(path) as container:
        streams = [best_stream(container, kind) for kind in ("video", "audio")]
        chosen = [stream for stream in streams if stream is not None]
        stated = {stream.index: stated_duration_s(container, stream) for stream in chosen}
        measured = _measure(container, chosen, path) if chosen else {}
        for stream in chosen:
            check_length(path, stream.type, stated[stream.index], measured.get(stream.index, 0.0))


def check_length(path: PathArgument, kind: str, stated_s: float | None, measured_s: float) -> None:
    """Refuse a stream of `kind` that is `measured_s` long where its file states `stated_s`: a copy that broke off.

    Raises:
        ReadError: it falls short by more than half a second.
    """
    if stated_s is not None and measured_s < stated_s - _SHORTFALL_S:
        raise ReadError(
            f"a media file must be as long as it declares, got {path} of {stated_s:.3f} s that breaks off at "
            f"{measured_s:.3f} s ({kind})"
        )


def _measure(container: InputContainer, streams: list[Stream], path: PathArgument) -> dict[int, float]:
    """Return the seconds from the beginning of each stream to the end of its last packet, by its index.

    A stream begins at its first time stamp, or before it where its header says so: audio may set in late.
    """
    usual: dict[int, int] = {}
    ends: dict[int, int] = {}
    firsts: dict[int, int] = {}
    for stream in streams:
        rate = frame_rate(cast("VideoStream", stream)) if stream.type == "video" else None
        usual[stream.index] = round(1 / (rate * tick_s(stream))) if rate else 0
    for packet in demux(container, streams, path):
        if packet.pts is None or not packet.size:
            continue
        index = packet.stream_index
        begin = packet.pts if packet.stream.start_time is None else min(packet.pts, packet.stream.start_time)
        firsts[index] = min(firsts.get(index, begin), begin)
        ends[index] = max(ends.get(index, packet.pts), packet.pts + (packet.duration or usual[index]))
    bases = {stream.index: tick_s(stream) for stream in streams}
    return {index: float((end - firsts[index]) * bases[index]) for index, end in ends.items()}


def demux(container: InputContainer, streams: Sequence[Stream], path: PathArgument) -> Iterator[Packet[Stream]]:
    """Yield the packets of some streams from where the container stands.

    Raises:
        ReadError: at the end, where a stream that a player would choose has appeared on the way.
    """
    # Of a stream that has appeared on the way PyAV stumbles over what lies in memory behind its own list of streams,
    # or does not, after all that was asked for.
    with suppress(IndexError):
        yield from container.demux(*streams)
    kinds: tuple[Kind, Kind] = ("video", "audio")
    for kind in kinds:
        try:
            container.streams.best(kind)
        except IndexError as error:
            raise ReadError(
                f"all streams must be there from the start, got {path} with one of {kind} that appears later"
            ) from error


def _ranked_streams(container: InputContainer, kind: Kind) -> list[Stream]:
    cover = av.stream.Disposition.attached_pic
    usable = [stream for stream in getattr(container.streams, kind) if not stream.disposition & cover]
    best = container.streams.best(kind)
    return sorted(usable, key=lambda stream: best is None or stream.index != best.index)


def _has_decoder(stream: Stream) -> bool:
    """Say whether a decoder opens; its header may be damaged."""
    if stream.codec_context is None:
        return False
    try:
        stream.codec_context.open(strict=False)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _decodes(path: PathArgument, index: int) -> bool:
    """Say whether a stream has a frame that can be decoded."""
    try:
        with open_media(path) as container:
            return next(_decoded(container, container.streams[index], path), None) is not None
    except ReadError:
        return False
