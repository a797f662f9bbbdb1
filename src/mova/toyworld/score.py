"""Compare what is seen with what is heard in one clip, and both with what the prompt and the first frame asked for.

Synchronisation needs no ground truth: a visible event and an audible event belong together when they are at most one
frame apart. Everything else is measured against the scene that caption and first frame come from; times are never
compared with the scene's, except for the ball's first landing, which the first frame decides.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import GeometryError
from mova.toyworld.ball import FLOOR_Y, MAX_SPEED_X, BallScene
from mova.toyworld.detect_audio import HeardEvent, detect_audio
from mova.toyworld.detect_video import VideoReading, detect_video
from mova.toyworld.draw import Viewport
from mova.toyworld.event import countable_until
from mova.toyworld.mallet import BAR_BOTTOM, BAR_TOP, STICK_REACH, MalletScene
from mova.toyworld.scene import Scene
from mova.toyworld.track import DiscTrack, track_disc
from mova.toyworld.vocabulary import BAR, COLOUR_RGB, COLOURS
from mova.types import Clip

FloatArray = NDArray[np.float64]

MAX_BACKGROUND_ERROR: Final = 6.0  # levels of 255, mean over the pixels that nothing passes
BACKGROUND_QUANTILE: Final = 0.95  # of the frames have to be below it
MAX_START_DISTANCE: Final = 0.03
MAX_SIZE_DEVIATION: Final = 0.15
SIZE_QUANTILE: Final = 0.9
MIN_COLOUR_SHARE: Final = 0.9
MIN_SATURATION: Final = 0.2
PLACE_TOLERANCE: Final = 0.03
MARGIN: Final = 0.04  # around moving things that is not counted as background


@dataclass(frozen=True)
class ClipScore:
    """One clip's measures. Booleans say whether the clip passes; a clip without the thing measured does not pass.

    Attributes:
        kind, seed: of the scene.
        seen_s, heard_s: times of all visible and all audible events.
        until_s: only events before it are counted.
        tolerance_s: one frame.
        offsets_ms: audible minus visible time of each matched pair; above 0 the sound is late.
        material_right: most heard events have the floor's timbre, or the bars'.
        pitch_right: ball: most heard events have the note that the ball sounds. Mallet: every sound that goes with a
            visible blow is the note of the bar that lights up.
        order_right: the bars light up, and the notes sound, in the caption's order; None for a ball.
        place_right: the first bounce is on the floor, near the start; None for a mallet.
        landing_right: the ball's first bounce is within one frame of the time that the height sets; None for a mallet.
        colour_right: ball: right in 90 % of the frames that show it. Mallet: right for all five bars.
        size_kept: the disc's radius stays within 15 % of the first frame's in 90 % of the frames.
        background_kept: what nothing passes stays as in the first frame.
        start_kept: the clip's first frame shows the object where the given first frame does.
        background_error: 95th percentile over frames of the mean absolute error of the background, in levels of 255.
        size_deviation: 90th percentile over frames of the relative error of the radius; 1 where not visible.
        start_distance: in units of the frame size; infinite where not visible.
    """

    kind: str
    seed: int
    seen_s: tuple[float, ...]
    heard_s: tuple[float, ...]
    until_s: float
    tolerance_s: float
    offsets_ms: tuple[float, ...]
    material_right: bool
    pitch_right: bool
    order_right: bool | None
    place_right: bool | None
    landing_right: bool | None
    colour_right: bool
    size_kept: bool
    background_kept: bool
    start_kept: bool
    background_error: float
    size_deviation: float
    start_distance: float

    @property
    def faithful(self) -> bool:
        """Whether background and object begin and stay as in the first frame."""
        return self.background_kept and self.start_kept

    @property
    def nothing_seen(self) -> bool:
        """Whether no visible event was found."""
        return not self.seen_s

    @property
    def nothing_heard(self) -> bool:
        """Whether no audible event was found."""
        return not self.heard_s

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        values = asdict(self)
        values["start_distance"] = self.start_distance if np.isfinite(self.start_distance) else None
        return values


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


def score_clip(scene: Scene, clip: Clip, *, first_frame: NDArray[np.uint8] | None = None) -> ClipScore:
    """Measure one clip against the scene whose caption and first frame it was made from.

    Args:
        scene: what was asked for.
        clip: what came; a clip without sound counts as silent.
        first_frame: (H, W, 3) uint8 that was given; by default the scene's own.

    Raises:
        GeometryError: the first frame has another size than the clip.
    """
    if first_frame is None:
        first_frame = scene.draw(Viewport(*clip.frames.shape[1:3]), np.zeros(1))[0]
    if first_frame.shape != clip.frames.shape[1:]:
        raise GeometryError(f"first frame must have the clip's shape {clip.frames.shape[1:]}, got {first_frame.shape}")
    reading = detect_video(clip.frames, clip.frame_rate, scene.kind)
    heard = detect_audio(clip.waveform, clip.sample_rate)
    given = track_disc(first_frame[None], scene.kind)
    seen_s = tuple(event.time_s for event in reading.events)
    heard_s = tuple(event.time_s for event in heard)
    pairs = match_events(seen_s, heard_s, 1 / clip.frame_rate)
    until_s = countable_until(len(clip.frames), clip.frame_rate)
    colour_right, start_colour_right = _colours_right(scene, reading)
    start_distance = float(np.hypot(reading.track.x[0] - given.x[0], reading.track.y[0] - given.y[0]))
    start_distance = start_distance if np.isfinite(start_distance) else float("inf")
    deviation = np.nan_to_num(np.abs(reading.track.radius / given.radius[0] - 1), nan=1.0)
    size_deviation = float(np.quantile(deviation, SIZE_QUANTILE))
    background_error = _background_error(clip.frames, first_frame, scene.kind, reading.track, given)
    return ClipScore(
        kind=scene.kind,
        seed=scene.seed,
        seen_s=seen_s,
        heard_s=heard_s,
        until_s=until_s,
        tolerance_s=1 / clip.frame_rate,
        offsets_ms=tuple(1000 * (heard_s[j] - seen_s[i]) for i, j in pairs),
        material_right=_most([event.timbre for event in heard]) == _timbre(scene),
        pitch_right=_pitch_right(scene, reading, heard, pairs),
        order_right=_order_right(scene, reading, heard),
        place_right=_place_right(scene, reading),
        landing_right=_landing_right(scene, reading, 1 / clip.frame_rate),
        colour_right=colour_right,
        size_kept=size_deviation <= MAX_SIZE_DEVIATION,
        background_kept=background_error <= MAX_BACKGROUND_ERROR,
        start_kept=start_distance <= MAX_START_DISTANCE and start_colour_right,
        background_error=background_error,
        size_deviation=size_deviation,
        start_distance=start_distance,
    )


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


def _timbre(scene: Scene) -> str:
    return scene.material if isinstance(scene, BallScene) else BAR


def _colours_right(scene: Scene, reading: VideoReading) -> tuple[bool, bool]:
    """Return whether the colours are right through the clip, and in its first frame."""
    if reading.bar_rgb is not None:
        bars_right = all(nearest_colour(rgb) == colour for rgb, colour in zip(reading.bar_rgb, COLOURS, strict=True))
        return bars_right, True
    track = reading.track
    expected = scene.colour if isinstance(scene, BallScene) else None
    right = [nearest_colour(rgb) == expected for rgb in track.rgb[track.visible]]
    through = bool(right) and float(np.mean(right)) >= MIN_COLOUR_SHARE
    return through, bool(track.visible[0]) and nearest_colour(track.rgb[0]) == expected


def _pitch_right(
    scene: Scene, reading: VideoReading, heard: Sequence[HeardEvent], pairs: Sequence[tuple[int, int]]
) -> bool:
    if isinstance(scene, MalletScene):
        return bool(pairs) and all(COLOURS[reading.events[i].bar or 0] == heard[j].colour for i, j in pairs)
    return isinstance(scene, BallScene) and _most([event.colour for event in heard]) == scene.sounding_colour


def _order_right(scene: Scene, reading: VideoReading, heard: Sequence[HeardEvent]) -> bool | None:
    if not isinstance(scene, MalletScene):
        return None
    wanted = [COLOURS[bar] for bar in scene.bars]
    lit = [COLOURS[event.bar] for event in reading.events if event.bar is not None]
    return lit == wanted and [event.colour for event in heard] == wanted


def _place_right(scene: Scene, reading: VideoReading) -> bool | None:
    if not isinstance(scene, BallScene):
        return None
    if not reading.events:
        return False
    first = reading.events[0]
    reach = MAX_SPEED_X * first.time_s + PLACE_TOLERANCE
    return abs(first.y - FLOOR_Y) <= PLACE_TOLERANCE and abs(first.x - scene.start_x) <= reach


def _landing_right(scene: Scene, reading: VideoReading, tolerance_s: float) -> bool | None:
    if not isinstance(scene, BallScene):
        return None
    landing_s = float(scene.contacts()[0][0])
    return bool(reading.events) and abs(reading.events[0].time_s - landing_s) <= tolerance_s


def _background_error(
    frames: NDArray[np.uint8], first_frame: NDArray[np.uint8], kind: str, track: DiscTrack, given: DiscTrack
) -> float:
    """Return the 95th percentile over frames of the mean absolute error where nothing passes."""
    height, width = first_frame.shape[:2]
    viewport = Viewport(height, width)
    x = (np.arange(width) + 0.5 - viewport.left) / viewport.scale
    y = (np.arange(height) + 0.5 - viewport.top) / viewport.scale
    always = np.ones((height, width), bool)
    if kind == "mallet":
        always[(y > BAR_TOP - MARGIN) & (y < BAR_BOTTOM + MARGIN)] = False
    _hide(always, x, y, kind, (given.x[0], given.y[0], given.radius[0]))
    difference = np.abs(frames.astype(np.int16) - first_frame).sum(axis=-1)
    errors = []
    for at, error in enumerate(difference):
        counted = always.copy()
        if track.visible[at]:
            _hide(counted, x, y, kind, (track.x[at], track.y[at], track.radius[at]))
        errors.append(float(error[counted].mean()) / 3)
    return float(np.quantile(errors, BACKGROUND_QUANTILE))


def _hide(
    counted: NDArray[np.bool_], x: FloatArray, y: FloatArray, kind: str, disc: tuple[float, float, float]
) -> None:
    """Take the box around a disc, and around the mallet's stick, out of `counted` (H, W), in place."""
    centre_x, centre_y, radius = disc
    right, up = (STICK_REACH[0], -STICK_REACH[1]) if kind == "mallet" else (0.0, 0.0)
    near_x = (x > centre_x - radius - MARGIN) & (x < centre_x + radius + right + MARGIN)
    near_y = (y > centre_y - radius - up - MARGIN) & (y < centre_y + radius + MARGIN)
    counted[np.ix_(near_y, near_x)] = False
