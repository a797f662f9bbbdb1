"""Whether a file is whole, found out before it is decoded: every packet is read, and both ends are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, cast

from mova.errors import ReadError
from mova.files.part import FilePart
from mova.media import media_file
from mova.media.transcode.pieces import SPLITTABLE, StepBack, split

if TYPE_CHECKING:
    import os

    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from mova.media.media_file import Kind

    PathArgument = str | os.PathLike[str]

# Clocks of streams that were joined go back by more than this; what is reordered within a stream by less.
_STEP_BACK_S = 0.5
# In formats without disorder.
_STRICT_STEP_BACK_S = 0.05
_MOST_PIECES = 500
# What was not received while the clock jumped forward by more than this does not count as length.
_JUMP_S = 10.0
_TAIL_S = 3.0
_END_FRAMES = 24


@dataclass
class Track:
    """What the packets of a stream say.

    Attributes:
        num_packets: packets with content.
        first_s, end_s: earliest time of a packet, and where the latest one ends, on the file's clock.
        jumped_s: by how much its clock jumped forward.
        steps_back: where decoding times jumped back.
        last_place: place in the file of its last packet; -1 where the format has no places.
        num_corrupt: packets that the container says are damaged.
        num_disordered: packets whose decoding time is not after the one before.
    """

    num_packets: int = 0
    first_s: float = float("inf")
    end_s: float = -float("inf")
    jumped_s: float = 0.0
    steps_back: list[StepBack] = field(default_factory=list)
    last_place: int = -1
    num_corrupt: int = 0
    num_disordered: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds from the first packet to the end of the last one, without jumps."""
        return max(0.0, self.end_s - self.first_s - self.jumped_s)


@dataclass(frozen=True)
class Integrity:
    """What reading all packets of a file found.

    Attributes:
        video: of the stream that is watched; None where there is none.
        audio: of the stream that is heard; None where there is none.
        num_audio: streams of audio, of which one is heard.
        language: what the file says of that one; "" where it says nothing.
        parts: pieces of a file that was joined of several; empty where it is one. Other values are those of the whole,
            whose times say little then.
    """

    video: Track | None
    audio: Track | None
    num_audio: int = 0
    language: str = ""
    parts: tuple[FilePart, ...] = ()


def check_integrity(path: PathArgument) -> Integrity:
    """Read every packet of a file, and decode its beginning and its end.

    Raises:
        ReadError: it breaks off before the length that it states, its video has no packets, an end of it cannot be
            decoded, or its clock goes back in a format that cannot be read piece by piece.
    """
    found = _demuxed(path)
    if found.video is None or found.parts:
        return found
    if not found.video.num_packets:
        raise ReadError(f"a video must have at least one frame, got none in {path}")
    if found.video.steps_back:
        raise ReadError(
            f"a video's clock must go forward, got {path} where it goes back at "
            f"{found.video.steps_back[0].time_s:.3f} s; remux its pieces one by one"
        )
    _decode_ends(path, found.video)
    return found


def _demuxed(path: PathArgument) -> Integrity:
    with media_file.open_media(path) as container:
        kinds: tuple[Kind, Kind] = ("video", "audio")
        streams = {kind: media_file.best_stream(container, kind) for kind in kinds}
        chosen = [stream for stream in streams.values() if stream is not None]
        if not chosen:
            raise ReadError(f"a video must have a video stream, got {path} with neither video nor audio")
        tracks = {stream.index: Track() for stream in chosen}
        last: dict[int, int] = {}
        can_split = container.format.name in SPLITTABLE
        step_back_s = _STRICT_STEP_BACK_S if can_split else _STEP_BACK_S
        usual = {stream.index: _usual_s(stream) for stream in chosen}
        for packet in media_file.demux(container, chosen, path):
            if packet.size:
                _note(tracks[packet.stream_index], packet, usual[packet.stream_index], last, step_back_s)
        for stream in chosen:
            track = tracks[stream.index]
            stated_s = media_file.stated_duration_s(container, stream)
            begin_s = min(track.first_s, media_file.start_s(container, stream))
            if (
                stream.type == "video"
                and stated_s is not None
                and container.format.name == "avi"
                and usual[stream.index]
            ):
                # What FFmpeg says of a broken one is what is left of it; its header has the number of frames.
                stated_s = max(stated_s, stream.frames * usual[stream.index])
            media_file.check_length(path, stream.type, stated_s, max(0.0, track.end_s - begin_s))
        # While the file is open: its streams go with it.
        video, audio = (None if stream is None else tracks[stream.index] for stream in streams.values())
        language = "" if streams["audio"] is None else streams["audio"].metadata.get("language", "")
        parts: tuple[FilePart, ...] = ()
        # A piece is not split again.
        if can_split and not isinstance(path, FilePart) and video is not None and video.steps_back:
            size = container.size
            heard = [] if audio is None else [*audio.steps_back, StepBack(audio.end_s, audio.last_place, size)]
            if len(video.steps_back) < _MOST_PIECES:
                parts = split(path, container.format.name, video.steps_back, heard)
        return Integrity(video, audio, len(container.streams.audio), language, parts)


def _usual_s(stream: Stream) -> float:
    rate = media_file.frame_rate(cast("VideoStream", stream)) if stream.type == "video" else None
    return float(1 / rate) if rate else 0.0


def _note(track: Track, packet: Packet[Stream], usual_s: float, last: dict[int, int], step_back_s: float) -> None:
    track.num_packets += 1
    track.num_corrupt += packet.is_corrupt
    if packet.time_base is None:
        return
    tick = Fraction(packet.time_base)
    if packet.dts is not None:
        place = -1 if packet.pos is None else packet.pos
        before = last.get(packet.stream_index, packet.dts - 1)
        forward_s = float((packet.dts - before) * tick)
        track.num_disordered += forward_s <= 0.0
        if forward_s < -step_back_s:
            track.steps_back.append(StepBack(float(before * tick), track.last_place, place))
        elif forward_s > _JUMP_S:
            track.jumped_s += forward_s
        last[packet.stream_index] = packet.dts
        # Of several frames in one packet of the container only the first has a place.
        track.last_place = max(place, track.last_place)
    time = packet.dts if packet.pts is None else packet.pts
    if time is not None:
        time_s = float(time * tick)
        track.first_s = min(track.first_s, time_s)
        track.end_s = max(track.end_s, time_s + (float(packet.duration * tick) if packet.duration else usual_s))


def _decode_ends(path: PathArgument, track: Track) -> None:
    """Decode some frames at the beginning and behind the last key frame: to decode all of them may take hours."""
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        if not sum(1 for _ in islice(media_file.decode_video(container, stream, path), _END_FRAMES)):
            raise ReadError(f"a video must have at least one frame, got none in {path}")
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        if track.duration_s > _TAIL_S and media_file.seek(container, stream, track.end_s - _TAIL_S / 2):
            for _ in islice(media_file.decode_video(container, stream, path), _END_FRAMES):
                pass
