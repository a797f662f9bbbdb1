"""The bouncing ball: a coloured ball falls on a floor of wood, metal or drum skin and bounces.

The first frame shows height, colour, size and floor, so that the first landing is known from it. How much speed a
bounce keeps is shown and told nowhere: every later bounce is known only by agreement of video and audio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import HEIGHT_WORDS_SAID, NO_SIZE, SIZE_WORDS
from mova.toyworld.asked.parts import draw_fitting, find_background, find_colours, find_material
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport, discs, fill_below, paint, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S, Event, SeenEvent
from mova.toyworld.reading.detect_audio import HeardEvent, detect_audio
from mova.toyworld.reading.detect_bounces import bounces
from mova.toyworld.reading.measures import most, track_colours_right
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.reading.track import Disc, DiscTrack, track_disc
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import (
    BACKGROUND_RGB,
    BALL_RADIUS,
    COLOUR_RGB,
    COLOURS,
    FLOOR_EDGE_RGB,
    FLOOR_RGB,
    HEIGHT_WORDS,
    MATERIALS,
    PITCH_WORD,
    pitch_hz,
)

FloatArray = NDArray[np.float64]

GRAVITY: Final = 7.0  # frame sizes per second squared
FLOOR_Y: Final = 0.86
FLOOR_EDGE: Final = 0.025
DROP: Final = (0.3, 0.6)
RESTITUTION: Final = (0.82, 0.92)
START_X: Final = (0.2, 0.8)
END_X: Final = (0.12, 0.88)  # after the reference length; no ball is cut by the frame's border
MAX_SPEED_X: Final = 0.1
# Below this speed the ball lies still; without an end the contact times would converge and never stop.
MIN_IMPACT_SPEED: Final = 0.35
FULL_LEVEL_SPEED: Final = (2 * GRAVITY * DROP[1]) ** 0.5
FULL_LEVEL: Final = 0.72
LEVEL_EXPONENT: Final = 0.7
MIN_LEVEL: Final = 0.36 * FULL_LEVEL  # 9 dB below the loudest

BALL_DISC: Final = Disc(reach=0.12)
PLACE_TOLERANCE: Final = 0.03
# All sizes of three pairs of colour and floor, so that the sound of each pair has never been heard, ...
_WHOLE_PAIRS: Final = {
    (colour, material, size)
    for colour, material in (("green", "wood"), ("blue", "metal"), ("yellow", "drum"))
    for size in ("small", "medium", "large")
}
# ... and one size of three others, whose sound is known from the other sizes.
_SINGLE_SIZES: Final = {("red", "wood", "large"), ("purple", "metal", "small"), ("blue", "drum", "medium")}

FLOOR_WORDS: Final = {"wood": "a wooden floor", "metal": "a metal plate", "drum": "a drum skin"}
TIMBRE_WORDS: Final = {"wood": "woody knocks", "metal": "ringing metal sounds", "drum": "drum beats"}
_HEIGHT_WORDS: Final = {"low": "low down", "medium": "medium height", "high": "high up"}
# What free wordings call a ball and what it does.
BALL_WORDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("ball", "balls", "marble", "marbles", "football", "basketball", "球", "皮球", "弹珠", "小球"), 3),
    **dict.fromkeys(("bounce", "bounces", "bouncing", "bounced", "弹跳", "蹦"), 2),
    **dict.fromkeys(("fall", "falls", "falling", "drop", "drops", "dropped", "dropping"), 1),
    **dict.fromkeys(("掉", "落", "落下", "弹", "弹起", "跳", "跳动", "蹦来蹦去", "跳来跳去", "弹来弹去"), 1),
}
NO_BALL: Final = ("雪球", "地球", "星球", "环球", "气球", "眼球", "弹钢琴", "弹奏", "弹琴", "弹出")
_SEEN: Final = (
    "A {size} {colour} ball falls from {height} onto {floor} and bounces in front of a {background} wall.",
    "In front of a {background} wall, a {size} {colour} ball drops from {height} and bounces on {floor}.",
    "A {size} ball, {colour} in colour, is dropped from {height} and bounces on {floor} before a {background} wall.",
)
_HEARD: Final = (
    "The audio has {timbre} at a {pitch} pitch, one for every bounce.",
    "The audio contains {timbre} with a {pitch} pitch each time the ball lands.",
    "The audio is made of {timbre} at a {pitch} pitch, heard at each landing.",
)
_PARAPHRASES: Final = (
    "A {size} {colour} ball is dropped from {height} before a {background} wall and bounces on {floor}. "
    "The audio has {timbre} for each bounce, at a {pitch} pitch.",
    "The audio contains {timbre}, each at a {pitch} pitch. "
    "Before a {background} wall a {size} {colour} ball falls from {height} and bounces on {floor}.",
    "In front of a {background} wall stands {floor}, onto which a {size} {colour} ball drops from {height}. "
    "Each time that the ball lands is heard at a {pitch} pitch: {timbre}.",
    "The ball is {colour} and {size}, falls from {height} onto {floor} and bounces before a {background} wall. "
    "The audio is {timbre}, every one at a {pitch} pitch.",
    "The wall is {background}, the ball {colour} and {size}. The ball drops from {height} and bounces on "
    "{floor}. The audio has a {pitch} pitch at each landing: {timbre}.",
    "In front of a {background} wall a ball, {size} and {colour}, drops from {height} onto {floor} and bounces. "
    "The audio at each landing is of a {pitch} pitch: {timbre}.",
    "The audio has {timbre} at a {pitch} pitch for every bounce. "
    "A ball, {colour} and {size}, falls onto {floor} from {height}. The wall is {background}.",
)


@dataclass(frozen=True)
class BallScene(Scene):
    """A ball that is let go at time 0.

    Attributes:
        colour: colour of the ball; decides the pitch.
        material: material of the floor; decides the timbre.
        size: a key of `BALL_RADIUS`.
        drop: distance from the ball's lowest point to the floor at the start.
        start_x: horizontal place of the centre at the start.
        speed_x: constant, per second.
        restitution: share of the vertical speed that a bounce keeps.
        note: colour whose note the ball sounds; None is its own. See `mova.toyworld.pairing`.
    """

    kind: ClassVar[str] = "ball"
    held_out: ClassVar[frozenset[Combination]] = frozenset(_WHOLE_PAIRS | _SINGLE_SIZES)
    first_frame_sets_landing: ClassVar[bool] = True
    # With more, the ball takes the colour that the model knows beside that floor: enhance_mova-tiny_202611.md.
    held_out_guidance_scale: ClassVar[float | None] = 2.0
    words: ClassVar[Mapping[str, int]] = BALL_WORDS
    other_words: ClassVar[tuple[str, ...]] = NO_BALL
    summary: ClassVar[str] = "a ball bounces on wood, metal or a drum"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    colour: str
    material: str
    size: str
    drop: float
    start_x: float
    speed_x: float
    restitution: float
    note: str | None = None

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return a random ball scene without a bounce near the end of a clip of the reference length."""
        start_x = float(rng.uniform(*START_X))
        slowest, fastest = ((end_x - start_x) / REFERENCE_DURATION_S for end_x in END_X)
        scene = cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            colour=str(rng.choice(COLOURS)),
            material=str(rng.choice(MATERIALS)),
            size=str(rng.choice(list(BALL_RADIUS))),
            drop=float(rng.uniform(*DROP)),
            start_x=start_x,
            speed_x=float(rng.uniform(max(slowest, -MAX_SPEED_X), min(fastest, MAX_SPEED_X))),
            restitution=float(rng.uniform(*RESTITUTION)),
        )
        # Only the restitution is drawn again, so that all heights stay equally frequent.
        while any(event.time_s >= LAST_EVENT_S for event in scene.events(REFERENCE_DURATION_S)):
            scene = replace(scene, restitution=float(rng.uniform(*RESTITUTION)))
        return scene

    @classmethod
    def from_said(cls, said: Said, seed: int) -> BallScene:
        """Return the ball that a free wording asks for."""
        said.find(dict.fromkeys(cls.words, True), beside=cls.other_words)
        background = find_background(said)
        material = find_material(said)
        colours = list(dict.fromkeys(found.value for found in find_colours(said)))
        if len(colours) > 1:
            said.problems.append(f"a ball has one colour: {colours[0]} and not {' or '.join(colours[1:])}")
        heights = said.find(HEIGHT_WORDS_SAID)
        sizes = [found.value for found in said.find(SIZE_WORDS, beside=NO_SIZE)]

        def draw(seed: int, rng: np.random.Generator) -> BallScene:
            scene = cls.sample(seed, rng)
            return replace(
                scene,
                background=background or scene.background,
                material=material or scene.material,
                colour=colours[0] if colours else scene.colour,
                size=sizes[0] if sizes else scene.size,
            )

        def fits(scene: BallScene) -> bool:
            return not heights or scene.height_word == heights[0].value

        return draw_fitting(seed, draw, fits)

    @property
    def sounding_colour(self) -> str:
        """The colour whose note is heard."""
        return self.note or self.colour

    @property
    def radius(self) -> float:
        """Of the ball."""
        return BALL_RADIUS[self.size]

    @property
    def rest_y(self) -> float:
        """Height of the centre while the ball touches the floor."""
        return FLOOR_Y - self.radius

    @property
    def height_word(self) -> str:
        """low, medium or high: the third of the range of drops."""
        third = int(3 * (self.drop - DROP[0]) / (DROP[1] - DROP[0]))
        return HEIGHT_WORDS[min(max(third, 0), 2)]

    def contacts(self) -> tuple[FloatArray, FloatArray]:
        """Return the times and impact speeds (K,) of all contacts, until the ball lies still."""
        first_time = (2 * self.drop / GRAVITY) ** 0.5
        first_speed = GRAVITY * first_time
        num_contacts = 1 + max(0, int(np.log(MIN_IMPACT_SPEED / first_speed) / np.log(self.restitution)))
        speeds = first_speed * self.restitution ** np.arange(num_contacts)
        flights = 2 * speeds[1:] / GRAVITY
        return first_time + np.concatenate([[0.0], np.cumsum(flights)]), speeds

    def positions(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and y of the centre (F,) at `times_s` (F,)."""
        contact_times, speeds = self.contacts()
        last = np.searchsorted(contact_times, times_s, side="right") - 1
        since = times_s - contact_times[np.maximum(last, 0)]
        takeoff = np.append(speeds[1:], 0.0)[np.maximum(last, 0)]
        height = np.where(last < 0, self.drop - GRAVITY / 2 * times_s**2, takeoff * since - GRAVITY / 2 * since**2)
        moving = np.minimum(times_s, contact_times[-1])
        return self.start_x + self.speed_x * moving, self.rest_y - np.maximum(height, 0.0)

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the bounces of the first `duration_s` seconds."""
        times, speeds = self.contacts()
        levels = np.maximum(FULL_LEVEL * (speeds / FULL_LEVEL_SPEED) ** LEVEL_EXPONENT, MIN_LEVEL)
        return tuple(
            Event(
                time_s=time_s,
                kind="bounce",
                x=self.start_x + self.speed_x * time_s,
                y=FLOOR_Y,
                bar=None,
                colour=self.colour,
                timbre=self.material,
                pitch_hz=pitch_hz(self.material, self.sounding_colour),
                level=level,
            )
            for time_s, level in zip(times.tolist(), levels.tolist(), strict=True)
            if time_s < duration_s
        )

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        fill_below(backdrop, float(viewport.y(FLOOR_Y)), FLOOR_EDGE_RGB[self.material])
        fill_below(backdrop, float(viewport.y(FLOOR_Y + FLOOR_EDGE)), FLOOR_RGB[self.material])
        frames = np.repeat((backdrop + 0.5).astype(np.uint8)[None], len(times_s), axis=0)
        x, y = self.positions(times_s)
        paint(frames, discs(viewport.x(x), viewport.y(y), self.radius * viewport.scale), COLOUR_RGB[self.colour])
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:  # noqa: ARG002 (nothing in a row)
        """Return the words of captions."""
        return {
            "size": self.size,
            "colour": self.colour,
            "height": _HEIGHT_WORDS[self.height_word],
            "floor": FLOOR_WORDS[self.material],
            "background": self.background,
            "timbre": TIMBRE_WORDS[self.material],
            "pitch": PITCH_WORD[self.sounding_colour],
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return colour, floor and size."""
        return ((self.colour, self.material, self.size),)

    @classmethod
    def discs(cls, frames: NDArray[np.uint8]) -> tuple[DiscTrack, ...]:
        """Follow the ball."""
        return (track_disc(frames, BALL_DISC),)

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the bounces that are seen."""
        tracks = cls.discs(frames)
        return VideoReading(bounces(tracks[0], np.arange(len(frames)) / frame_rate, GRAVITY), tracks)

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the blows that are heard."""
        return detect_audio(waveform, sample_rate)

    def measure(self, found: Observation) -> Measures:
        """Return whether floor, note, colour, and place and time of the first landing are right."""
        colour_right, start_colour_right = track_colours_right(found.seen.tracks, (self.colour,))
        return Measures(
            pitch_right=most([event.colour for event in found.heard]) == self.sounding_colour,
            material_right=most([event.timbre for event in found.heard]) == self.material,
            place_right=self.place_right(found.seen.events),
            landing_right=self.landing_right(found.seen.events, found.frame_s),
            colour_right=colour_right,
            start_colour_right=start_colour_right,
        )

    def place_right(self, landings: Sequence[SeenEvent]) -> bool:
        """Return whether the first landing is on the floor, and not farther from the start than a ball gets."""
        if not landings:
            return False
        first = landings[0]
        reach = MAX_SPEED_X * first.time_s + PLACE_TOLERANCE
        return abs(first.y - FLOOR_Y) <= PLACE_TOLERANCE and abs(first.x - self.start_x) <= reach

    def landing_right(self, landings: Sequence[SeenEvent], tolerance_s: float) -> bool:
        """Return whether the first landing of a ball that is let go at time 0 is when its height sets it."""
        return bool(landings) and abs(landings[0].time_s - float(self.contacts()[0][0])) <= tolerance_s

    def with_notes(self, notes: Mapping[str, str]) -> BallScene:
        """Return the scene with the note of another colour."""
        note = notes.get(self.colour, self.colour)
        return replace(self, note=None if note == self.colour else note)
