"""What is found in a clip, and what a scene says of it: records between detectors, scenes and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.track import DiscTrack

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class VideoReading:
    """What the pixels of a clip show.

    Attributes:
        events: in the order of time.
        tracks: one for each moving disc, of two balls the left one first.
        colours: (N, 3) of what stands still and has a colour that was asked for: unlit bars or keys, hats; None where
            there is nothing of the sort.
    """

    events: tuple[SeenEvent, ...]
    tracks: tuple[DiscTrack, ...] = ()
    colours: FloatArray | None = None


@dataclass(frozen=True)
class Observation:
    """What was found in a clip.

    Attributes:
        seen, heard: all events.
        pairs: indices of visible and audible events that belong together.
        frame_s: seconds of one frame.
    """

    seen: VideoReading
    heard: tuple[HeardEvent, ...]
    pairs: tuple[tuple[int, int], ...]
    frame_s: float

    def of_side(self, side: str | None) -> list[SeenEvent]:
        """Return the visible events of one of two balls, or, with None, of the only one."""
        return [event for event in self.seen.events if event.side == side]


@dataclass(frozen=True)
class Measures:
    """Whether a clip shows and sounds what its scene asked for; None where a scene has nothing of the sort.

    Attributes are those of `ClipScore`, and
        start_colour_right: whether the moving discs have their colours in the first frame.
    """

    pitch_right: bool
    material_right: bool | None = None
    order_right: bool | None = None
    vowel_right: bool | None = None
    speaker_right: bool | None = None
    place_right: bool | None = None
    landing_right: bool | None = None
    colour_right: bool | None = None
    start_colour_right: bool = True
