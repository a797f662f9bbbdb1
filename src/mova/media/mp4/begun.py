"""The video of a file as the beginning of another one: its packets as they are, where an encoder can go on from them.

An mp4 file has one set of H.264 parameters for its whole video. So packets are taken over where those of the file are
the very ones that the encoder of the rest writes, which they are of clips that were written here in the same size and
rate. Audio is not taken over: frames of AAC overlap, and two encoders would not agree where they meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.media.media_file import best_stream, demux, open_media
from mova.media.probe import probe_video

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_SEQUENCE, _PICTURE = 7, 8  # types of NAL units that hold parameters
_START: Final = re.compile(rb"\x00\x00\x00?\x01")
_SLACK_FRAMES: Final = 0.05


@dataclass(frozen=True)
class BegunVideo:
    """Video that can be taken over.

    Attributes:
        path: of the file.
        num_frames: all that it shows.
        frame_rate: frames per second.
        ranks: of the packets in the order of decoding, the place of each frame in the order of showing.
        delay: frames by which decoding is ahead of showing.
    """

    path: Path
    num_frames: int
    frame_rate: Fraction
    ranks: tuple[int, ...]
    delay: int

    def packets(self) -> Iterator[Packet[Stream]]:
        """Yield the packets, with times in frames and NAL units between start codes, as encoders give them.

        Raises:
            ReadError: the file has changed, or is damaged.
        """
        from av.bitstream import BitStreamFilterContext

        with open_media(self.path) as container:
            stream = best_stream(container, "video")
            if stream is None:
                return
            spelt = BitStreamFilterContext("h264_mp4toannexb", stream)
            packets = (packet for packet in demux(container, [stream], self.path) if packet.dts is not None)
            for place, packet in enumerate(packets):
                for found in spelt.filter(packet):
                    found.pts, found.dts, found.duration = self.ranks[place], place - self.delay, 1
                    found.time_base = 1 / self.frame_rate
                    yield found


def find_begun(
    path: Path, size: tuple[int, int], frame_rate: Fraction, parameters: bytes, delay: int
) -> BegunVideo | str:
    """Return how the video of a file can be taken over, or the reason why it cannot.

    Args:
        path: of the file.
        size: (height, width) of what follows.
        frame_rate: of what follows.
        parameters: of the encoder of what follows, between start codes.
        delay: frames by which it decodes ahead of showing.

    Raises:
        ReadError: the file is damaged.
    """
    info = probe_video(path)
    if info.quarter_turns or info.is_mirrored or info.display_size != size:
        return "it is stored in another shape"
    with open_media(path) as container:
        stream = best_stream(container, "video")
        context = None if stream is None else stream.codec_context
        if stream is None or context is None or context.name != "h264":
            return "it is no H.264"
        if _parameters(context.extradata or b"") != _parameters(parameters):
            return "it was encoded in another way"
        tick_s = stream.time_base or Fraction(1)
        packets = [packet for packet in demux(container, [stream], path) if packet.dts is not None]
        times = [None if packet.pts is None else float(packet.pts * tick_s * frame_rate) for packet in packets]
        is_begun = bool(packets) and packets[0].is_keyframe
    shown = [time for time in times if time is not None]
    if not is_begun or len(shown) != len(times):
        return "it does not begin with a key frame"
    begin = min(shown)
    ranks = tuple(round(time - begin) for time in shown)
    if sorted(ranks) != list(range(len(ranks))) or _is_unsteady(shown, begin):
        return "its frames do not come at a steady rate"
    if ranks[0] or max(place - rank for place, rank in enumerate(ranks)) > delay:
        return "its frames are in another order"
    return BegunVideo(path, len(ranks), frame_rate, ranks, delay)


def _is_unsteady(times: Sequence[float], begin: float) -> bool:
    return any(abs(time - begin - round(time - begin)) > _SLACK_FRAMES for time in times)


def _parameters(extradata: bytes) -> list[bytes]:
    """Return parameter sets of H.264, from between start codes or out of the record of an mp4 file."""
    units = _recorded(extradata) if extradata[:1] == b"\x01" else _START.split(extradata)
    return [unit for unit in units if unit and unit[0] & 31 in (_SEQUENCE, _PICTURE)]


def _recorded(record: bytes) -> list[bytes]:
    units, at = [], 5
    for mask in (31, 255):
        if at >= len(record):
            break
        count, at = record[at] & mask, at + 1
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return units
