"""Two faces that take turns: the caption says who says what in which order, and whose voice is low; times are free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import COLOUR_WORDS, SIDE_WORDS, TWO_WORDS, VOICE_WORDS
from mova.toyworld.asked.parts import by_side, draw_fitting, find_background, find_colours, fit_row
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.event import Event, SeenEvent
from mova.toyworld.mouth import SKIN_RGB, Face, draw_vowels, mouth_size
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.detect_mouth import Place, hat_colours, mouth_box, spoken
from mova.toyworld.reading.detect_voice import detect_voice
from mova.toyworld.reading.measures import colours_of, signs_agree, signs_in_order, sounds_agree
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.scenes.face import FACE_WORDS, NO_FACE, VOICE_LEVEL, VOWEL_WORDS, draw_turns, find_vowels
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, SIDES, VOICE_HZ, VOWEL_WORD
from mova.toyworld.wording import in_row

FloatArray = NDArray[np.float64]

FACES_X: Final = (0.255, 0.745)
FACES_Y: Final = 0.53
FACES_RADIUS: Final = 0.23
NUM_TURNS: Final = (2, 4)

DUET_PLACES: Final[tuple[Place, ...]] = tuple(
    (x, FACES_Y, FACES_RADIUS, side) for x, side in zip(FACES_X, SIDES, strict=True)
)

# What says that two speak, beside the words for a face.
_TALK: Final[Mapping[str, int]] = {
    **dict.fromkeys(("conversation", "dialogue", "dialog", "take turns", "taking turns", "in turn"), 3),
    **dict.fromkeys(("each other", "chat", "chatting", "对话", "轮流", "交谈", "聊天", "对讲"), 3),
    **dict.fromkeys(("一问一答", "一唱一答", "互相", "你一句我一句"), 3),
}
_SEEN: Final = (
    "Faces with a {left} and a {right} hat before a {background} wall speak in turn: {sides}.",
    "Before a {background} wall, two faces with a {left} and a {right} hat take turns: {sides}.",
    "Two faces, in a {left} and a {right} hat, talk before a {background} wall: {sides}.",
)
_HEARD: Final = (
    "The audio has two voices that say {turns}.",
    "The audio contains {turns}, spoken in turn.",
    "The audio is a voice for each face: {turns}.",
)
_PARAPHRASES: Final = (
    "In front of a {background} wall two faces, the left one with a {left} and the right one with a {right} hat, "
    "talk in turn: {sides}. The audio has a voice for each: {turns}.",
    "The audio contains, in turn, {turns}. "
    "Before a {background} wall two faces with a {left} and a {right} hat speak: {sides}.",
    "Two faces stand before a {background} wall, a {left} hat on the left and a {right} hat on the right, and "
    "take turns: {sides}. The audio is {turns}.",
    "The wall is {background}, the left hat {left}, the right hat {right}. "
    "The faces talk in turn: {sides}. The audio has a voice for each face: {turns}.",
    "Before a {background} wall two faces take turns, with a {left} hat left and a {right} hat right: {sides}. "
    "The audio is spoken in turn: {turns}.",
    "Two faces, the left in a {left} hat, the right in a {right} hat, speak in front of a {background} wall: "
    "{sides}. The audio has these turns: {turns}.",
    "The audio is spoken by two faces: {turns}. The faces take turns: {sides}. The left hat is {left}, the right "
    "hat is {right}, and the wall is {background}.",
)


@dataclass(frozen=True)
class DuetScene(Scene):
    """Two faces that speak in turn; of every pair the left face's value comes first.

    Attributes:
        hats: colours of the hats, different.
        skins: keys of `SKIN_RGB`.
        voices: keys of `VOICE_HZ`, different.
        sides: "left" or "right" for each turn: who speaks.
        vowels: what is said in each turn.
        times_s, ends_s: onset and end of each turn.
    """

    kind: ClassVar[str] = "duet"
    held_out: ClassVar[frozenset[Combination]] = frozenset({("left", "low", "i"), ("right", "low", "u")})
    quiet_rise: ClassVar[float] = 0.08
    changing: ClassVar[Changing] = Changing(boxes=tuple(mouth_box(place) for place in DUET_PLACES))
    words: ClassVar[Mapping[str, int]] = {**FACE_WORDS, **_TALK}
    other_words: ClassVar[tuple[str, ...]] = NO_FACE
    summary: ClassVar[str] = "two faces take turns in saying vowels"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    hats: tuple[str, str]
    skins: tuple[str, str]
    voices: tuple[str, str]
    sides: tuple[str, ...]
    vowels: tuple[str, ...]
    times_s: tuple[float, ...]
    ends_s: tuple[float, ...]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return two random faces that both speak."""
        num_turns = int(rng.integers(NUM_TURNS[0], NUM_TURNS[1] + 1))
        sides = [str(side) for side in rng.choice(SIDES, num_turns)]
        while len(set(sides)) < 2:
            sides = [str(side) for side in rng.choice(SIDES, num_turns)]
        times_s, ends_s = draw_turns(rng, num_turns)
        hats = [str(colour) for colour in rng.choice(COLOURS, 2, replace=False)]
        skins = [str(skin) for skin in rng.choice(list(SKIN_RGB), 2)]
        voices = [str(voice) for voice in rng.permutation(list(VOICE_HZ))]
        return cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            hats=(hats[0], hats[1]),
            skins=(skins[0], skins[1]),
            voices=(voices[0], voices[1]),
            sides=tuple(sides),
            vowels=draw_vowels(rng, num_turns),
            times_s=times_s,
            ends_s=ends_s,
        )

    @classmethod
    def likeness(cls, said: Said) -> int:
        """Return more than for a single face where two are meant, else 0."""
        both = said.weigh(cls.words, cls.other_words)
        copy = Said(said.text)
        speakers = [{one.value for one in found} for found in (copy.find(SIDE_WORDS), copy.find(VOICE_WORDS))]
        are_two = copy.has((*TWO_WORDS, *_TALK, "faces", "people")) or any(len(one) > 1 for one in speakers)
        return both + 1 if both and are_two else 0

    @classmethod
    def from_said(cls, said: Said, seed: int) -> DuetScene:
        """Return the two faces that a free wording asks for."""
        said.find(dict.fromkeys((*cls.words, *TWO_WORDS), True), beside=cls.other_words)
        background = find_background(said)
        hats = by_side(said, find_colours(said))
        voices = by_side(said, said.find(VOICE_WORDS))
        if voices[0] and voices[0] == voices[1]:
            said.problems.append(
                "one of two voices is low and the other high: the second one differs from what is asked"
            )
        find_vowels(said)
        sides, vowels = _turns(said, hats, voices)
        row = fit_row(said, list(zip(sides, vowels, strict=True)), NUM_TURNS, "turns")

        def draw(seed: int, rng: np.random.Generator) -> DuetScene:
            scene = cls.sample(seed, rng)
            if len(row) == len(scene.sides):
                asked = zip(scene.sides, scene.vowels, row, strict=True)
                turns = [(turn[0] or side, turn[1] or vowel) for side, vowel, turn in asked]
                scene = replace(scene, sides=tuple(side for side, _ in turns), vowels=tuple(one for _, one in turns))
            low = voices[0] == "low" or voices[1] == "high"
            spoken = ("low", "high") if low else ("high", "low")
            return replace(
                scene,
                background=background or scene.background,
                hats=(hats[0] or scene.hats[0], hats[1] or scene.hats[1]),
                voices=spoken if any(voices) else scene.voices,
            )

        def fits(scene: DuetScene) -> bool:
            is_whole = len(set(scene.sides)) == len(set(scene.hats)) == 2
            return is_whole and (not row or len(row) == len(scene.sides)) and _differ(scene.vowels)

        return draw_fitting(seed, draw, fits)

    @property
    def faces(self) -> tuple[Face, Face]:
        """Where the left and the right face are."""
        left, right = (
            Face(x, FACES_Y, FACES_RADIUS, hat, skin)
            for x, hat, skin in zip(FACES_X, self.hats, self.skins, strict=True)
        )
        return left, right

    def voice_of(self, side: str) -> str:
        """Return the voice of the "left" or the "right" face."""
        return self.voices[SIDES.index(side)]

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the turns that begin in the first `duration_s` seconds."""
        turns = zip(self.sides, self.vowels, self.times_s, self.ends_s, strict=True)
        return tuple(
            Event(
                time_s=time_s,
                kind="vowel",
                x=self.faces[SIDES.index(side)].x,
                y=self.faces[SIDES.index(side)].mouth_y,
                bar=None,
                colour=self.hats[SIDES.index(side)],
                timbre=vowel,
                pitch_hz=VOICE_HZ[self.voice_of(side)],
                level=VOICE_LEVEL,
                end_s=end_s,
                side=side,
            )
            for side, vowel, time_s, end_s in turns
            if time_s < duration_s
        )

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        image = (backdrop + 0.5).astype(np.uint8)[None]
        for face in self.faces:
            face.draw(image, viewport)
        frames = np.repeat(image, len(times_s), axis=0)
        for side, face in zip(SIDES, self.faces, strict=True):
            own = [turn for turn, speaker in enumerate(self.sides) if speaker == side]
            vowels = tuple(self.vowels[turn] for turn in own)
            onsets_s, ends_s = (tuple(times[turn] for turn in own) for times in (self.times_s, self.ends_s))
            face.draw_mouth(frames, viewport, mouth_size(times_s, vowels, onsets_s, ends_s))
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:
        """Return the words of captions."""
        # Side and vowel stand together: whose turn it is reaches the video through the audio, which looks up the vowel.
        turns = [
            f"a {self.voice_of(side)} {VOWEL_WORD[vowel]} {side}"
            for side, vowel in zip(self.sides, self.vowels, strict=True)
        ]
        return {
            "left": self.hats[0],
            "right": self.hats[1],
            "background": self.background,
            "sides": in_row(self.sides, ranked=ranked),
            "turns": in_row(turns, ranked=ranked),
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return side, voice and vowel of each turn."""
        turns = zip(self.sides, self.vowels, strict=True)
        return tuple((side, self.voice_of(side), vowel) for side, vowel in turns)

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the openings of both mouths that are seen."""
        events = spoken(frames, np.arange(len(frames)) / frame_rate, DUET_PLACES)
        return VideoReading(events, colours=hat_colours(frames, DUET_PLACES))

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the vowels that are heard."""
        return detect_voice(waveform, sample_rate)

    def measure(self, found: Observation) -> Measures:
        """Return whether voices, vowels, speakers, their order and the hats' colours are right."""
        speakers = [event.side for event in found.seen.events]
        voices = [event.colour for event in found.heard]
        return Measures(
            pitch_right=sounds_agree(found, self._voice_seen),
            order_right=signs_in_order(found, self.vowels),
            vowel_right=signs_agree(found),
            speaker_right=speakers == list(self.sides) and voices == [self.voice_of(side) for side in self.sides],
            colour_right=colours_of(found.seen.colours) == list(self.hats),
        )

    def with_skins(self, left: str, right: str) -> DuetScene:
        """Return the scene with other skins."""
        return replace(self, skins=(left, right))

    def _voice_seen(self, event: SeenEvent) -> str | None:
        return None if event.side is None else self.voice_of(event.side)


def _turns(
    said: Said, hats: tuple[str | None, str | None], voices: tuple[str | None, str | None]
) -> tuple[list[str], list[str]]:
    """Return who speaks and what, "" where it is left open: each vowel belongs to the speaker named last before it."""
    named = {**SIDE_WORDS, **VOWEL_WORDS, **VOICE_WORDS, **COLOUR_WORDS}
    speaker, sides, vowels = "", list[str](), list[str]()
    for one in said.find(named):
        word = said.text[one.start : one.end]
        if word in VOWEL_WORDS:
            sides.append(speaker)
            vowels.append(one.value)
        elif one.value in SIDES:
            speaker = one.value
        elif one.value in hats and word in COLOUR_WORDS:
            speaker = SIDES[hats.index(one.value)]
        elif one.value in voices:
            speaker = SIDES[voices.index(one.value)]
    if not any(sides):  # who says what is left open: they take turns
        sides = [SIDES[turn % 2] for turn in range(len(vowels))]
    return sides, vowels


def _differ(vowels: tuple[str, ...]) -> bool:
    return all(one != other for one, other in pairwise(vowels))
