"""Two balls of different colours on one floor: each bounces in its own half, each bounce has its own colour's pitch.

The caption says which ball is let go first; when the other one follows is known only by agreement of video and audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import NO_SIZE, SIDE_WORDS, SIZE_WORDS, TWO_WORDS
from mova.toyworld.asked.parts import (
    by_side,
    draw_fitting,
    find_background,
    find_colours,
    find_material,
    first_side,
    fit_count,
)
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport, discs, paint
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S, Event, SeenEvent
from mova.toyworld.reading.detect_audio import HeardEvent, detect_audio
from mova.toyworld.reading.detect_bounces import bounces
from mova.toyworld.reading.measures import most, sounds_agree, track_colours_right
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.reading.track import DiscTrack, track_disc
from mova.toyworld.scenes.ball import (
    BALL_DISC,
    DROP,
    FLOOR_WORDS,
    GRAVITY,
    MAX_SPEED_X,
    RESTITUTION,
    TIMBRE_WORDS,
    BallScene,
)
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, BALL_RADIUS, COLOUR_RGB, COLOURS, MATERIALS, PITCH_WORD, SIDES

FloatArray = NDArray[np.float64]

# Where the centres are at the start and at the end of a clip of the reference length: the halves stay apart.
RANGE_X: Final = ((0.12, 0.40), (0.60, 0.88))
# Between any two landings, of the same ball or of both, so that each sound can be told from the one before.
MIN_GAP_S: Final = 0.13
WAIT_S: Final = (0.1, 0.6)
LEVEL_SHARE: Final = 0.7  # of a single ball's: two may ring at once

_CLEAR_DROP: Final = 0.08
_BALL_NOUNS: Final = ("ball", "balls", "marble", "marbles", "球", "皮球", "小球", "弹珠")
_SEEN: Final = (
    "A {left} ball on the left and a {right} ball on the right bounce on {floor} before a {background} wall, "
    "the {first} one first.",
    "Before a {background} wall, a {left} ball on the left and a {right} ball on the right bounce on {floor}, "
    "the {first} one first.",
    "A {left} ball on the left and a {right} ball on the right fall onto {floor} before a {background} wall, "
    "first the {first} one.",
)
_HEARD: Final = (
    "The audio has {timbre}, {pitches}.",
    "The audio contains {timbre}: {pitches}.",
    "The audio is {timbre}, {pitches}.",
)
_PARAPHRASES: Final = (
    "In front of a {background} wall a {left} ball on the left and a {right} ball on the right fall onto {floor} "
    "and bounce, the {first} one first. The audio has {timbre}: {pitches}.",
    "The audio contains {timbre}, {pitches}. A {left} ball on the left and a {right} ball on the right bounce "
    "before a {background} wall on {floor}, first the {first} one.",
    "The left ball is {left}, the right ball is {right}. The two fall onto {floor} before a {background} wall, "
    "the {first} one first. The audio is {timbre}: {left_pitch} on the left and {right_pitch} on the right.",
    "The {first} ball falls first: a {left} one is on the left, a {right} one on the right, and each bounces on "
    "{floor} in front of a {background} wall. The audio has {timbre}, {pitches}.",
    "Before a {background} wall stands {floor}, on which a {left} ball bounces left and a {right} ball right, "
    "the {first} one first. The audio is made of {timbre}, {left_pitch} on the left, {right_pitch} on the right.",
    "The wall is {background}. A {left} ball on the left and a {right} one on the right bounce on {floor}, first "
    "the {first} one. The audio has {timbre}, with a {left_pitch} pitch left and a {right_pitch} pitch right.",
    "The audio is {timbre}: {left_pitch} on the left, {right_pitch} on the right. In front of a {background} "
    "wall a {left} ball falls on the left and a {right} ball on the right, onto {floor}, the {first} one first.",
)


@dataclass(frozen=True)
class BallsScene(Scene):
    """Two balls, one let go at time 0 and the other one later; of every pair the left ball's value comes first.

    Attributes:
        material: material of the floor.
        colours: colours of the balls, different.
        sizes: keys of `BALL_RADIUS`.
        drops, start_xs, speeds_x, restitutions: as for `BallScene`.
        waits_s: seconds until each ball is let go.
    """

    kind: ClassVar[str] = "balls"
    held_out: ClassVar[frozenset[Combination]] = BallScene.held_out
    first_frame_sets_landing: ClassVar[bool] = True
    held_out_guidance_scale: ClassVar[float | None] = BallScene.held_out_guidance_scale
    words: ClassVar[Mapping[str, int]] = BallScene.words
    other_words: ClassVar[tuple[str, ...]] = BallScene.other_words
    summary: ClassVar[str] = "two balls bounce on one floor"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    material: str
    colours: tuple[str, str]
    sizes: tuple[str, str]
    drops: tuple[float, float]
    start_xs: tuple[float, float]
    speeds_x: tuple[float, float]
    restitutions: tuple[float, float]
    waits_s: tuple[float, float]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return two random balls that never land at the same time, nor near the end of the reference length."""
        colours = tuple(str(colour) for colour in rng.choice(COLOURS, 2, replace=False))
        start_xs = [float(rng.uniform(*bounds)) for bounds in RANGE_X]
        speeds_x = []
        for start_x, bounds in zip(start_xs, RANGE_X, strict=True):
            slowest, fastest = ((end_x - start_x) / REFERENCE_DURATION_S for end_x in bounds)
            speeds_x.append(float(rng.uniform(max(slowest, -MAX_SPEED_X), min(fastest, MAX_SPEED_X))))
        scene = cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            material=str(rng.choice(MATERIALS)),
            colours=(colours[0], colours[1]),
            sizes=(str(rng.choice(list(BALL_RADIUS))), str(rng.choice(list(BALL_RADIUS)))),
            drops=(0.0, 0.0),
            start_xs=(start_xs[0], start_xs[1]),
            speeds_x=(speeds_x[0], speeds_x[1]),
            restitutions=(0.0, 0.0),
            waits_s=(0.0, 0.0),
        )
        late = int(rng.integers(2))
        while True:
            drops, restitutions = rng.uniform(*DROP, 2).tolist(), rng.uniform(*RESTITUTION, 2).tolist()
            wait_s = float(rng.uniform(*WAIT_S))
            waits_s = (wait_s, 0.0) if late == 0 else (0.0, wait_s)
            scene = replace(scene, drops=tuple(drops), restitutions=tuple(restitutions), waits_s=waits_s)
            times = [ball.contacts()[0] + wait for ball, wait in zip(scene.balls, waits_s, strict=True)]
            landings = np.sort(np.concatenate(times))
            heard = landings[landings < REFERENCE_DURATION_S]
            if heard[-1] < LAST_EVENT_S and np.diff(heard).min() >= MIN_GAP_S:
                return scene

    @classmethod
    def likeness(cls, said: Said) -> int:
        """Return one more than for a single ball where two are meant, else 0."""
        one = BallScene.likeness(said)
        copy = Said(said.text)
        colours = {found.value for found in find_colours(copy)}
        sides = {found.value for found in copy.find(SIDE_WORDS)}
        are_two = copy.has((*TWO_WORDS, "balls", "marbles")) or len(colours) > 1 or len(sides) > 1
        return one + 1 if one and are_two and copy.has(_BALL_NOUNS) else 0

    @classmethod
    def from_said(cls, said: Said, seed: int) -> BallsScene:
        """Return the two balls that a free wording asks for."""
        said.find(dict.fromkeys((*cls.words, *TWO_WORDS), True), beside=cls.other_words)
        background = find_background(said)
        material = find_material(said)
        found = find_colours(said)
        left, right = by_side(said, found)
        first = first_side(said, (left, right))
        sizes = [size.value for size in said.find(SIZE_WORDS, beside=NO_SIZE)]
        fit_count(said, said.count_of(_BALL_NOUNS), (2, 2), "balls")
        if found and not (left and right):
            said.changes.append(f"one ball is {left or right}, the other one of another colour: they are never alike")
        if len({one.value for one in found}) > 2:
            said.problems.append(f"there are two balls, {left} and {right}: the other colours are left out")

        def draw(seed: int, rng: np.random.Generator) -> BallsScene:
            scene = cls.sample(seed, rng)
            left_one, right_one = left or scene.colours[0], right or scene.colours[1]
            return replace(
                scene,
                background=background or scene.background,
                material=material or scene.material,
                colours=(left_one, right_one),
                sizes=(sizes[0], sizes[-1]) if sizes else scene.sizes,
            )

        def fits(scene: BallsScene) -> bool:
            first_at = SIDES.index(scene.first_side)
            # Who is let go first also falls less deep, so that the first frame says so too.
            is_clear = scene.drops[first_at] < scene.drops[1 - first_at] - _CLEAR_DROP
            return is_clear and len(set(scene.colours)) == 2 and first in (None, scene.first_side)

        return draw_fitting(seed, draw, fits)

    @property
    def balls(self) -> tuple[BallScene, BallScene]:
        """The left and the right ball, each as a scene of its own."""
        left, right = (
            BallScene(
                seed=self.seed,
                background=self.background,
                colour=self.colours[index],
                material=self.material,
                size=self.sizes[index],
                drop=self.drops[index],
                start_x=self.start_xs[index],
                speed_x=self.speeds_x[index],
                restitution=self.restitutions[index],
            )
            for index in range(2)
        )
        return left, right

    @property
    def first_side(self) -> str:
        """Which ball is let go first, "left" or "right"."""
        return SIDES[self.waits_s.index(min(self.waits_s))]

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the bounces of both balls in the first `duration_s` seconds."""
        bounces = [
            replace(
                event,
                time_s=event.time_s + wait_s,
                level=LEVEL_SHARE * event.level,
                side=side,
            )
            for side, ball, wait_s in zip(SIDES, self.balls, self.waits_s, strict=True)
            for event in ball.events(duration_s - wait_s)
        ]
        return tuple(sorted(bounces, key=lambda event: event.time_s))

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        left, right = self.balls
        frames = left.draw(viewport, np.maximum(times_s - self.waits_s[0], 0.0))
        x, y = right.positions(np.maximum(times_s - self.waits_s[1], 0.0))
        paint(frames, discs(viewport.x(x), viewport.y(y), right.radius * viewport.scale), COLOUR_RGB[right.colour])
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:  # noqa: ARG002 (nothing in a row)
        """Return the words of captions."""
        left, right = (f"{size} {colour}" for size, colour in zip(self.sizes, self.colours, strict=True))
        left_pitch, right_pitch = (PITCH_WORD[colour] for colour in self.colours)
        return {
            "left": left,
            "right": right,
            "floor": FLOOR_WORDS[self.material],
            "background": self.background,
            "first": self.first_side,
            "timbre": TIMBRE_WORDS[self.material],
            "left_pitch": left_pitch,
            "right_pitch": right_pitch,
            "pitches": f"{left_pitch} left and {right_pitch} right",
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return colour, floor and size of each ball."""
        return tuple(found for ball in self.balls for found in ball.combinations())

    @classmethod
    def discs(cls, frames: NDArray[np.uint8]) -> tuple[DiscTrack, ...]:
        """Follow both balls, the left one first."""
        return tuple(track_disc(frames, BALL_DISC, side) for side in SIDES)

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the bounces of both balls that are seen."""
        times_s = np.arange(len(frames)) / frame_rate
        tracks = cls.discs(frames)
        landings = [bounces(track, times_s, GRAVITY, side) for track, side in zip(tracks, SIDES, strict=True)]
        both = sorted((event for events in landings for event in events), key=lambda event: event.time_s)
        return VideoReading(tuple(both), tracks)

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the blows that are heard."""
        return detect_audio(waveform, sample_rate)

    def measure(self, found: Observation) -> Measures:
        """Return whether floor, notes, colours, who is first, and place and time of the first landings are right."""
        colour_right, start_colour_right = track_colours_right(found.seen.tracks, self.colours)
        heard = [event.colour for event in found.heard]
        balls = list(zip(SIDES, self.balls, self.waits_s, strict=True))
        return Measures(
            pitch_right=sounds_agree(found, self._sound_of),
            material_right=most([event.timbre for event in found.heard]) == self.material,
            order_right=bool(found.seen.events and heard)
            and found.seen.events[0].side == self.first_side
            and heard[0] == self.colours[SIDES.index(self.first_side)],
            place_right=all(ball.place_right(found.of_side(side)) for side, ball, _ in balls),
            landing_right=all(
                ball.landing_right(found.of_side(side), found.frame_s) for side, ball, wait_s in balls if wait_s == 0
            ),
            colour_right=colour_right,
            start_colour_right=start_colour_right,
        )

    def _sound_of(self, event: SeenEvent) -> str | None:
        return None if event.side is None else self.colours[SIDES.index(event.side)]
