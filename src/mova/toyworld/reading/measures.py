"""What caption and first frame asked for, and whether what is seen and heard is that: one function for each measure.

Each returns None where the kind of scene has nothing of the sort.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.detect_video import VideoReading
from mova.toyworld.reading.track import DiscTrack, track_disc
from mova.toyworld.scenes.ball import FLOOR_Y, MAX_SPEED_X, BallScene
from mova.toyworld.scenes.balls import BallsScene
from mova.toyworld.scenes.duet import DuetScene
from mova.toyworld.scenes.face import FaceScene
from mova.toyworld.scenes.keys import KeysScene
from mova.toyworld.scenes.mallet import MalletScene
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import BAR, COLOUR_RGB, COLOURS, KEY, NOTES, SIDES

FloatArray = NDArray[np.float64]

MAX_START_DISTANCE: Final = 0.03
MAX_SIZE_DEVIATION: Final = 0.15
SIZE_QUANTILE: Final = 0.9
MIN_COLOUR_SHARE: Final = 0.9
MIN_SATURATION: Final = 0.2
PLACE_TOLERANCE: Final = 0.03


@dataclass(frozen=True)
class Observation:
    """What was found in a clip.

    Attributes:
        seen, heard: all events.
        pairs: indices of visible and audible events that belong together.
        given: the moving discs of the first frame that was given.
        frame_s: seconds of one frame.
    """

    seen: VideoReading
    heard: tuple[HeardEvent, ...]
    pairs: tuple[tuple[int, int], ...]
    given: tuple[DiscTrack, ...]
    frame_s: float

    def of_side(self, side: str | None) -> list[SeenEvent]:
        """Return the visible events of one of two balls, or, with None, of the only one."""
        return [event for event in self.seen.events if event.side == side]


def start_of(first_frame: NDArray[np.uint8], kind: str) -> tuple[DiscTrack, ...]:
    """Return the moving discs of a first frame (H, W, 3), as many as `detect_video` follows."""
    if kind == "balls":
        return tuple(track_disc(first_frame[None], "ball", side) for side in SIDES)
    return (track_disc(first_frame[None], kind),) if kind in ("ball", "mallet") else ()


def measures_of(scene: Scene, found: Observation) -> dict[str, Any]:
    """Return those fields of a `ClipScore` that compare a clip with what was asked for."""
    colour_right, start_colour_right = _colours_right(scene, found.seen)
    deviation = distance = None
    if found.given:
        both = list(zip(found.seen.tracks, found.given, strict=True))
        deviation = max(_size_deviation(track, given) for track, given in both)
        distance = max(_start_distance(track, given) for track, given in both)
    return {
        "material_right": _material_right(scene, found.heard),
        "pitch_right": _pitch_right(scene, found),
        "order_right": _order_right(scene, found),
        "vowel_right": _vowel_right(scene, found),
        "speaker_right": _speaker_right(scene, found),
        "place_right": _place_right(scene, found),
        "landing_right": _landing_right(scene, found),
        "colour_right": colour_right,
        "size_kept": None if deviation is None else deviation <= MAX_SIZE_DEVIATION,
        "start_kept": None if distance is None else distance <= MAX_START_DISTANCE and start_colour_right,
        "size_deviation": deviation,
        "start_distance": distance,
    }


def nearest_colour(rgb: FloatArray) -> str | None:
    """Return the world's colour with the nearest hue to `rgb` (3,) in [0, 255]; None for greys."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(np.clip(rgb, 0, 255) / 255).tolist())
    if saturation < MIN_SATURATION:
        return None

    def distance(colour: str) -> float:
        other = colorsys.rgb_to_hsv(*(level / 255 for level in COLOUR_RGB[colour]))[0]
        return min(abs(hue - other), 1 - abs(hue - other))

    return min(COLOURS, key=distance)


def _most(words: list[str]) -> str | None:
    """Return the word that more than half of `words` are."""
    if not words:
        return None
    word, count = Counter(words).most_common(1)[0]
    return word if 2 * count > len(words) else None


def _size_deviation(track: DiscTrack, given: DiscTrack) -> float:
    deviation = np.nan_to_num(np.abs(track.radius / given.radius[0] - 1), nan=1.0)
    return float(np.quantile(deviation, SIZE_QUANTILE))


def _start_distance(track: DiscTrack, given: DiscTrack) -> float:
    distance = float(np.hypot(track.x[0] - given.x[0], track.y[0] - given.y[0]))
    return distance if np.isfinite(distance) else float("inf")


def _material_right(scene: Scene, heard: Sequence[HeardEvent]) -> bool | None:
    if isinstance(scene, FaceScene | DuetScene):
        return None
    if isinstance(scene, BallScene | BallsScene):
        wanted = scene.material
    else:
        wanted = KEY if isinstance(scene, KeysScene) else BAR
    return _most([event.timbre for event in heard]) == wanted


def _colours_right(scene: Scene, reading: VideoReading) -> tuple[bool | None, bool]:
    """Return whether the colours are right through the clip, and in its first frame."""
    if isinstance(scene, BallScene | BallsScene):
        colours = scene.colours if isinstance(scene, BallsScene) else (scene.colour,)
        both = list(zip(reading.tracks, colours, strict=True))
        through = [_track_colour_right(track, colour) for track, colour in both]
        starts = [bool(track.visible[0]) and nearest_colour(track.rgb[0]) == colour for track, colour in both]
        return all(through), all(starts)
    if reading.hat_rgb is not None:
        hats = scene.hats if isinstance(scene, DuetScene) else (scene.hat,) if isinstance(scene, FaceScene) else ()
        return [nearest_colour(rgb) for rgb in reading.hat_rgb] == list(hats), True
    if isinstance(scene, MalletScene) and reading.bar_rgb is not None:
        bars_right = all(nearest_colour(rgb) == colour for rgb, colour in zip(reading.bar_rgb, COLOURS, strict=True))
        return bars_right, True
    return None, True


def _track_colour_right(track: DiscTrack, colour: str) -> bool:
    right = [nearest_colour(rgb) == colour for rgb in track.rgb[track.visible]]
    return bool(right) and float(np.mean(right)) >= MIN_COLOUR_SHARE


def _pitch_right(scene: Scene, found: Observation) -> bool:
    if isinstance(scene, BallScene):
        return _most([event.colour for event in found.heard]) == scene.sounding_colour
    if isinstance(scene, FaceScene):
        return bool(found.heard) and all(event.colour == scene.voice for event in found.heard)
    return bool(found.pairs) and all(
        _sound_of(scene, found.seen.events[i]) == found.heard[j].colour for i, j in found.pairs
    )


def _sound_of(scene: Scene, event: SeenEvent) -> str | None:
    """Return the note, colour or voice that what is seen has to sound with."""
    if isinstance(scene, MalletScene):
        return COLOURS[event.bar or 0]
    if isinstance(scene, KeysScene):
        return NOTES[event.bar or 0]
    if isinstance(scene, BallsScene) and event.side is not None:
        return scene.colours[SIDES.index(event.side)]
    return scene.voice_of(event.side) if isinstance(scene, DuetScene) and event.side is not None else None


def _order_right(scene: Scene, found: Observation) -> bool | None:
    heard = [event.colour for event in found.heard]
    if isinstance(scene, MalletScene):
        wanted = [COLOURS[bar] for bar in scene.bars]
        return [_sound_of(scene, event) for event in found.seen.events] == wanted == heard
    if isinstance(scene, KeysScene):
        return [_sound_of(scene, event) for event in found.seen.events] == list(scene.notes) == heard
    if isinstance(scene, FaceScene | DuetScene):
        said, shown = [event.timbre for event in found.heard], [event.vowel for event in found.seen.events]
        return said == list(scene.vowels) == shown
    if isinstance(scene, BallsScene):
        first = scene.first_side
        return (
            bool(found.seen.events and heard)
            and found.seen.events[0].side == first
            and heard[0] == scene.colours[SIDES.index(first)]
        )
    return None


def _vowel_right(scene: Scene, found: Observation) -> bool | None:
    if not isinstance(scene, FaceScene | DuetScene):
        return None
    return bool(found.pairs) and all(found.seen.events[i].vowel == found.heard[j].timbre for i, j in found.pairs)


def _speaker_right(scene: Scene, found: Observation) -> bool | None:
    if not isinstance(scene, DuetScene):
        return None
    speakers = [event.side for event in found.seen.events]
    voices = [event.colour for event in found.heard]
    return speakers == list(scene.sides) and voices == [scene.voice_of(side) for side in scene.sides]


def _balls(scene: Scene) -> list[tuple[str | None, BallScene, float]]:
    """Return side, scene and wait of each ball."""
    if isinstance(scene, BallsScene):
        return list(zip(SIDES, scene.balls, scene.waits_s, strict=True))
    return [(None, scene, 0.0)] if isinstance(scene, BallScene) else []


def _place_right(scene: Scene, found: Observation) -> bool | None:
    balls = _balls(scene)
    return all(_first_place_right(ball, found.of_side(side)) for side, ball, _ in balls) if balls else None


def _first_place_right(ball: BallScene, bounces: list[SeenEvent]) -> bool:
    if not bounces:
        return False
    first = bounces[0]
    reach = MAX_SPEED_X * first.time_s + PLACE_TOLERANCE
    return abs(first.y - FLOOR_Y) <= PLACE_TOLERANCE and abs(first.x - ball.start_x) <= reach


def _landing_right(scene: Scene, found: Observation) -> bool | None:
    balls = [(side, ball) for side, ball, wait_s in _balls(scene) if wait_s == 0]
    return all(_lands_on_time(ball, found.of_side(side), found.frame_s) for side, ball in balls) if balls else None


def _lands_on_time(ball: BallScene, bounces: list[SeenEvent], tolerance_s: float) -> bool:
    landing_s = float(ball.contacts()[0][0])
    return bool(bounces) and abs(bounces[0].time_s - landing_s) <= tolerance_s
