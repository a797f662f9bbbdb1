"""Recordings that were joined: where the clock goes back another piece begins, which is read as a file of its own.

Only time stamps of one piece say when something is due. Seeking by time cannot tell pieces apart, places in the file
can: formats without a header for the whole file can be read from any place on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mova.files.part import FilePart

if TYPE_CHECKING:
    from collections.abc import Sequence

SPLITTABLE: Final = ("mpegts", "mpeg")
"""FFmpeg's names of the formats whose files can be joined end to end, and read from any place on."""
# Bytes from one packet of a transport stream to the next, and where its mark lies in them.
_PACKETS = ((188, 0), (192, 4), (204, 0))
_MARK, _NUM_MARKS = 0x47, 4
# Less than this beside the streams that were chosen is no piece.
_LEAST_BYTES = 1 << 16


@dataclass(frozen=True)
class StepBack:
    """Where the clock of a stream goes back.

    Attributes:
        time_s: the last time before it.
        last: place in the file of the last packet before it.
        first: place of the first packet behind it.
    """

    time_s: float
    last: int
    first: int


def split(whole: FilePart, video: Sequence[StepBack], audio: Sequence[StepBack]) -> tuple[FilePart, ...]:
    """Return the pieces of a joined file, in order; places count from its beginning.

    What lies between two pieces while only one of the streams has gone back belongs to none of them.

    Args:
        whole: the file, or what is looked at of it.
        video: where its video's clock goes back, in order; at least once.
        audio: where its audio's clock does, and at last where it ends.
    """
    size = whole.end - whole.begin
    parts, begin = [], 0
    for number, step in enumerate(video):
        before = video[number - 1].first if number else -1
        behind = video[number + 1].first if number + 1 < len(video) else size
        near = [other for other in audio if before < other.first < behind]
        both = [step, *sorted(near, key=lambda other: abs(other.first - step.first))[:1]]
        # Audio that ends there, or pauses for a piece, must not reach into the next one either.
        ended = [other.last for other in audio if other.last < step.first < other.first]
        firsts, last = [one.first for one in both], max([*(one.last for one in both), *ended])
        parts.append(_within(whole, begin, min(firsts)))
        begin = min(firsts) if min(firsts) > last else max(firsts)
        length = _packet_bytes(whole, last)
        if length:
            # What is left of its frame has no beginning any more and is passed over; tables that follow are needed.
            begin = last + length
    return *parts, _within(whole, begin, size)


def behind(whole: FilePart, last: int) -> FilePart | None:
    """Return what lies behind the packet at a place; None where that is little."""
    begin = last + max(1, _packet_bytes(whole, last))
    return _within(whole, begin, whole.end - whole.begin) if whole.end - whole.begin - begin >= _LEAST_BYTES else None


def before(whole: FilePart, first: int) -> FilePart | None:
    """Return what lies before the packet at a place; None where that is little."""
    return _within(whole, 0, first) if first >= _LEAST_BYTES else None


def _within(whole: FilePart, begin: int, end: int) -> FilePart:
    return replace(whole, begin=whole.begin + begin, end=whole.begin + end)


def _packet_bytes(whole: FilePart, place: int) -> int:
    """Return how long the packet at a place is in a transport stream; 0 elsewhere."""
    with whole.path.open("rb") as content:
        content.seek(whole.begin + place)
        found = content.read(_NUM_MARKS * max(length for length, _ in _PACKETS))
    for length, offset in _PACKETS:
        if set(found[offset::length][:_NUM_MARKS]) == {_MARK}:
            return length
    return 0
