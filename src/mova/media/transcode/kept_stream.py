"""Clips of which one stream is the user's own: its packets go into the file as they are, the other stream is encoded.

What can be copied is found out from the packets' time stamps alone. Video is copied from a key frame that stands at the
beginning of the clip to its end, where no frame that is kept needs one that is not; audio from its first packet to the
one in which the clip ends. Everything else is encoded, and there is a reason to be told.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import av
import av.error

from mova.errors import MuxError, ReadError
from mova.media.decode_audio import first_sample_s
from mova.media.media_file import best_stream, demux, open_media
from mova.media.mp4.streams import AUDIO_CHUNK, aac_stream, audio_frame, h264_stream, rgb_to_yuv, steady_options
from mova.media.probe import probe_video, video_start_s
from mova.media.provenance import append_source_type, read_xmp
from mova.media.write import (
    check_audio,
    check_video,
    check_writable,
    complete_file,
    metadata_tags,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    from mova.types import Clip

Kind = Literal["video", "audio"]

_VIDEO: Final = ("h264", "hevc", "av1", "vp9")
_AUDIO: Final = ("aac", "mp3", "flac", "alac", "opus", "ac3", "eac3")
_OTHER_NAMES: Final = {"libdav1d": "av1", "libvpx-vp9": "vp9", "mp3float": "mp3", "libopus": "opus"}
# Time stamps of Matroska are rounded to milliseconds.
_SLACK_S: Final = 0.0015


@dataclass(frozen=True)
class KeptStream:
    """A stream that can be copied.

    Attributes:
        path: of the file.
        kind: which of its streams.
        begin: time stamp that becomes 0, in ticks of the stream.
        first: number of the first packet that is copied, in the order of decoding.
        count: how many are.
    """

    path: Path
    kind: Kind
    begin: int
    first: int
    count: int


@dataclass(frozen=True)
class _Stamp:
    """Where a packet is due and how long it lasts, in seconds on the file's clock; and in ticks."""

    at_s: float
    end_s: float
    pts: int
    is_key: bool


def find_kept(path: Path, kind: Kind, *, start_s: float, duration_s: float, frame_rate: float) -> KeptStream | str:
    """Return how a stream of a file can be copied for a clip, or the reason why it cannot.

    Args:
        path: of the file.
        kind: of the stream.
        start_s: where the clip begins, in seconds after the first frame; of a file without video, after its first
            sample.
        duration_s: of the clip.
        frame_rate: of the clip.

    Raises:
        ReadError: the file is damaged.
    """
    names = _VIDEO if kind == "video" else _AUDIO
    with open_media(path) as container:
        stream = best_stream(container, kind)
        if stream is None or stream.codec_context is None:
            return f"there is no {kind} that can be decoded"
        codec = _OTHER_NAMES.get(stream.codec_context.name, stream.codec_context.name)
        if codec not in names:
            return f"an mp4 file has no {codec} that players know"
        if kind == "video":
            info = probe_video(path)
            if info.quarter_turns or info.is_mirrored:
                return "it is stored turned, with a note that says so"
        tick_s = stream.time_base or Fraction(1)
        stamps = [_stamp(packet) for packet in demux(container, [stream], path) if packet.dts is not None]
    if not stamps or any(stamp is None for stamp in stamps):
        return "it has packets without a time"
    known = [stamp for stamp in stamps if stamp is not None]
    if kind == "video":
        return _video_passage(path, known, start_s, duration_s)
    return _audio_passage(path, known, tick_s, start_s, duration_s, 1.0 / frame_rate)


def _stamp(packet: Packet[Stream]) -> _Stamp | None:
    if packet.pts is None or packet.time_base is None:
        return None
    at_s = float(packet.pts * packet.time_base)
    return _Stamp(at_s, at_s + float((packet.duration or 0) * packet.time_base), packet.pts, packet.is_keyframe)


def _video_passage(path: Path, stamps: Sequence[_Stamp], start_s: float, duration_s: float) -> KeptStream | str:
    begin_s = min(stamp.at_s for stamp in stamps) + start_s
    end_s = begin_s + duration_s
    lasts_s = max((stamp.end_s - stamp.at_s for stamp in stamps), default=0.0)
    first = next((place for place, stamp in enumerate(stamps) if abs(stamp.at_s - begin_s) <= _SLACK_S), None)
    if first is None or not stamps[first].is_key:
        return "the clip does not begin with a key frame of it"
    inside = [begin_s - _SLACK_S <= stamp.at_s < end_s - _SLACK_S for stamp in stamps[first:]]
    count = next((place for place, is_inside in enumerate(inside) if not is_inside), len(inside))
    if any(inside[count:]):
        return "frames at the end of the clip need some that come after it"
    taken = stamps[first : first + count]
    if max(stamp.end_s for stamp in taken) < end_s - max(lasts_s, _SLACK_S):
        return "it ends before the clip does"
    return KeptStream(path, "video", stamps[first].pts, first, count)


def _audio_passage(
    path: Path, stamps: Sequence[_Stamp], tick_s: Fraction, start_s: float, duration_s: float, frame_s: float
) -> KeptStream | str:
    heard_s, origin_s = first_sample_s(path), video_start_s(path)
    origin_s = heard_s if origin_s is None else origin_s
    if start_s > 0.0 or heard_s < origin_s - _SLACK_S:
        return "the clip does not begin where it begins"
    end_s = origin_s + duration_s
    count = sum(stamp.at_s < end_s - _SLACK_S for stamp in stamps)
    if not count or stamps[count - 1].end_s < end_s - frame_s:
        return "it ends before the clip does"
    if stamps[count - 1].end_s > end_s + frame_s:
        return "none of its packets ends with the clip"
    return KeptStream(path, "audio", round(Fraction(origin_s) / tick_s), 0, count)


def write_beside(
    path: str | os.PathLike[str],
    clip: Clip,
    kept: KeptStream,
    *,
    metadata: Mapping[str, object] | None = None,
    crf: float = 18.0,
    preset: str = "medium",
) -> None:
    """Write a clip as `write_clip` does, but with one stream as it is in the user's file.

    Args:
        path: ends in .mp4.
        clip: what `write_clip` takes; of the stream that is copied only the length counts.
        kept: the stream, as `find_kept` found it.
        metadata, crf, preset: as of `write_clip`.

    Raises:
        MuxError: a clip or path that cannot be written, or a failure on the way.
        ReadError: the user's file has changed, or is damaged.
    """
    target = check_writable(path)
    check_video(clip, path, crf)
    check_audio(clip, path, allow_silent=False)
    tags = metadata_tags(metadata or {}, path)
    try:
        with complete_file(target) as temporary:
            _write(temporary, clip, kept, tags, {"crf": f"{crf:g}", "preset": preset})
            append_source_type(temporary, "compositeWithTrainedAlgorithmicMedia")
            _check_complete(temporary, kept)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MuxError(f"a clip must be written whole, got stopped at {path}: {reason}; nothing was kept") from error


def _write(path: Path, clip: Clip, kept: KeptStream, tags: dict[str, str], options: dict[str, str]) -> None:
    muxer = {"movflags": "+faststart", "movie_timescale": str(clip.sample_rate)}
    with open_media(kept.path) as source:
        stream = best_stream(source, kept.kind)
        if stream is None:
            raise ReadError(f"{kept.path} must have the {kept.kind} that it had, got none")
        container = av.open(str(path), "w", format="mp4", options=muxer)
        try:
            container.metadata.update(tags)
            _fill(container, clip, kept, _passage(source, stream, kept), stream, options)
        except BaseException:
            with suppress(OSError, ValueError, av.error.FFmpegError):
                container.close()
            raise
        container.close()


def _fill(
    container: OutputContainer,
    clip: Clip,
    kept: KeptStream,
    packets: Iterator[Packet[Stream]],
    stream: Stream,
    options: dict[str, str],
) -> None:
    """Write packets as they are, and between them what is encoded, by its time."""
    rate = Fraction(clip.frame_rate).limit_denominator(1_000_000)
    # Video first in the file, as players expect.
    if kept.kind == "video":
        copy: Any = container.add_stream_from_template(stream)
        encoded = _encoded_audio(container, clip)
    else:
        video = h264_stream(container, clip.frames.shape[1:3], rate, {**options, **steady_options()})
        copy = container.add_stream_from_template(stream)
        encoded = _encoded_video(container, clip, video, rate)
    copy.metadata.clear()
    done_s = 0.0
    for packet in packets:
        at_s = float((packet.dts or 0) * (packet.time_base or 0))
        while done_s is not None and done_s <= at_s:
            done_s = next(encoded, float("inf"))
        packet.stream = copy
        container.mux(packet)
    for _ in encoded:
        pass


def _passage(source: Any, stream: Stream, kept: KeptStream) -> Iterator[Packet[Stream]]:
    """Yield the packets that are copied, with times from 0 on."""
    place = 0
    for packet in demux(source, [stream], kept.path):
        if packet.dts is None or packet.pts is None:
            continue
        if kept.first <= place < kept.first + kept.count:
            packet.pts, packet.dts = packet.pts - kept.begin, packet.dts - kept.begin
            yield packet
        place += 1
        if place >= kept.first + kept.count:
            return


def _encoded_audio(container: OutputContainer, clip: Clip) -> Iterator[float]:
    """Encode audio chunk by chunk, and yield up to which second it is done."""
    assert clip.waveform is not None, "it was checked"
    stream = aac_stream(container, len(clip.waveform), clip.sample_rate)

    def encode() -> Iterator[float]:
        assert clip.waveform is not None, "it was checked"
        for first in range(0, clip.waveform.shape[1], AUDIO_CHUNK):
            samples = clip.waveform[:, first : first + AUDIO_CHUNK]
            container.mux(stream.encode(audio_frame(samples, clip.sample_rate, first)))
            yield (first + samples.shape[1]) / clip.sample_rate
        container.mux(stream.encode(None))

    return encode()


def _encoded_video(container: OutputContainer, clip: Clip, stream: Any, rate: Fraction) -> Iterator[float]:
    """Encode frame by frame, and yield up to which second it is done."""
    for index, frame in enumerate(clip.frames):
        shown = rgb_to_yuv(frame)
        shown.pts, shown.time_base = index, 1 / rate
        container.mux(stream.encode(shown))
        yield float((index + 1) / rate)
    container.mux(stream.encode(None))


def _check_complete(path: Path, kept: KeptStream) -> None:
    """Count the packets that were copied: a disk may have dropped some without a word."""
    with av.open(str(path), "r", format="mp4") as container:
        found = sum(
            packet.stream.type == kept.kind and bool(packet.size) and not packet.is_corrupt
            for packet in container.demux()
        )
    if found != kept.count or read_xmp(path) is None:
        raise OSError(f"only {found} of {kept.count} packets of the {kept.kind} reached the file")
