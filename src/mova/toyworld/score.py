"""Compare what is seen with what is heard in one clip, and both with what the prompt and the first frame asked for.

Synchronisation needs no ground truth: a visible event and an audible event belong together when they are at most one
frame apart. Everything else is measured against the scene that caption and first frame come from; times are never
compared with the scene's, except for a ball's first landing, which the first frame decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import GeometryError
from mova.toyworld.draw import Viewport
from mova.toyworld.event import countable_until
from mova.toyworld.held_out import has_held_out_combination
from mova.toyworld.reading.background import MAX_BACKGROUND_ERROR, background_error, wall_colour
from mova.toyworld.reading.measures import size_deviation, start_distance
from mova.toyworld.reading.observation import Observation
from mova.toyworld.reading.seams import seams_are_quiet
from mova.toyworld.scenes.scene import Scene
from mova.types import Clip

MAX_START_DISTANCE: Final = 0.03
MAX_SIZE_DEVIATION: Final = 0.15
MAX_HELD_PSNR: Final = 100.0  # of frames that are alike to the bit


@dataclass(frozen=True)
class Known:
    """What a model was given of a clip besides the caption, where it was not the first frame alone.

    Attributes:
        frames: (H, W, 3) uint8 by their number in the clip; none for a caption alone.
        until_s: how far video and audio were both given.
        seams_s: where parts of a clip were joined, that one included.
    """

    frames: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)
    until_s: float = 0.0
    seams_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class ClipScore:
    """One clip's measures. Booleans say whether the clip passes; a clip without the thing measured does not pass.

    Attributes:
        kind, seed: kind and seed of the scene.
        seen_s, heard_s: times of all visible and all audible events.
        until_s: only events before it are counted.
        tolerance_s: one frame.
        offsets_ms: audible minus visible time of each matched pair; above 0 the sound is late.
        held_out_combination: whether the scene shows anything that training can be kept from.
        end_offsets_ms: end of the voice minus the moment that the mouth begins to close, of each matched pair; empty
            where there are no faces.
        material_right: most heard events have the floor's timbre, the bars' or the keys'; None for faces.
        pitch_right: ball: most heard events have the note that the ball sounds. Face and board: every voice is the one
            asked for. Else: every sound that goes with a visible event is the note of the bar, the key or the ball, or
            the voice of the face, that is seen.
        order_right: bars and notes, keys and notes, shapes of the mouth and vowels, or digits that are written and said
            follow the caption's order; the ball that it names is seen and heard first; None for one ball.
        vowel_right: every vowel that is heard is the one whose shape the mouth takes, every digit the one that is
            written; None where nothing is said.
        speaker_right: the mouths open, and the voices are heard, in the order of speakers that the caption says; None
            without two faces.
        place_right: the first bounce of each ball is on the floor, near the start; each digit stands at its place in
            the row; None for other scenes.
        landing_right: the first bounce of a ball that is let go at once is within one frame of the time that its height
            sets; None without balls.
        colour_right: ball: right in 90 % of the frames that show it. Mallet: right for all five bars. Faces: the hats'.
            Board: the ink's. None for keys.
        size_kept: each disc's radius stays within 15 % of the first frame's in 90 % of the frames; None without one.
        background_kept: what nothing passes stays as in the first frame.
        start_kept: the clip's first frame shows the object where the given first frame does; None without a disc.
        background_error: 95th percentile over frames of the mean absolute error of the background, in levels of 255.
        size_deviation: 90th percentile over frames of the relative error of the radius; 1 where not visible; None
            without a disc.
        start_distance: in units of the frame size; infinite where not visible; None without a disc.
        frame_given: whether the first frame was given; without it, nothing that it alone can say is measured.
        background_right: the wall has the colour that the caption says; None where a frame was given that shows it.
        held_psnr: mean PSNR in dB of the frames that were given, against them; None unless asked for.
        from_s: only events after it are counted; what was before was given.
        seams_quiet: the sound rises no more where parts were joined than true clips do away from onsets; None without
            a seam that can be judged.
    """

    kind: str
    seed: int
    seen_s: tuple[float, ...]
    heard_s: tuple[float, ...]
    until_s: float
    tolerance_s: float
    offsets_ms: tuple[float, ...]
    held_out_combination: bool
    end_offsets_ms: tuple[float, ...]
    material_right: bool | None
    pitch_right: bool
    order_right: bool | None
    vowel_right: bool | None
    speaker_right: bool | None
    place_right: bool | None
    landing_right: bool | None
    colour_right: bool | None
    size_kept: bool | None
    background_kept: bool | None
    start_kept: bool | None
    background_error: float | None
    size_deviation: float | None
    start_distance: float | None
    frame_given: bool = True
    background_right: bool | None = None
    held_psnr: float | None = None
    from_s: float = 0.0
    seams_quiet: bool | None = None

    @property
    def faithful(self) -> bool | None:
        """Whether background and object begin and stay as in the first frame; None where it was not given."""
        return self.background_kept is not False and self.start_kept is not False if self.frame_given else None

    @property
    def nothing_seen(self) -> bool:
        """Whether no visible event was found."""
        return not self.seen_s

    @property
    def nothing_heard(self) -> bool:
        """Whether no audible event was found."""
        return not self.heard_s

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        values = asdict(self)
        distance = self.start_distance
        values["start_distance"] = distance if distance is not None and np.isfinite(distance) else None
        # Left out where they say nothing, so that what was stored before there were such measures stays readable.
        return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}


# Fields that came later, and what they are where nobody asks for them.
_LATER: Final = {item.name: item.default for item in fields(ClipScore) if item.default is not MISSING}


@dataclass(frozen=True)
class EventCounts:
    """How many events of a clip count, and how many of them are seen and heard together.

    Attributes:
        seen_matched, seen: matched and all visible events.
        heard_matched, heard: the same for the audible ones.
    """

    seen_matched: int
    seen: int
    heard_matched: int
    heard: int


def count_events(score: ClipScore, heard_s: Sequence[float] | None = None) -> EventCounts:
    """Count what recall and precision are made of, everywhere: events before the clip's uncounted end.

    A clip in which nothing is seen counts as one visible event that is missed, and likewise of what is heard; but not
    where its beginning was given, after which nothing more may be due.

    Args:
        score: score of the clip.
        heard_s: ascending times of another audio that is laid under it; its own by default.
    """
    heard_s = score.heard_s if heard_s is None else heard_s
    found = count_pairs(score.seen_s, heard_s, score.tolerance_s, score.until_s, score.from_s)
    least = 0 if score.from_s else 1
    return replace(found, seen=max(least, found.seen), heard=max(least, found.heard))


def count_pairs(
    seen_s: Sequence[float],
    heard_s: Sequence[float],
    tolerance_s: float,
    until_s: float = math.inf,
    from_s: float = 0.0,
) -> EventCounts:
    """Count events and those that belong together: the one way to count them.

    Args:
        seen_s, heard_s: ascending times in seconds.
        tolerance_s: how far the two of a pair may be apart.
        until_s: only events before it are counted; later ones may still be partners of those.
        from_s: likewise, only events from it on.
    """
    pairs = match_events(seen_s, heard_s, tolerance_s)
    seen = [from_s <= time_s < until_s for time_s in seen_s]
    heard = [from_s <= time_s < until_s for time_s in heard_s]
    return EventCounts(sum(seen[i] for i, _ in pairs), sum(seen), sum(heard[j] for _, j in pairs), sum(heard))


def match_events(first_s: Sequence[float], second_s: Sequence[float], tolerance_s: float) -> list[tuple[int, int]]:
    """Pair events of two lists one to one, as many as lie within `tolerance_s` of each other.

    Args:
        first_s, second_s: ascending times in seconds.

    Returns:
        Pairs of indices, ascending.
    """
    pairs = []
    i = j = 0
    while i < len(first_s) and j < len(second_s):
        if abs(first_s[i] - second_s[j]) <= tolerance_s:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif first_s[i] < second_s[j]:
            i += 1
        else:
            j += 1
    return pairs


def score_clip(
    scene: Scene,
    clip: Clip,
    *,
    first_frame: NDArray[np.uint8] | None = None,
    known: Known | None = None,
) -> ClipScore:
    """Measure one clip against the scene whose caption and first frame it was made from.

    Args:
        scene: what was asked for.
        clip: what came; a clip without audio counts as silent.
        first_frame: (H, W, 3) uint8 that was given; by default the scene's own.
        known: what was given where it was not the first frame alone. What only a frame that was not given can say is
            left out; how well the given ones are kept, and how the sound goes on, is measured beside.

    Raises:
        GeometryError: a frame has another size than the clip, or is none of it.
    """
    if known is None:
        return _score_by_frame(scene, clip, first_frame)
    frames = known.frames
    absent = [index for index in frames if not 0 <= index < len(clip.frames)]
    if absent:
        raise GeometryError(
            f"given frames must be of the clip's {len(clip.frames)} frames, got frame {absent[0]}; nearest is "
            f"{min(max(absent[0], 0), len(clip.frames) - 1)}"
        )
    # The earliest one shows most of what a first frame would.
    score = _score_by_frame(scene, clip, frames[min(frames)] if frames else None)
    seams = seams_are_quiet(clip.waveform, clip.sample_rate, known.seams_s, score.heard_s, scene.quiet_rise)
    score = replace(score, held_psnr=held_psnr(clip.frames, frames), from_s=known.until_s, seams_quiet=seams)
    if 0 in frames:
        return score
    score = replace(score, frame_given=False, start_kept=None, start_distance=None)
    if scene.first_frame_sets_landing:
        score = replace(score, place_right=None, landing_right=None)
    if frames:
        return score
    is_right = wall_colour(clip.frames) == scene.background
    return replace(score, background_kept=None, background_error=None, background_right=is_right)


def held_psnr(frames: NDArray[np.uint8], known: Mapping[int, NDArray[np.uint8]]) -> float | None:
    """Return the mean PSNR in dB of given frames in a clip (F, H, W, 3), at most 100; None where none is given."""
    values = []
    for index, frame in known.items():
        error = float(np.mean((frames[index].astype(np.float64) - frame) ** 2))
        values.append(MAX_HELD_PSNR if error == 0 else min(MAX_HELD_PSNR, 10 * math.log10(255**2 / error)))
    return float(np.mean(values)) if values else None


def _score_by_frame(scene: Scene, clip: Clip, first_frame: NDArray[np.uint8] | None) -> ClipScore:
    """Measure a clip by its caption and one frame, by default the scene's first one."""
    if first_frame is None:
        first_frame = scene.draw(Viewport(*clip.frames.shape[1:3]), np.zeros(1))[0]
    if first_frame.shape != clip.frames.shape[1:]:
        raise GeometryError(f"given frame must have the clip's shape {clip.frames.shape[1:]}, got {first_frame.shape}")
    reading = scene.read(clip.frames, clip.frame_rate)
    heard = scene.hear(clip.waveform, clip.sample_rate)
    seen_s = tuple(event.time_s for event in reading.events)
    heard_s = tuple(event.time_s for event in heard)
    pairs = match_events(seen_s, heard_s, 1 / clip.frame_rate)
    measures = scene.measure(Observation(reading, heard, tuple(pairs), 1 / clip.frame_rate))
    given = scene.discs(first_frame[None])
    deviation = distance = None
    if given:
        both = list(zip(reading.tracks, given, strict=True))
        deviation = max(size_deviation(track, disc) for track, disc in both)
        distance = max(start_distance(track, disc) for track, disc in both)
    ends = [(reading.events[i].end_s, heard[j].end_s) for i, j in pairs]
    error = background_error(clip.frames, first_frame, scene.changing, reading.tracks, given)
    return ClipScore(
        kind=scene.kind,
        seed=scene.seed,
        seen_s=seen_s,
        heard_s=heard_s,
        until_s=countable_until(len(clip.frames), clip.frame_rate),
        tolerance_s=1 / clip.frame_rate,
        offsets_ms=tuple(1000 * (heard_s[j] - seen_s[i]) for i, j in pairs),
        held_out_combination=has_held_out_combination(scene),
        end_offsets_ms=tuple(1000 * (end - shut) for shut, end in ends if shut is not None and end is not None),
        material_right=measures.material_right,
        pitch_right=measures.pitch_right,
        order_right=measures.order_right,
        vowel_right=measures.vowel_right,
        speaker_right=measures.speaker_right,
        place_right=measures.place_right,
        landing_right=measures.landing_right,
        colour_right=measures.colour_right,
        size_kept=None if deviation is None else deviation <= MAX_SIZE_DEVIATION,
        background_kept=error <= MAX_BACKGROUND_ERROR,
        start_kept=None if distance is None else distance <= MAX_START_DISTANCE and measures.start_colour_right,
        background_error=error,
        size_deviation=deviation,
        start_distance=distance,
    )
