"""The records of an event and of what is seen of it, and which part of a clip events are counted in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

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
        kind: what happens, such as "bounce", "strike", "note" or "vowel".
        x, y: point of contact in units of the frame size, from the upper left corner.
        bar: index of the struck bar, the pressed key or the place on a board from the left, else None.
        colour: colour of the ball, the bar, the face's hat or the ink; of a key the name of its note.
        timbre: the floor's material, "bar", "key", or what is said: a vowel or a digit.
        pitch_hz: fundamental of the sound.
        level: amplitude of the sound, in (0, 1).
        end_s: when what is said ends; None for what rings out by itself.
        side: "left" or "right", which of two balls or faces it is; None where there is one.
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
    end_s: float | None = None
    side: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SeenEvent:
    """One event as it is seen.

    Attributes:
        time_s: time of the contact, of the lighting-up, or of the moment that a mouth begins to open.
        x, y: position of the contact in units of the frame size.
        bar: index of the bar or key that lights up, or of the place that is written on; else None.
        side: "left" or "right", which of two balls or faces it is; None where there is one.
        sign: the vowel whose shape the mouth takes, or the digit that is written; else None.
        end_s: when the mouth begins to close; None where it stays open, or where there is none.
    """

    time_s: float
    x: float
    y: float
    bar: int | None
    side: str | None = None
    sign: str | None = None
    end_s: float | None = None


def countable_until(num_frames: int, frame_rate: float) -> float:
    """Return the time in seconds up to which events of a clip are counted."""
    return num_frames / frame_rate - UNCOUNTED_TAIL_S
