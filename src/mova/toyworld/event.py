"""The record of one visible and audible event, and which part of a clip events are counted in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

# A bounce needs some outgoing frames and a note some samples before a clip ends to be recovered from it.
UNCOUNTED_TAIL_S: Final = 0.15
# Scenes are drawn so that a clip of this length has no event after `LAST_EVENT_S`: none is near the border of counting.
REFERENCE_DURATION_S: Final = 49 / 24
LAST_EVENT_S: Final = REFERENCE_DURATION_S - UNCOUNTED_TAIL_S - 0.02


@dataclass(frozen=True)
class Event:
    """Something that is seen and heard at one moment.

    Attributes:
        time_s: seconds from the first frame's instant, which is also the first sample's.
        kind: "bounce" or "strike".
        x, y: point of contact in units of the frame size, from the upper left corner.
        bar: index of the struck bar from the left, None for a bounce.
        colour: of the ball or the bar.
        timbre: the floor's material, or "bar".
        pitch_hz: fundamental of the sound.
        level: amplitude of the sound, in (0, 1).
    """

    time_s: float
    kind: str
    x: float
    y: float
    bar: int | None
    colour: str
    timbre: str
    pitch_hz: float
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def countable_until(num_frames: int, frame_rate: float) -> float:
    """Return the time in seconds up to which events of a clip are counted."""
    return num_frames / frame_rate - UNCOUNTED_TAIL_S
