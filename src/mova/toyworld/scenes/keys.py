"""The piano keys: seven white keys light up with their notes, a melody that the caption gives, at times it does not.

A pressed key lights up at once and fades, so that the brightness of the next frames tells when it was pressed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import FALLING_WORDS, RISING_WORDS, several
from mova.toyworld.asked.parts import draw_fitting, find_background, fit_count, fit_row
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport, fill_below, rounded_box, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, Event, SeenEvent
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent, detect_audio
from mova.toyworld.reading.detect_lights import Row, lit_up
from mova.toyworld.reading.measures import most, notes_in_order, sounds_agree
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.scenes.mallet import GLOW_DECAY_S
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, KEY, NOTES, TIMBRES, Rgb, pitch_hz
from mova.toyworld.wording import in_row

FloatArray = NDArray[np.float64]

KEY_PITCH: Final = 0.135
KEY_WIDTH: Final = 0.122
KEY_TOP: Final = 0.40
KEY_BOTTOM: Final = 0.86
KEY_CORNER: Final = 0.015
BLACK_WIDTH: Final = 0.072
BLACK_BOTTOM: Final = 0.62
# A black key lies right of every white key but mi and ti.
BLACK_AFTER: Final = (0, 1, 3, 4, 5)
CASE_TOP: Final = 0.36
CASE_BOTTOM: Final = 0.90
CASE_RGB: Final[Rgb] = (66, 52, 50)
WHITE_RGB: Final[Rgb] = (244, 242, 236)
BLACK_RGB: Final[Rgb] = (34, 32, 38)
LIGHT_RGB: Final[Rgb] = (255, 96, 0)
LIGHT_DECAY_S: Final = GLOW_DECAY_S  # read by the same code
LIGHT_SHARE: Final = 0.9
NUM_NOTES: Final = (3, 5)
FIRST_NOTE_S: Final = (0.15, 0.45)
INTERVAL_S: Final = (0.28, 0.6)
NOTE_LEVEL: Final = 0.6

# What free wordings call the instrument, its parts and its notes.
_WORDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("piano", "keyboard", "钢琴", "电子琴", "琴键", "钢琴键", "弹钢琴", "弹琴"), 4),
    **dict.fromkeys(("piano key", "piano keys", "white keys", "keys", "key", "键盘"), 3),
    **dict.fromkeys(("弹奏", "弹出", "light up", "lights up", "亮起来", "亮起", "亮"), 1),
}
_OTHER: Final = ("敲键盘",)
_NOTE_WORDS: Final[Mapping[str, str]] = several(
    do="do|doh|哆|多",
    re="re|ray|来|瑞",
    mi="mi|咪|米",
    fa="fa|发|法",
    sol="sol|so|soh|嗦|唆|索",
    la="la|拉|啦",
    ti="ti|si|西|希",
)
# Letters of the scale of C: capital ones in a row, so that an article is none; and digits of numbered notation.
_LETTER: Final = re.compile(
    r"(?<![\w#♯♭])([A-G])([#♯♭]?)(?![\w'])(?=\s*(?:[,，、;；.。:–→>-]|$|then\b|and\b|to\b|和|再|[A-G](?!\w)))"
)
_DIGITS: Final = re.compile(r"(?<![\w.])[1-7](?:[\s,，、-]*[1-7]){1,20}(?![\w.])")
_SHARP: Final = re.compile(r"\b[A-G](?:[#♯♭]|[- ](?:sharp|flat)\b)|升[a-gA-G]|降[a-gA-G]")
_LETTER_NOTE: Final = dict(zip("CDEFGAB", NOTES, strict=True))
_MELODY: Final = ("melody", "tune", "song", "music", "曲子", "旋律", "音乐", "曲", "乐曲")
_COUNTED: Final = ("notes", "note", "tones", "keys", "times", "个音", "个音符", "个键", "下", "声")
_SEEN: Final = (
    "The white keys of a piano in front of a {background} wall light up in turn: {notes}.",
    "In front of a {background} wall, piano keys light up one after another: {notes}.",
    "A row of piano keys stands before a {background} wall, and these light up: {notes}.",
)
_HEARD: Final = (
    "The audio has piano notes: {notes}.",
    "The audio contains the notes {notes} of a piano.",
    "The audio is a piano melody of {notes}.",
)
_PARAPHRASES: Final = (
    "Before a {background} wall the white keys of a piano light up: {notes}. The audio has each note played: {notes}.",
    "The audio is a melody on a piano: {notes}. "
    "In front of a {background} wall the piano keys light up in turn: {notes}.",
    "A piano stands in front of a {background} wall. "
    "The white keys light up: {notes}. The audio contains these piano notes: {notes}.",
    "The wall is {background}. "
    "The piano keys in a row light up one after another: {notes}. The audio has a piano that plays {notes}.",
    "The keys of a piano before a {background} wall light up, {notes}. The audio is these notes, {notes}, on a piano.",
    "In front of a {background} wall the white piano keys light up in a row: {notes}. "
    "The audio is of a piano which plays {notes}.",
    "The audio has the notes of a piano: {notes}. "
    "The white keys light up one after another: {notes}. The wall is {background}.",
)


@dataclass(frozen=True)
class KeysScene(Scene):
    """Piano keys that play a melody.

    Attributes:
        keys: index of each pressed key from the left, in order.
        times_s: when each is pressed.
    """

    kind: ClassVar[str] = "keys"
    held_out: ClassVar[frozenset[Combination]] = frozenset({("do", "sol"), ("mi", "fa"), ("la", "re"), ("ti", "mi")})
    changing: ClassVar[Changing] = Changing(bands=((CASE_TOP, CASE_BOTTOM),))
    words: ClassVar[Mapping[str, int]] = _WORDS
    other_words: ClassVar[tuple[str, ...]] = _OTHER
    summary: ClassVar[str] = "piano keys play notes of do re mi fa sol la ti"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    keys: tuple[int, ...]
    times_s: tuple[float, ...]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return a random melody: no key twice in a row, no note near the end of a clip of the reference length."""
        num_notes = int(rng.integers(NUM_NOTES[0], NUM_NOTES[1] + 1))
        keys = [int(rng.integers(len(NOTES)))]
        while len(keys) < num_notes:
            keys.append((keys[-1] + int(rng.integers(1, len(NOTES)))) % len(NOTES))
        times = np.full(num_notes, np.inf)
        while times[-1] >= LAST_EVENT_S:
            intervals = rng.uniform(*INTERVAL_S, num_notes - 1)
            times = rng.uniform(*FIRST_NOTE_S) + np.concatenate([[0.0], np.cumsum(intervals)])
        return cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            keys=tuple(keys),
            times_s=tuple(float(time_s) for time_s in times),
        )

    @classmethod
    def from_said(cls, said: Said, seed: int) -> KeysScene:
        """Return the melody on keys that a free wording asks for."""
        said.find(dict.fromkeys((*cls.words, *_MELODY), True), beside=cls.other_words)
        background = find_background(said)
        if said.match(_SHARP, keeps_case=True):
            said.problems.append("the piano has white keys only: sharp and flat notes are left out")
        count = fit_count(said, said.count_of(_COUNTED), NUM_NOTES, "notes")
        notes = _notes(said)
        if not notes:
            falls, rises = said.has(FALLING_WORDS), said.has(RISING_WORDS)
            notes = list(NOTES[::-1] if falls else NOTES) if falls or rises else []
        row = fit_row(said, notes, NUM_NOTES, "notes")

        def draw(seed: int, rng: np.random.Generator) -> KeysScene:
            scene = cls.sample(seed, rng)
            if len(row) == len(scene.keys):
                scene = replace(scene, keys=tuple(NOTES.index(note) for note in row))
            return replace(scene, background=background or scene.background)

        def fits(scene: KeysScene) -> bool:
            asked = scene.notes[: len(row)] == tuple(row)
            return asked and len(scene.keys) == (len(row) if len(row) > 1 else count or len(scene.keys))

        return draw_fitting(seed, draw, fits)

    @property
    def notes(self) -> tuple[str, ...]:
        """Names of the notes in order."""
        return tuple(NOTES[key] for key in self.keys)

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the notes of the first `duration_s` seconds."""
        return tuple(
            Event(
                time_s=time_s,
                kind="note",
                x=key_x(key),
                y=(BLACK_BOTTOM + KEY_BOTTOM) / 2,
                bar=key,
                colour=NOTES[key],
                timbre=KEY,
                pitch_hz=pitch_hz(KEY, NOTES[key]),
                level=NOTE_LEVEL,
            )
            for key, time_s in zip(self.keys, self.times_s, strict=True)
            if time_s < duration_s
        )

    def light(self, key: int, times_s: FloatArray) -> FloatArray:
        """Return how strongly `key` is lit (F,), in [0, 1]: 1 when pressed, falling exponentially."""
        light = np.zeros_like(times_s)
        for pressed, press_s in zip(self.keys, self.times_s, strict=True):
            if pressed == key:
                since = times_s - press_s
                light = np.where(since >= 0, np.exp(-np.maximum(since, 0) / LIGHT_DECAY_S), light)
        return light

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        _paint_case(backdrop, viewport)
        frames = np.empty((len(times_s), *backdrop.shape), np.uint8)
        shapes = [box_shape(viewport, key_x(key), KEY_WIDTH, KEY_BOTTOM) for key in range(len(NOTES))]
        blacks = [box_shape(viewport, key_x(key) + KEY_PITCH / 2, BLACK_WIDTH, BLACK_BOTTOM) for key in BLACK_AFTER]
        under = backdrop.copy()
        _blend(backdrop, shapes, WHITE_RGB)
        _blend(backdrop, blacks, BLACK_RGB)
        frames[:] = (backdrop + 0.5).astype(np.uint8)
        for key in sorted(set(self.keys)):
            light = self.light(key, times_s)
            rows, columns, coverage = shapes[key]
            for at in np.flatnonzero(light > 1e-3).tolist():
                lit = np.asarray(WHITE_RGB) + LIGHT_SHARE * light[at] * (np.asarray(LIGHT_RGB) - WHITE_RGB)
                region = under[rows, columns] + coverage[..., None] * (lit.astype(np.float32) - under[rows, columns])
                _blend(region, _inside(blacks, rows, columns), BLACK_RGB)
                # A neighbour's edge is not lit: only what this key covers is replaced.
                own = coverage > 0
                frames[at, rows, columns][own] = (region[own] + 0.5).astype(np.uint8)
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:
        """Return the words of captions."""
        return {"background": self.background, "notes": in_row(self.notes, ranked=ranked)}

    def combinations(self) -> tuple[Combination, ...]:
        """Return each two successive notes."""
        return tuple(pairwise(self.notes))

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the keys that light up."""
        events, unlit = lit_up(frames, np.arange(len(frames)) / frame_rate, _ROW)
        return VideoReading(events, colours=unlit)

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the notes that are heard, of keys or of other things."""
        return detect_audio(waveform, sample_rate, timbres=(*TIMBRES, KEY))

    def measure(self, found: Observation) -> Measures:
        """Return whether notes and their order are right."""
        return Measures(
            pitch_right=sounds_agree(found, _note_of),
            material_right=most([event.timbre for event in found.heard]) == KEY,
            order_right=notes_in_order(found, self.notes, _note_of),
        )


def _notes(said: Said) -> list[str]:
    """Return the notes that a wording names, by syllables, letters or digits, whichever names most."""
    letters = [match[1] for match in said.match(_LETTER, keeps_case=True) if not match[2]]
    digits = [digit for match in said.match(_DIGITS) for digit in match[0] if digit.isdecimal()]
    syllables = [found.value for found in said.find(_NOTE_WORDS)]
    named = (syllables, [_LETTER_NOTE[one] for one in letters], [NOTES[int(one) - 1] for one in digits])
    return max(named, key=len)


def key_x(key: int) -> float:
    """Return the middle of a white key."""
    return 0.5 + (key - (len(NOTES) - 1) / 2) * KEY_PITCH


def box_shape(viewport: Viewport, x: float, width: float, bottom: float) -> tuple[slice, slice, NDArray[np.float32]]:
    """Return the rows and columns that a key lies in and its coverage there."""
    left, right = (float(viewport.x(x + side * width / 2)) for side in (-1, 1))
    box = (left, float(viewport.y(KEY_TOP)), right, float(viewport.y(bottom)))
    return rounded_box(viewport.height, viewport.width, box, KEY_CORNER * viewport.scale)


def _paint_case(canvas: NDArray[np.float32], viewport: Viewport) -> None:
    wall = canvas.copy()
    fill_below(canvas, float(viewport.y(CASE_TOP)), CASE_RGB)
    # The same wall again below the case.
    covered = np.clip(np.arange(canvas.shape[0]) + 1 - float(viewport.y(CASE_BOTTOM)), 0, 1)
    canvas += covered.astype(np.float32)[:, None, None] * (wall - canvas)


def _blend(canvas: NDArray[np.float32], shapes: list[tuple[slice, slice, NDArray[np.float32]]], colour: Rgb) -> None:
    for rows, columns, coverage in shapes:
        canvas[rows, columns] += coverage[..., None] * (np.asarray(colour, np.float32) - canvas[rows, columns])


def _inside(
    shapes: list[tuple[slice, slice, NDArray[np.float32]]], rows: slice, columns: slice
) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Return the parts of shapes that lie in a region, in the region's own coordinates."""
    parts = []
    for shape_rows, shape_columns, coverage in shapes:
        top, bottom = max(rows.start, shape_rows.start), min(rows.stop, shape_rows.stop)
        left, right = max(columns.start, shape_columns.start), min(columns.stop, shape_columns.stop)
        if top < bottom and left < right:
            cut = coverage[
                top - shape_rows.start : bottom - shape_rows.start,
                left - shape_columns.start : right - shape_columns.start,
            ]
            parts.append(
                (
                    slice(top - rows.start, bottom - rows.start),
                    slice(left - columns.start, right - columns.start),
                    cut,
                )
            )
    return parts


_ROW: Final = Row(
    count=len(NOTES),
    middle=key_x,
    y=(BLACK_BOTTOM + KEY_BOTTOM) / 2,
    inside=(KEY_WIDTH / 2 - 0.015, BLACK_BOTTOM + 0.02, KEY_BOTTOM - 0.02),
    glow_rgb=LIGHT_RGB,
    glow_share=LIGHT_SHARE,
    decay_s=LIGHT_DECAY_S,
    is_dimmed=True,
    strength_power=0.0,
)


def _note_of(event: SeenEvent) -> str:
    """Return the note that a key has to sound."""
    return NOTES[event.bar or 0]
