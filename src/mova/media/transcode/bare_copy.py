"""A copy of a video with the same frames and the same audio, and without a word of where it came from."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.bitstream import BitStreamFilterContext

from mova.errors import MuxError, ReadError
from mova.media.media_file import best_stream, open_media
from mova.media.write import complete_file

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

# What browsers play in an mp4 file, wherever they run: HEVC needs hardware.
_VIDEO = ("h264", "vp9", "av1")
_AUDIO = ("aac", "mp3", "opus", "flac")
# Units of H.264 with messages; x264 writes its version and all its settings into one.
_WITHOUT_MESSAGES = {"h264": "filter_units=remove_types=6"}


def write_bare_copy(source: str | os.PathLike[str], target: Path) -> float:
    """Copy a clip's packets into an mp4 file whose index stands in front, without tags, chapters and encoder messages.

    Args:
        source: a video that a browser can play: H.264, VP9 or AV1, with AAC, MP3, Opus, FLAC or no audio.
        target: ends in .mp4; it is there whole or not at all.

    Returns:
        How long its video lasts, in seconds.

    Raises:
        ReadError: the file is damaged, has no video, or another codec.
        MuxError: the copy cannot be written.
    """
    with ExitStack() as stack:
        container = stack.enter_context(open_media(source))
        streams = _streams(container, source)
        try:
            temporary = stack.enter_context(complete_file(target))
            return _copy(container, streams, temporary, source)
        except OSError as error:
            if isinstance(error, av.error.FFmpegError) and not isinstance(error, PermissionError):
                raise
            raise MuxError(f"a copy must be written whole, got stopped at {target}: {error.strerror}") from error


def _streams(container: InputContainer, source: str | os.PathLike[str]) -> list[Stream]:
    video, audio = best_stream(container, "video"), best_stream(container, "audio")
    if video is None:
        raise ReadError(f"a video must have a video stream, got {source} without one")
    found = [video] if audio is None else [video, audio]
    for stream, known in zip(found, (_VIDEO, _AUDIO), strict=False):
        name = stream.codec_context.name if stream.codec_context is not None else "an unknown codec"
        name = {"libdav1d": "av1", "libvpx-vp9": "vp9", "mp3float": "mp3", "libopus": "opus"}.get(name, name)
        if name not in known:
            raise ReadError(f"{stream.type} that a browser plays is {', '.join(known)}; got {name} in {source}")
    return found


def _copy(container: InputContainer, streams: list[Stream], target: Path, source: str | os.PathLike[str]) -> float:
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as made:
        outs: dict[int, Any] = {}
        filters = {}
        for stream in streams:
            outs[stream.index] = made.add_stream_from_template(stream)
            outs[stream.index].metadata.clear()
            name = _WITHOUT_MESSAGES.get(stream.codec_context.name)
            filters[stream.index] = None if name is None else BitStreamFilterContext(name, stream)
        made.metadata.clear()
        begin, end = float("inf"), 0.0

        def mux(packets: list[Packet[Stream]], index: int) -> None:
            for packet in packets:
                packet.stream = outs[index]
                made.mux(packet)

        for packet in container.demux(*streams):
            if packet.dts is None:
                continue
            index = packet.stream.index
            if index == streams[0].index and packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                begin, end = min(begin, at), max(end, at + float((packet.duration or 0) * packet.time_base))
            chosen = filters[index]
            mux([packet] if chosen is None else chosen.filter(packet), index)
        for index, chosen in filters.items():
            if chosen is not None:
                mux(chosen.filter(None), index)
    if not end > begin:
        raise ReadError(f"a clip must have frames, got {source} without one")
    return end - begin
