"""The board: digits are written on it one after another, each at the moment when a voice says it, at times untold.

The pen moves at a steady pace, so that how much of a digit is written in a frame tells when, between two frames, it was
begun. A digit is said as a row of vowels of equal length. The shipped model has never seen a board.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Box, Coverage, Viewport, rounded_box, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, Event
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.detect_voice import detect_voice
from mova.toyworld.reading.detect_writing import Template, row_said, written
from mova.toyworld.reading.measures import colours_of, signs_agree, signs_in_order
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOUR_RGB, COLOURS, VOICE_HZ, Rgb
from mova.toyworld.wording import in_row

FloatArray = NDArray[np.float64]

BOARD: Final[Box] = (0.05, 0.2, 0.95, 0.76)
BOARD_CORNER: Final = 0.02
RIM: Final = 0.022
RIM_RGB: Final[Rgb] = (88, 72, 62)
BOARD_RGB: Final[Rgb] = (247, 246, 242)
NUM_PLACES: Final = 4
PLACE_PITCH: Final = 0.205
DIGIT_Y: Final = 0.48
DIGIT_SIZE: Final = (0.125, 0.3)  # width and height of the pen's path
PEN_RADIUS: Final = 0.02
PLACE_MARGIN: Final = 0.035  # around the pen's path; apart from the rim and the next digit by a pixel at 64 x 64
PLACE_TOLERANCE: Final = 0.03
WRITING_S: Final = 0.125
NUM_POINTS: Final = 128  # of the pen's path
NUM_DIGITS: Final = (2, NUM_PLACES)
FIRST_DIGIT_S: Final = (0.15, 0.4)
PAUSE_S: Final = (0.16, 0.34)
VOWEL_S: Final = 0.11
LAST_END_S: Final = LAST_EVENT_S + 0.04
VOICE_LEVEL: Final = 0.6

DIGIT_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# The vowels that each digit is said with.
DIGIT_VOWELS: Final[dict[str, tuple[str, ...]]] = {
    "0": ("i", "o"),
    "1": ("u", "a"),
    "2": ("u",),
    "3": ("i",),
    "4": ("o",),
    "5": ("a", "i"),
    "6": ("e", "u"),
    "7": ("e", "a"),
    "8": ("e", "i"),
    "9": ("a", "u", "e"),
}
DIGITS: Final = tuple(DIGIT_VOWELS)
_SEEN: Final = (
    "Digits in {colour} are written on a white board in front of a {background} wall: {digits}.",
    "In front of a {background} wall, a white board fills with {colour} digits: {digits}.",
    "On a white board before a {background} wall, {colour} digits appear: {digits}.",
)
_HEARD: Final = (
    "The audio has a {voice} voice that says {digits}.",
    "The audio contains {digits}, spoken by a {voice} voice.",
    "The audio is a {voice} voice saying {digits}.",
)
_PARAPHRASES: Final = (
    "A white board in front of a {background} wall fills with digits in {colour}: {digits}. "
    "The audio has {digits}, said by a {voice} voice.",
    "The audio is a {voice} voice that says {digits}. "
    "On a white board before a {background} wall {colour} digits appear: {digits}.",
    "A white board stands before a {background} wall, and these digits are written in {colour}: {digits}. "
    "The audio contains a {voice} voice saying {digits}.",
    "The wall is {background}, the board white. "
    "Digits appear in {colour}: {digits}. The audio has a {voice} voice: {digits}.",
    "In front of a {background} wall digits in {colour} are written on a white board: {digits}. "
    "The audio is {digits}, spoken in a {voice} voice.",
    "The digits {digits} are written in {colour} on a white board, and the wall is {background}. "
    "The audio contains {digits} in a {voice} voice.",
    "The audio has a {voice} voice saying {digits}. "
    "On a white board in front of a {background} wall these {colour} digits appear: {digits}.",
)


def said_s(digit: str) -> float:
    """Return the seconds in which a digit is said."""
    return VOWEL_S * len(DIGIT_VOWELS[digit])


def place_x(place: int) -> float:
    """Return the middle of a place on the board."""
    return 0.5 + (place - (NUM_PLACES - 1) / 2) * PLACE_PITCH


def place_box(place: int) -> Box:
    """Return the box that a digit is written in."""
    x, (width, height) = place_x(place), DIGIT_SIZE
    across, up = width / 2 + PLACE_MARGIN, height / 2 + PLACE_MARGIN
    return x - across, DIGIT_Y - up, x + across, DIGIT_Y + up


def _arc(x: float, y: float, width: float, height: float, turn: tuple[float, float]) -> list[tuple[float, float]]:
    """Return points on an ellipse of half axes `width` and `height`; degrees from the right, growing downwards."""
    angles = np.radians(np.linspace(*turn, 25))
    return list(zip((x + width * np.cos(angles)).tolist(), (y + height * np.sin(angles)).tolist(), strict=True))


# Lines of the pen, in a box of side 1 from the upper left corner.
STROKES: Final[dict[str, tuple[list[tuple[float, float]], ...]]] = {
    "0": (_arc(0.5, 0.5, 0.5, 0.5, (270, -90)),),
    "1": ([(0.2, 0.25), (0.6, 0.0), (0.6, 1.0)],),
    "2": ([*_arc(0.5, 0.28, 0.46, 0.28, (180, 390)), (0.0, 1.0), (1.0, 1.0)],),
    "3": ([*_arc(0.45, 0.24, 0.45, 0.24, (200, 450)), *_arc(0.45, 0.74, 0.5, 0.26, (270, 510))],),
    "4": ([(0.6, 0.0), (0.0, 0.66), (1.0, 0.66)], [(0.7, 0.35), (0.7, 1.0)]),
    "5": ([(0.95, 0.0), (0.15, 0.0), *_arc(0.45, 0.68, 0.5, 0.32, (225, 500))],),
    "6": ([*_arc(0.9, 0.7, 0.9, 0.7, (275, 180)), *_arc(0.5, 0.7, 0.5, 0.3, (180, -180))],),
    "7": ([(0.0, 0.0), (1.0, 0.0), (0.4, 1.0)],),
    "8": ([*_arc(0.5, 0.25, 0.42, 0.25, (90, 450)), *_arc(0.5, 0.75, 0.5, 0.25, (270, 630))],),
    "9": ([*_arc(0.5, 0.3, 0.5, 0.3, (0, -360)), *_arc(0.1, 0.3, 0.9, 0.7, (0, 80))],),
}


def pen_coverage(viewport: Viewport, place: int, digit: str, share: float) -> Coverage:
    """Return how much ink there is in the box of a place when `share` of a digit, in (0, 1], is written: (P, Q)."""
    count = int(np.ceil(share * NUM_POINTS))
    *_, distance = _distances(viewport, place, pen_path(digit)[:count])
    return _ink(viewport, distance)


@lru_cache(maxsize=128)
def template(viewport: Viewport, place: int, digit: str) -> Template:
    """Return what a digit looks like at a place, and how much ink there is as it is written."""
    inks = [_ink(viewport, distance) for distance in _distances(viewport, place, pen_path(digit))]
    areas = np.asarray([ink.sum(dtype=np.float64) for ink in inks])
    return Template(digit, inks[-1], areas / areas[-1])


@lru_cache(maxsize=len(DIGITS))
def pen_path(digit: str) -> FloatArray:
    """Return where the pen is (P, 2) at equal steps: x and y from the upper left corner of a box of side 1."""
    strokes = [np.asarray(stroke, np.float64) for stroke in STROKES[digit]]
    # Where the pen is lifted, no way is counted.
    steps = [np.hypot(*np.diff(stroke, axis=0).T) for stroke in strokes]
    lengths = [float(step.sum()) for step in steps]
    at = (np.arange(NUM_POINTS) + 0.5) / NUM_POINTS * sum(lengths)
    points = np.empty((NUM_POINTS, 2))
    begin = 0.0
    for stroke, step, length in zip(strokes, steps, lengths, strict=True):
        inside = (at >= begin) & (at < begin + length)
        way = np.concatenate([[begin], begin + np.cumsum(step)])
        points[inside] = np.stack([np.interp(at[inside], way, stroke[:, axis]) for axis in range(2)], axis=1)
        begin += length
    return points


def _distances(viewport: Viewport, place: int, points: FloatArray) -> Iterator[FloatArray]:
    """Yield, after each point of the pen, how far each pixel (P, Q) of a place's box is from the ink's middle."""
    rows, columns = viewport.box(place_box(place))
    y, x = np.arange(rows.start, rows.stop) + 0.5, np.arange(columns.start, columns.stop) + 0.5
    across, down = (points - 0.5).T
    pen_x, pen_y = viewport.x(place_x(place) + DIGIT_SIZE[0] * across), viewport.y(DIGIT_Y + DIGIT_SIZE[1] * down)
    nearest = np.full((len(y), len(x)), np.inf)
    for at_x, at_y in zip(pen_x.tolist(), pen_y.tolist(), strict=True):
        nearest = np.minimum(nearest, np.hypot(x[None, :] - at_x, y[:, None] - at_y))
        yield nearest


def _ink(viewport: Viewport, distance: FloatArray) -> Coverage:
    return np.clip(PEN_RADIUS * viewport.scale + 0.5 - distance, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class BoardScene(Scene):
    """A board on which digits are written from the left.

    Attributes:
        colour: colour of the ink.
        voice: a key of `VOICE_HZ`.
        digits: in order, "0" to "9".
        times_s: when each is begun, with pen and voice.
    """

    kind: ClassVar[str] = "board"
    in_default: ClassVar[bool] = False
    words: ClassVar[Mapping[str, int]] = dict.fromkeys(
        ("board", "whiteboard", "blackboard", "digit", "digits", "白板", "黑板", "写数字", "数字"), 5
    )
    summary: ClassVar[str] = "digits are written on a board and said"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES
    held_out: ClassVar[frozenset[Combination]] = frozenset(
        (digit, DIGITS[(at + 3) % len(DIGITS)]) for at, digit in enumerate(DIGITS)
    )
    quiet_rise: ClassVar[float] = 0.3  # the vowels of a digit follow each other without a pause
    changing: ClassVar[Changing] = Changing(boxes=tuple(place_box(place) for place in range(NUM_PLACES)))

    colour: str
    voice: str
    digits: tuple[str, ...]
    times_s: tuple[float, ...]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return random digits: none twice in a row, none that is said after a clip of the reference length."""
        indices = [int(rng.integers(len(DIGITS)))]
        for _ in range(int(rng.integers(NUM_DIGITS[0], NUM_DIGITS[1] + 1)) - 1):
            indices.append((indices[-1] + int(rng.integers(1, len(DIGITS)))) % len(DIGITS))
        digits = tuple(DIGITS[index] for index in indices)
        lengths = np.asarray([said_s(digit) for digit in digits])
        starts = np.full(len(digits), np.inf)
        while starts[-1] >= LAST_EVENT_S or starts[-1] + lengths[-1] >= LAST_END_S:
            pauses = rng.uniform(*PAUSE_S, len(digits) - 1)
            starts = rng.uniform(*FIRST_DIGIT_S) + np.concatenate([[0.0], np.cumsum(lengths[:-1] + pauses)])
        return cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            colour=str(rng.choice(COLOURS)),
            voice=str(rng.choice(list(VOICE_HZ))),
            digits=digits,
            times_s=tuple(float(time_s) for time_s in starts),
        )

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the digits that are begun in the first `duration_s` seconds."""
        return tuple(
            Event(
                time_s=time_s,
                kind="digit",
                x=place_x(place),
                y=DIGIT_Y,
                bar=place,
                colour=self.colour,
                timbre=digit,
                pitch_hz=VOICE_HZ[self.voice],
                level=VOICE_LEVEL,
                end_s=time_s + said_s(digit),
            )
            for place, (digit, time_s) in enumerate(zip(self.digits, self.times_s, strict=True))
            if time_s < duration_s
        )

    def sounds(self, duration_s: float) -> tuple[Event, ...]:
        """Return the vowels of the digits that are begun in the first `duration_s` seconds."""
        return tuple(
            replace(event, timbre=vowel, time_s=event.time_s + at * VOWEL_S, end_s=event.time_s + (at + 1) * VOWEL_S)
            for event in self.events(duration_s)
            for at, vowel in enumerate(DIGIT_VOWELS[event.timbre])
        )

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        for inset, colour in ((0.0, RIM_RGB), (RIM, BOARD_RGB)):
            left, right = (float(viewport.x(side)) for side in (BOARD[0] + inset, BOARD[2] - inset))
            top, bottom = (float(viewport.y(side)) for side in (BOARD[1] + inset, BOARD[3] - inset))
            box = (left, top, right, bottom)
            rows, columns, coverage = rounded_box(viewport.height, viewport.width, box, BOARD_CORNER * viewport.scale)
            backdrop[rows, columns] += coverage[..., None] * (np.asarray(colour, np.float32) - backdrop[rows, columns])
        frames = np.repeat((backdrop + 0.5).astype(np.uint8)[None], len(times_s), axis=0)
        ink = np.asarray(COLOUR_RGB[self.colour], np.float32)
        for place, (digit, time_s) in enumerate(zip(self.digits, self.times_s, strict=True)):
            rows, columns = viewport.box(place_box(place))
            under = backdrop[rows, columns]
            share = np.clip((times_s - time_s) / WRITING_S, 0.0, 1.0)
            for written_share in np.unique(share[share > 0]).tolist():
                coverage = pen_coverage(viewport, place, digit, written_share)
                region = under + coverage[..., None] * (ink - under)
                frames[share == written_share, rows, columns] = (region + 0.5).astype(np.uint8)
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:
        """Return the words of captions."""
        return {
            "colour": self.colour,
            "background": self.background,
            "voice": self.voice,
            "digits": in_row([DIGIT_WORDS[int(digit)] for digit in self.digits], ranked=ranked),
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return each two successive digits."""
        return tuple(pairwise(self.digits))

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the digits that are seen to be written, and the ink of each."""
        viewport = Viewport(*frames.shape[1:3])
        times_s = np.arange(len(frames)) / frame_rate
        found = []
        for place in range(NUM_PLACES):
            region = frames[:, *viewport.box(place_box(place))]
            at = (place, place_x(place), DIGIT_Y)
            shapes = [template(viewport, place, digit) for digit in DIGITS]
            found += written(region, times_s, at, shapes, WRITING_S, viewport.scale)
        found.sort(key=lambda digit: digit[0].time_s)
        colours = np.stack([ink for _, ink in found]) if found else None
        return VideoReading(tuple(event for event, _ in found), colours=colours)

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the digits that are heard."""
        return detect_voice(
            waveform, sample_rate, name=lambda part, rate, voice: row_said(part, rate, voice, DIGIT_VOWELS, VOWEL_S)
        )

    def measure(self, found: Observation) -> Measures:
        """Return whether voice, digits, their order and places and the colour of the ink are right."""
        seen = found.seen.events
        return Measures(
            pitch_right=bool(found.heard) and all(event.colour == self.voice for event in found.heard),
            order_right=signs_in_order(found, self.digits),
            vowel_right=signs_agree(found),
            place_right=bool(seen)
            and all(
                event.bar == place and np.hypot(event.x - place_x(place), event.y - DIGIT_Y) <= PLACE_TOLERANCE
                for place, event in enumerate(seen)
            ),
            colour_right=set(colours_of(found.seen.colours)) == {self.colour},
        )
