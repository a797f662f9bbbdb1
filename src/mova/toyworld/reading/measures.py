"""Questions that several kinds of scene ask of a clip: is this that colour, is that size kept, does the sound agree."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.observation import Observation
from mova.toyworld.reading.track import DiscTrack
from mova.toyworld.vocabulary import COLOUR_RGB, COLOURS

FloatArray = NDArray[np.float64]

SIZE_QUANTILE: Final = 0.9
MIN_COLOUR_SHARE: Final = 0.9
MIN_SATURATION: Final = 0.2


def nearest_colour(rgb: FloatArray) -> str | None:
    """Return the world's colour with the nearest hue to `rgb` (3,) in [0, 255]; None for greys."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(np.clip(rgb, 0, 255) / 255).tolist())
    if saturation < MIN_SATURATION:
        return None

    def distance(colour: str) -> float:
        other = colorsys.rgb_to_hsv(*(level / 255 for level in COLOUR_RGB[colour]))[0]
        return min(abs(hue - other), 1 - abs(hue - other))

    return min(COLOURS, key=distance)


def colours_of(pixels: Iterable[FloatArray] | None) -> list[str | None]:
    """Return the world's colour of each of some pixels (3,)."""
    return [] if pixels is None else [nearest_colour(rgb) for rgb in pixels]


def most(words: Sequence[str]) -> str | None:
    """Return the word that more than half of `words` are."""
    if not words:
        return None
    word, count = Counter(words).most_common(1)[0]
    return word if 2 * count > len(words) else None


def size_deviation(track: DiscTrack, given: DiscTrack) -> float:
    """Return the 90th percentile of how far a disc's radius is from that in a given frame, as a share of it."""
    deviation = np.nan_to_num(np.abs(track.radius / given.radius[0] - 1), nan=1.0)
    return float(np.quantile(deviation, SIZE_QUANTILE))


def start_distance(track: DiscTrack, given: DiscTrack) -> float:
    """Return how far a disc begins from where it is in a given frame; infinite where it is not visible."""
    distance = float(np.hypot(track.x[0] - given.x[0], track.y[0] - given.y[0]))
    return distance if np.isfinite(distance) else float("inf")


def track_colours_right(tracks: Sequence[DiscTrack], colours: Sequence[str]) -> tuple[bool, bool]:
    """Return whether discs have their colours through the clip, and in its first frame."""
    both = list(zip(tracks, colours, strict=True))
    through = [_track_colour_right(track, colour) for track, colour in both]
    starts = [bool(track.visible[0]) and nearest_colour(track.rgb[0]) == colour for track, colour in both]
    return all(through), all(starts)


def _track_colour_right(track: DiscTrack, colour: str) -> bool:
    right = [nearest_colour(rgb) == colour for rgb in track.rgb[track.visible]]
    return bool(right) and float(np.mean(right)) >= MIN_COLOUR_SHARE


def sounds_agree(found: Observation, sound_of: Callable[[SeenEvent], str | None]) -> bool:
    """Return whether everything that is seen with a sound has its own note or voice, as `sound_of` names it."""
    return bool(found.pairs) and all(sound_of(found.seen.events[i]) == found.heard[j].colour for i, j in found.pairs)


def notes_in_order(found: Observation, wanted: Sequence[str], sound_of: Callable[[SeenEvent], str | None]) -> bool:
    """Return whether notes are seen and heard exactly as a caption has them."""
    heard = [event.colour for event in found.heard]
    return [sound_of(event) for event in found.seen.events] == list(wanted) == heard


def signs_in_order(found: Observation, wanted: Sequence[str]) -> bool:
    """Return whether what is said is seen and heard exactly as a caption has it."""
    said, shown = [event.timbre for event in found.heard], [event.sign for event in found.seen.events]
    return said == list(wanted) == shown


def signs_agree(found: Observation) -> bool:
    """Return whether everything that is heard with a visible sign says that sign."""
    return bool(found.pairs) and all(found.seen.events[i].sign == found.heard[j].timbre for i, j in found.pairs)
