"""Whether a file is whole, found out before it is decoded: every packet is read, and both ends are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mova.errors import ReadError
from mova.files.part import FilePart
from mova.media import media_file
from mova.media.transcode.pieces import SPLITTABLE, StepBack, before, behind, split

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
        first_place, last_place: places in the file of its first and last packet; -1 where the format has no places.
        num_corrupt: packets that the container says are damaged.
        num_disordered: packets whose decoding time is not after the one before.
    """

    num_packets: int = 0
    first_s: float = float("inf")
    end_s: float = -float("inf")
    jumped_s: float = 0.0
    steps_back: list[StepBack] = field(default_factory=list)
    first_place: int = -1
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
        form: FFmpeg's name of the format.
    """

    video: Track | None
    audio: Track | None
    num_audio: int = 0
    language: str = ""
    parts: tuple[FilePart, ...] = ()
    form: str = ""

    @property
    def places(self) -> tuple[int, int]:
        """Places of the first and the last packet of both streams."""
        tracks = [track for track in (self.video, self.audio) if track is not None and track.first_place >= 0]
        return min(track.first_place for track in tracks), max(track.last_place for track in tracks)


def check_integrity(path: PathArgument) -> Integrity:
    """Read every packet of a file, and decode its beginning and its end.

    Raises:
        ReadError: it breaks off before the length that it states, its video has no packets, an end of it cannot be
            decoded, or its clock goes back in a format that cannot be read piece by piece.
    """
    found = _demuxed(path)
    # A piece is not split again.
    if found.form in SPLITTABLE and not isinstance(path, FilePart):
        parts = _pieces(FilePart(Path(path), 0, Path(path).stat().st_size, found.form), found)
        if len(parts) > 1:
            return replace(found, parts=parts)
    if found.video is None:
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


def _pieces(whole: FilePart, found: Integrity) -> tuple[FilePart, ...]:
    """Return the pieces of a file; where the numbers of its streams change too, others than the chosen ones go on."""
    parts: list[FilePart] = []
    current: Integrity | None = found
    other: FilePart | None = whole
    while other is not None and current is not None and _has_video(current):
        earlier = before(other, current.places[0])
        if earlier is not None and (first := _demuxed_if_any(earlier)) is not None:
            parts += first.parts or (earlier,)
            other = behind(other, first.places[1])
            current = None if other is None else _demuxed_if_any(other)
            continue
        following = behind(other, current.places[1])
        after = None if following is None else _demuxed_if_any(following)
        own = current.parts or (other,)
        if following is not None and after is not None:
            own = (*own[:-1], replace(own[-1], end=following.begin + after.places[0]))
        parts += own
        other, current = (following, after)
    return tuple(parts)


def _has_video(found: Integrity) -> bool:
    return found.video is not None and found.video.first_place >= 0


def _demuxed_if_any(part: FilePart) -> Integrity | None:
    """Return what the packets of a part say; None where it has no video."""
    try:
        found = _demuxed(part)
    except ReadError:
        return None
    return found if _has_video(found) else None


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
        form = container.format.name
        if can_split and video is not None and 0 < len(video.steps_back) < _MOST_PIECES:
            whole = path if isinstance(path, FilePart) else FilePart(Path(path), 0, container.size, form)
            heard = (
                [] if audio is None else [*audio.steps_back, StepBack(audio.end_s, audio.last_place, container.size)]
            )
            parts = split(whole, video.steps_back, heard)
        return Integrity(video, audio, len(container.streams.audio), language, parts, form)


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
        track.first_place = place if track.first_place < 0 else track.first_place
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
