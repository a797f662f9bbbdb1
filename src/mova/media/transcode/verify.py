"""A clip's file, opened again: what was promised of it is measured on it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from mova.errors import MuxError, ReadError
from mova.media import media_file

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer

    from mova.media.transcode.encode import ClipFormat

_BT709, _LIMITED = 1, 1
_MOST_APART_S = Fraction(1, 1000)


def verify_clip(path: Path, form: ClipFormat) -> None:
    """Refuse a file that is not the clip that was promised.

    Frames, their steps and the audio's samples are counted; the first frame and all audio are decoded.

    Args:
        path: of the file.
        form: what was promised.

    Raises:
        MuxError: another number of frames or samples, uneven steps, audio that does not start with the video, or
            another size, pixel format or colour.
    """
    try:
        with media_file.open_media(path) as container:
            begin = _check_packets(container, form)
        with media_file.open_media(path) as container:
            first = _check_look(container, form, path)
        with media_file.open_media(path) as container:
            heard = _check_audio(container, form, path)
    except ReadError as error:
        raise MuxError(f"a clip must be readable, got {error}") from error
    if begin != first:
        raise MuxError(f"a clip must begin with its first frame, got {first} s after {begin} s")
    if abs(heard - first) >= _MOST_APART_S:
        raise MuxError(f"audio and video must start together, got {float(heard - first) * 1000:.3f} ms between them")


def _check_packets(container: InputContainer, form: ClipFormat) -> Fraction:
    stream = container.streams.video[0]
    times = sorted(
        packet.pts * media_file.tick_s(stream)
        for packet in container.demux(stream)
        if packet.size and packet.pts is not None
    )
    if len(times) != form.num_frames:
        raise MuxError(f"a clip must have {form.num_frames} frames, got {len(times)}")
    tick, step = media_file.tick_s(stream), 1 / form.frame_rate
    for index, time in enumerate(times):
        if abs(time - times[0] - index * step) > tick:
            raise MuxError(f"frames must be {step} s apart, got number {index} at {float(time - times[0]):.6f} s")
    return Fraction(times[0])


def _check_look(container: InputContainer, form: ClipFormat, path: Path) -> Fraction:
    stream = media_file.video_stream(container, path)
    frame = next(media_file.decode(container, stream, path), None)
    if frame is None or frame.pts is None:
        raise MuxError("a clip must have a first frame, got none")
    size = (frame.height, frame.width)
    if size not in {form.size, form.size[::-1]}:
        raise MuxError(f"a clip must have {form.size[1]}x{form.size[0]} pixels, got {size[1]}x{size[0]}")
    colours = (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace))
    if frame.format.name != "yuv420p" or int(frame.color_range) != _LIMITED or set(colours) != {_BT709}:
        raise MuxError(f"a clip must be 8-bit yuv420p in BT.709, got {frame.format.name} with {colours}")
    if media_file.orientation(frame) != (0, False) or media_file.pixel_aspect(stream) != 1.0:
        raise MuxError("a clip must be upright with square pixels")
    return Fraction(frame.pts * media_file.tick_s(frame))


def _check_audio(container: InputContainer, form: ClipFormat, path: Path) -> Fraction:
    stream = media_file.audio_stream(container, path)
    if stream is None:
        raise MuxError("a clip must have audio, got none")
    begin, count = None, 0
    for frame in media_file.decode(container, stream, path):
        if begin is None and frame.pts is not None:
            begin = Fraction(frame.pts * media_file.tick_s(frame))
        count += frame.samples
    stated = None if stream.duration is None else round(stream.duration * media_file.tick_s(stream) * form.sample_rate)
    # The last frame of AAC is whole; the file says how much of it counts.
    if begin is None or count < form.num_samples or stated != form.num_samples:
        raise MuxError(f"a clip must have {form.num_samples} samples of audio, got {count}, of which {stated} count")
    if stream.sample_rate != form.sample_rate:
        raise MuxError(f"audio must have {form.sample_rate} Hz, got {stream.sample_rate}")
    return begin
