"""Whether a file is whole, found out before it is decoded: every packet is read, and both ends are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, cast

from mova.errors import ReadError
from mova.media import media_file

if TYPE_CHECKING:
    import os

    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from mova.media.media_file import Kind

    PathArgument = str | os.PathLike[str]

# Clocks of streams that were joined go back by more than this; what is reordered within a stream by less.
_STEP_BACK_S = 0.5
# Decoding times within a stream may stand still; going back by this much is disorder, which players bear.
_TAIL_S = 3.0
_END_FRAMES = 24


@dataclass
class Track:
    """What the packets of a stream say.

    Attributes:
        num_packets: packets with content.
        first_s, end_s: earliest time of a packet, and where the latest one ends, on the file's clock.
        steps_back: times at which decoding times jumped back.
        num_corrupt: packets that the container says are damaged.
        num_disordered: packets whose decoding time is not after the one before.
    """

    num_packets: int = 0
    first_s: float = float("inf")
    end_s: float = -float("inf")
    steps_back: list[float] = field(default_factory=list)
    num_corrupt: int = 0
    num_disordered: int = 0

    @property
    def duration_s(self) -> float:
        """Seconds from the first packet to the end of the last one."""
        return max(0.0, self.end_s - self.first_s)


@dataclass(frozen=True)
class Integrity:
    """What reading all packets of a file found.

    Attributes:
        video: of the stream that is watched; None where there is none.
        audio: of the stream that is heard; None where there is none.
        num_audio: streams of audio, of which one is heard.
        language: what the file says of that one; "" where it says nothing.
    """

    video: Track | None
    audio: Track | None
    num_audio: int = 0
    language: str = ""


def check_integrity(path: PathArgument) -> Integrity:
    """Read every packet of a file, and decode its beginning and its end.

    Raises:
        ReadError: it breaks off before the length that it states, its clock goes back, its video has no packets, or an
            end of it cannot be decoded.
    """
    found = _demuxed(path)
    if found.video is None:
        return found
    if not found.video.num_packets:
        raise ReadError(f"a video must have at least one frame, got none in {path}")
    if found.video.steps_back:
        raise ReadError(
            f"a video's clock must go forward, got {path} where it goes back at {found.video.steps_back[0]:.3f} s; "
            "remux its pieces one by one"
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
        usual = {stream.index: _usual_s(stream) for stream in chosen}
        for packet in media_file.demux(container, chosen, path):
            if packet.size:
                _note(tracks[packet.stream_index], packet, usual[packet.stream_index], last)
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
        video, audio = streams["video"], streams["audio"]
        return Integrity(
            None if video is None else tracks[video.index],
            None if audio is None else tracks[audio.index],
            len(container.streams.audio),
            "" if audio is None else audio.metadata.get("language", ""),
        )


def _usual_s(stream: Stream) -> float:
    rate = media_file.frame_rate(cast("VideoStream", stream)) if stream.type == "video" else None
    return float(1 / rate) if rate else 0.0


def _note(track: Track, packet: Packet[Stream], usual_s: float, last: dict[int, int]) -> None:
    track.num_packets += 1
    track.num_corrupt += packet.is_corrupt
    if packet.time_base is None:
        return
    tick = Fraction(packet.time_base)
    if packet.dts is not None:
        before = last.get(packet.stream_index)
        if before is not None and packet.dts <= before:
            track.num_disordered += 1
            if (before - packet.dts) * tick > _STEP_BACK_S:
                track.steps_back.append(float(before * tick))
        last[packet.stream_index] = packet.dts
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
