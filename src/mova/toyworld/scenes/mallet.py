"""The mallet on five coloured bars: it strikes the bars in the order that the caption says, at times that it does not.

A struck bar lights up at once and fades, so that the brightness of the next frame tells when between two frames it was
struck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import FALLING_WORDS, RISING_WORDS
from mova.toyworld.asked.parts import draw_fitting, find_background, find_colours, fit_count, fit_row
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport, discs, fill_below, paint, rods, rounded_box, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, Event, SeenEvent
from mova.toyworld.reading.background import MARGIN, Changing
from mova.toyworld.reading.detect_audio import HeardEvent, detect_audio
from mova.toyworld.reading.detect_lights import Row, lit_up
from mova.toyworld.reading.measures import colours_of, most, notes_in_order, sounds_agree
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.reading.track import Disc, DiscTrack, track_disc
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, BAR, COLOUR_RGB, COLOURS, PITCH_WORD, Rgb, pitch_hz
from mova.toyworld.wording import in_order, with_ranks

FloatArray = NDArray[np.float64]

BAR_PITCH: Final = 0.18
BAR_WIDTH: Final = 0.15
BAR_TOP: Final = 0.66
BAR_BOTTOM: Final = 0.88
BAR_CORNER: Final = 0.025
STAND_BOTTOM: Final = 0.93
STAND_RGB: Final[Rgb] = (96, 72, 58)
GROUND_RGB: Final[Rgb] = (168, 150, 134)
HEAD_RADIUS: Final = 0.045
STICK_RADIUS: Final = 0.010
STICK_REACH: Final = (0.15, -0.25)
HEAD_RGB: Final[Rgb] = (44, 42, 50)
STICK_RGB: Final[Rgb] = (92, 76, 66)
RAISED: Final = 0.2
STRIKE_SPEED: Final = 2.0  # frame sizes per second, before and after every strike
FALL_S: Final = 2 * RAISED / STRIKE_SPEED
NUM_STRIKES: Final = (3, 5)
FIRST_STRIKE_S: Final = (0.25, 0.5)
INTERVAL_S: Final = (0.28, 0.6)
GLOW_DECAY_S: Final = 0.18
GLOW_RGB: Final[Rgb] = (255, 255, 255)
GLOW_SHARE: Final = 0.7
STRIKE_LEVEL: Final = 0.55

HEAD_DISC: Final = Disc(reach=0.075, above=BAR_TOP, has_stick=True)

# What free wordings call the instrument and its parts.
_WORDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("mallet", "mallets", "xylophone", "glockenspiel", "marimba", "vibraphone"), 4),
    **dict.fromkeys(("木琴", "铝板琴", "钟琴", "钢片琴", "马林巴", "木槌", "琴槌", "小槌", "音条", "槌子", "槌"), 4),
    **dict.fromkeys(("bar", "bars", "chime", "chimes"), 2),
    **dict.fromkeys(("strike", "strikes", "struck", "hit", "hits", "敲", "敲击", "敲打"), 1),
}
_COUNTED: Final = (
    "times",
    "time",
    "bars",
    "notes",
    "strikes",
    "hits",
    "tones",
    "下",
    "次",
    "个音",
    "声",
    "个音条",
    "根音条",
)
_SEEN: Final = (
    "A dark mallet strikes {bars} in front of a {background} wall; each bar lights up.",
    "In front of a {background} wall, a dark mallet plays {bars} of a row, which light up.",
    "Five coloured bars stand before a {background} wall, and a dark mallet hits {bars}.",
)
_HEARD: Final = (
    "The audio has {notes}, played on tuned bars.",
    "The audio contains the tones of the bars: {notes}.",
    "The audio is a melody of {notes}.",
)
_PARAPHRASES: Final = (
    "Before a {background} wall a dark mallet strikes {each_bar}; each one lights up. "
    "The audio has {notes}, one for each bar.",
    "The audio is {notes}, played on tuned bars. A dark mallet hits {bars} in front of a {background} wall.",
    "A row of coloured bars stands in front of a {background} wall. "
    "The dark mallet strikes {bars}. The audio contains {notes} of the bars.",
    "The wall is {background}, the mallet dark. "
    "The mallet plays {each_bar}, which light up. The audio has a melody: {notes}.",
    "Before a {background} wall the bars light up in turn by a dark mallet: {bars}. "
    "The audio is made of tones: {notes}.",
    "In front of a {background} wall stands a row of bars, and a dark mallet plays {each_bar}. "
    "The audio has tuned bars: {notes}.",
    "The audio contains a melody of {notes}. "
    "The bars light up each time that a dark mallet hits {bars}. The wall is {background}.",
)


@dataclass(frozen=True)
class MalletScene(Scene):
    """A mallet that strikes bars; the bars' colours are those of `COLOURS` from the left.

    Attributes:
        bars: index of each struck bar, in order.
        times_s: when each is struck.
    """

    kind: ClassVar[str] = "mallet"
    held_out: ClassVar[frozenset[Combination]] = frozenset({("yellow", "purple"), ("blue", "red")})
    changing: ClassVar[Changing] = Changing(
        bands=((BAR_TOP - MARGIN, BAR_BOTTOM + MARGIN),), stick=(STICK_REACH[0], -STICK_REACH[1])
    )
    words: ClassVar[Mapping[str, int]] = _WORDS
    summary: ClassVar[str] = "a mallet plays bars of five colours"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    bars: tuple[int, ...]
    times_s: tuple[float, ...]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return random strikes: no bar twice in a row, none near the end of a clip of the reference length."""
        num_strikes = int(rng.integers(NUM_STRIKES[0], NUM_STRIKES[1] + 1))
        bars = [int(rng.integers(len(COLOURS)))]
        while len(bars) < num_strikes:
            bars.append((bars[-1] + int(rng.integers(1, len(COLOURS)))) % len(COLOURS))
        times = np.full(num_strikes, np.inf)
        while times[-1] >= LAST_EVENT_S:
            intervals = rng.uniform(*INTERVAL_S, num_strikes - 1)
            times = rng.uniform(*FIRST_STRIKE_S) + np.concatenate([[0.0], np.cumsum(intervals)])
        return cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            bars=tuple(bars),
            times_s=tuple(float(time_s) for time_s in times),
        )

    @classmethod
    def from_said(cls, said: Said, seed: int) -> MalletScene:
        """Return the melody on bars that a free wording asks for."""
        said.find(dict.fromkeys(cls.words, True))
        background = find_background(said)
        colours = [found.value for found in find_colours(said)]
        if not colours:
            falls, rises = said.has(FALLING_WORDS), said.has(RISING_WORDS)
            colours = list(COLOURS[::-1] if falls else COLOURS) if falls or rises else []
        count = fit_count(said, said.count_of(_COUNTED), NUM_STRIKES, "strikes")
        row = fit_row(said, colours, NUM_STRIKES, "strikes")

        def draw(seed: int, rng: np.random.Generator) -> MalletScene:
            scene = cls.sample(seed, rng)
            if len(row) == len(scene.bars):
                scene = replace(scene, bars=tuple(COLOURS.index(colour) for colour in row))
            return replace(scene, background=background or scene.background)

        def fits(scene: MalletScene) -> bool:
            asked = scene.colours[: len(row)] == tuple(row)
            return asked and len(scene.bars) == (len(row) if len(row) > 1 else count or len(scene.bars))

        return draw_fitting(seed, draw, fits)

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the strikes of the first `duration_s` seconds."""
        return tuple(
            Event(
                time_s=time_s,
                kind="strike",
                x=bar_x(bar),
                y=BAR_TOP,
                bar=bar,
                colour=COLOURS[bar],
                timbre=BAR,
                pitch_hz=pitch_hz(BAR, COLOURS[bar]),
                level=STRIKE_LEVEL,
            )
            for bar, time_s in zip(self.bars, self.times_s, strict=True)
            if time_s < duration_s
        )

    @property
    def colours(self) -> tuple[str, ...]:
        """Of the struck bars in order."""
        return tuple(COLOURS[bar] for bar in self.bars)

    def positions(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and y of the head's centre (F,) at `times_s` (F,)."""
        strikes, places = np.asarray(self.times_s), np.asarray([bar_x(bar) for bar in self.bars])
        last = np.searchsorted(strikes, times_s, side="right") - 1
        before, after = np.clip(last, 0, None), np.clip(last + 1, None, len(strikes) - 1)
        interval = np.where(after > before, strikes[after] - strikes[before], 1.0)
        since = times_s - strikes[before]
        share = np.clip(since / interval, 0.0, 1.0)
        x = places[before] + (places[after] - places[before]) * share**2 * (3 - 2 * share)
        between = STRIKE_SPEED * since * (1 - share)
        falling = RAISED * (1 - np.clip(1 - (strikes[0] - times_s) / FALL_S, 0.0, 1.0) ** 2)
        rising = RAISED * (1 - np.clip(1 - (times_s - strikes[-1]) / FALL_S, 0.0, 1.0) ** 2)
        height = np.where(last < 0, falling, np.where(last == len(strikes) - 1, rising, between))
        return x, BAR_TOP - HEAD_RADIUS - height

    def glow(self, bar: int, times_s: FloatArray) -> FloatArray:
        """Return how strongly `bar` is lit (F,), in [0, 1]: 1 at a strike, falling exponentially."""
        glow = np.zeros_like(times_s)
        for struck, strike_s in zip(self.bars, self.times_s, strict=True):
            if struck == bar:
                since = times_s - strike_s
                glow = np.where(since >= 0, np.exp(-since / GLOW_DECAY_S), glow)
        return glow

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        fill_below(backdrop, float(viewport.y(BAR_BOTTOM)), STAND_RGB)
        fill_below(backdrop, float(viewport.y(STAND_BOTTOM)), GROUND_RGB)
        shapes = [bar_shape(viewport, bar) for bar in range(len(COLOURS))]
        unlit = [np.asarray(COLOUR_RGB[colour], np.float32) for colour in COLOURS]
        under = [backdrop[rows, columns].copy() for rows, columns, _ in shapes]
        for colour, below, (rows, columns, coverage) in zip(unlit, under, shapes, strict=True):
            backdrop[rows, columns] = below + coverage[..., None] * (colour - below)
        frames = np.repeat((backdrop + 0.5).astype(np.uint8)[None], len(times_s), axis=0)
        for bar in sorted(set(self.bars)):
            glow = self.glow(bar, times_s)
            lit = np.flatnonzero(glow > 1e-3)
            if lit.size:
                rows, columns, coverage = shapes[bar]
                light = GLOW_SHARE * glow[lit, None].astype(np.float32) * (np.asarray(GLOW_RGB) - unlit[bar])
                lit_colour = (unlit[bar] + light)[:, None, None, :]
                region = under[bar] + coverage[..., None] * (lit_colour - under[bar])
                frames[:, rows, columns][lit] = (region + 0.5).astype(np.uint8)
        x, y = self.positions(times_s)
        x, y = viewport.x(x), viewport.y(y)
        reach = (STICK_REACH[0] * viewport.scale, STICK_REACH[1] * viewport.scale)
        paint(frames, rods(x, y, reach, STICK_RADIUS * viewport.scale), STICK_RGB)
        paint(frames, discs(x, y, HEAD_RADIUS * viewport.scale), HEAD_RGB)
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:
        """Return the words of captions."""
        pitches = [PITCH_WORD[colour] for colour in self.colours]
        each = [f"{colour} bar" for colour in self.colours]
        return {
            "background": self.background,
            "bars": f"{with_ranks(self.colours, 'the ')} bar" if ranked else f"the {in_order(self.colours)} bars",
            "each_bar": with_ranks(each, "the ") if ranked else f"the {in_order(self.colours)} bars",
            "notes": f"{with_ranks(pitches, 'a ')} note" if ranked else f"{in_order(pitches)} notes",
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return each two successive colours."""
        return tuple(pairwise(self.colours))

    @classmethod
    def discs(cls, frames: NDArray[np.uint8]) -> tuple[DiscTrack, ...]:
        """Follow the mallet's head."""
        return (track_disc(frames, HEAD_DISC),)

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the strikes that are seen."""
        tracks = cls.discs(frames)
        events, unlit = lit_up(frames, np.arange(len(frames)) / frame_rate, _ROW, tracks)
        return VideoReading(events, tracks, unlit)

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the blows that are heard."""
        return detect_audio(waveform, sample_rate)

    def measure(self, found: Observation) -> Measures:
        """Return whether notes, their order and the colours of the bars are right."""
        return Measures(
            pitch_right=sounds_agree(found, _note_of),
            material_right=most([event.timbre for event in found.heard]) == BAR,
            order_right=notes_in_order(found, self.colours, _note_of),
            colour_right=colours_of(found.seen.colours) == list(COLOURS),
        )


def bar_x(bar: int) -> float:
    """Return the middle of a bar."""
    return 0.5 + (bar - (len(COLOURS) - 1) / 2) * BAR_PITCH


def bar_shape(viewport: Viewport, bar: int) -> tuple[slice, slice, NDArray[np.float32]]:
    """Return the rows and columns that a bar lies in and its coverage there."""
    left, right = (float(viewport.x(bar_x(bar) + side * BAR_WIDTH / 2)) for side in (-1, 1))
    top, bottom = float(viewport.y(BAR_TOP)), float(viewport.y(BAR_BOTTOM))
    return rounded_box(viewport.height, viewport.width, (left, top, right, bottom), BAR_CORNER * viewport.scale)


_ROW: Final = Row(
    count=len(COLOURS),
    middle=bar_x,
    y=BAR_TOP,
    inside=(BAR_WIDTH / 2 - 0.02, BAR_TOP + 0.02, BAR_BOTTOM - 0.02),
    glow_rgb=GLOW_RGB,
    glow_share=GLOW_SHARE,
    decay_s=GLOW_DECAY_S,
    is_dimmed=False,
    strength_power=2.0,
    head_acceleration=2 * RAISED / FALL_S**2,
)


def _note_of(event: SeenEvent) -> str:
    """Return the colour whose note a bar has to sound."""
    return COLOURS[event.bar or 0]
