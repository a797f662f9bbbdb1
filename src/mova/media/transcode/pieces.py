"""Recordings that were joined: where the clock goes back another piece begins, which is read as a file of its own.

Only time stamps of one piece say when something is due. Seeking by time cannot tell pieces apart, places in the file
can: formats without a header for the whole file can be read from any place on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.files.part import FilePart

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

SPLITTABLE: Final = ("mpegts", "mpeg")
"""FFmpeg's names of the formats whose files can be joined end to end, and read from any place on."""
# Bytes from one packet of a transport stream to the next, and where its mark lies in them.
_PACKETS = ((188, 0), (192, 4), (204, 0))
_MARK, _NUM_MARKS = 0x47, 4


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


def split(
    path: str | os.PathLike[str], form: str, video: Sequence[StepBack], audio: Sequence[StepBack]
) -> tuple[FilePart, ...]:
    """Return the pieces of a joined file, in order.

    What lies between two pieces while only one of the streams has gone back belongs to none of them.

    Args:
        path: of the file.
        form: FFmpeg's name of its format.
        video: where its video's clock goes back, in order; at least once.
        audio: where its audio's clock does, and at last where it ends.
    """
    file = Path(path)
    parts, begin = [], 0
    for number, step in enumerate(video):
        before = video[number - 1].first if number else -1
        behind = video[number + 1].first if number + 1 < len(video) else file.stat().st_size
        near = [other for other in audio if before < other.first < behind]
        both = [step, *sorted(near, key=lambda other: abs(other.first - step.first))[:1]]
        # Audio that ends there, or pauses for a piece, must not reach into the next one either.
        ended = [other.last for other in audio if other.last < step.first < other.first]
        firsts, last = [one.first for one in both], max([*(one.last for one in both), *ended])
        parts.append(FilePart(file, begin, min(firsts), form))
        begin = min(firsts) if min(firsts) > last else max(firsts)
        length = _packet_bytes(file, last)
        if length:
            # What is left of its frame has no beginning any more and is passed over; tables that follow are needed.
            begin = last + length
    return *parts, FilePart(file, begin, file.stat().st_size, form)


def _packet_bytes(file: Path, place: int) -> int:
    """Return how long the packet at a place is in a transport stream; 0 elsewhere."""
    with file.open("rb") as content:
        content.seek(place)
        found = content.read(_NUM_MARKS * max(length for length, _ in _PACKETS))
    for length, offset in _PACKETS:
        if set(found[offset::length][:_NUM_MARKS]) == {_MARK}:
            return length
    return 0
