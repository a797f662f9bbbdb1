"""The speaking face: its mouth opens with vowels, in the order that the caption says, at times that it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.asked.lexicon import VOICE_WORDS, several
from mova.toyworld.asked.parts import draw_fitting, find_background, find_colours, fit_count, fit_row
from mova.toyworld.asked.said import Found, Said
from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, Event
from mova.toyworld.mouth import SKIN_RGB, Face, draw_vowels, mouth_size
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.detect_mouth import Place, hat_colours, mouth_box, spoken
from mova.toyworld.reading.detect_voice import detect_voice
from mova.toyworld.reading.measures import colours_of, signs_agree, signs_in_order
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.scenes.scene import Combination, Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, VOICE_HZ, VOWEL_WORD
from mova.toyworld.wording import in_row

FloatArray = NDArray[np.float64]

FACE_X: Final = 0.5
FACE_Y: Final = 0.55
FACE_RADIUS: Final = 0.36
NUM_VOWELS: Final = (2, 4)
FIRST_VOWEL_S: Final = (0.15, 0.4)
VOWEL_S: Final = (0.22, 0.42)
PAUSE_S: Final = (0.17, 0.32)  # longer than the mouth takes to close
LAST_END_S: Final = LAST_EVENT_S + 0.04
VOICE_LEVEL: Final = 0.6

FACE_PLACES: Final[tuple[Place, ...]] = ((FACE_X, FACE_Y, FACE_RADIUS, None),)

# What free wordings call somebody who speaks, and what the voices of the toy world can say.
FACE_WORDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("face", "faces", "head", "mouth", "脸", "人脸", "面孔", "嘴", "嘴巴", "头像"), 3),
    **dict.fromkeys(
        ("man", "woman", "person", "people", "girl", "boy", "lady", "guy", "child", "kid", "men", "women"), 2
    ),
    **dict.fromkeys(
        ("人", "男人", "女人", "男孩", "女孩", "男的", "女的", "孩子", "小孩", "妈妈", "爸爸", "男子", "女子"), 2
    ),
    **dict.fromkeys(("says", "say", "saying", "speaks", "speak", "speaking", "talks", "talk", "talking", "sings"), 2),
    **dict.fromkeys(("voice", "voices", "vowel", "vowels", "说", "说话", "讲", "讲话", "发出", "声音", "喊", "唱"), 1),
    **dict.fromkeys(("hat", "hats", "cap", "caps", "帽", "帽子", "戴"), 1),
}
NO_FACE: Final = ("有人", "机器人", "clock face", "木头人")
VOWEL_WORDS: Final[Mapping[str, str]] = several(
    a="ah|aah|aa|啊|阿|呀", e="eh|诶|欸|哎", i="ee|eee|咿|依|衣", o="oh|ooh|哦|喔|噢|奥", u="oo|uh|呜|乌|唔|屋"
)
_QUOTES: Final = '"“”„«»「」『』 '
_QUOTED: Final = re.compile(r"[\"“„][^\"“”„]*[\"”]|«[^«»]*»|「[^「」]*」|『[^『』]*』")
_COUNTED: Final = ("vowels", "times", "sounds", "syllables", "个音", "声", "次", "个元音")
_SEEN: Final = (
    "A face with a {hat} hat in front of a {background} wall opens its mouth and says {vowels}.",
    "In front of a {background} wall, a face under a {hat} hat speaks: {vowels}.",
    "A face wearing a {hat} hat before a {background} wall moves its mouth to say {vowels}.",
)
_HEARD: Final = (
    "The audio has a {voice} voice that says {vowels}.",
    "The audio contains {vowels}, spoken by a {voice} voice.",
    "The audio is a {voice} voice saying {vowels}.",
)
_PARAPHRASES: Final = (
    "Before a {background} wall a face in a {hat} hat opens its mouth to say {vowels}. "
    "The audio has {vowels} in a {voice} voice.",
    "The audio contains a {voice} voice that says {vowels}. "
    "A face with a {hat} hat speaks in front of a {background} wall: {vowels}.",
    "A face stands in front of a {background} wall, with a {hat} hat, and says {vowels}. "
    "The audio is {vowels}, spoken in a {voice} voice.",
    "The hat is {hat}, the wall {background}. "
    "The face moves its mouth and says {vowels}. The audio has a {voice} voice: {vowels}.",
    "In front of a {background} wall, under a {hat} hat, the mouth of a face opens to say {vowels}. "
    "The audio is a {voice} voice which says {vowels}.",
    "A face in front of a {background} wall, wearing a {hat} hat, opens its mouth: {vowels}. "
    "The audio contains a {voice} voice saying {vowels}.",
    "The audio is {vowels}, spoken by a {voice} voice. "
    "The face says {vowels}, its hat is {hat} and the wall is {background}.",
)


@dataclass(frozen=True)
class FaceScene(Scene):
    """A face that says vowels.

    Attributes:
        hat: colour of the hat.
        skin: a key of `SKIN_RGB`.
        voice: a key of `VOICE_HZ`.
        vowels: in order.
        times_s, ends_s: onset and end of each.
    """

    kind: ClassVar[str] = "face"
    held_out: ClassVar[frozenset[Combination]] = frozenset(
        {("low", "a", "u"), ("low", "e", "o"), ("high", "i", "a"), ("high", "u", "e")}
    )
    quiet_rise: ClassVar[float] = 0.08
    changing: ClassVar[Changing] = Changing(boxes=tuple(mouth_box(place) for place in FACE_PLACES))
    words: ClassVar[Mapping[str, int]] = FACE_WORDS
    other_words: ClassVar[tuple[str, ...]] = NO_FACE
    summary: ClassVar[str] = "a face in a hat says vowels (ah, eh, ee, oh, oo)"
    paraphrases: ClassVar[tuple[str, ...]] = _PARAPHRASES

    hat: str
    skin: str
    voice: str
    vowels: tuple[str, ...]
    times_s: tuple[float, ...]
    ends_s: tuple[float, ...]

    @classmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return a random face: no vowel twice in a row, none that ends after a clip of the reference length."""
        num_vowels = int(rng.integers(NUM_VOWELS[0], NUM_VOWELS[1] + 1))
        times_s, ends_s = draw_turns(rng, num_vowels)
        return cls(
            seed=seed,
            background=str(rng.choice(list(BACKGROUND_RGB))),
            hat=str(rng.choice(COLOURS)),
            skin=str(rng.choice(list(SKIN_RGB))),
            voice=str(rng.choice(list(VOICE_HZ))),
            vowels=draw_vowels(rng, num_vowels),
            times_s=times_s,
            ends_s=ends_s,
        )

    @classmethod
    def from_said(cls, said: Said, seed: int) -> FaceScene:
        """Return the speaking face that a free wording asks for."""
        said.find(dict.fromkeys(cls.words, True), beside=cls.other_words)
        background = find_background(said)
        hats = [found.value for found in find_colours(said)]
        voices = [found.value for found in said.find(VOICE_WORDS)]
        count = fit_count(said, said.count_of(_COUNTED), NUM_VOWELS, "vowels")
        row = fit_row(said, [found.value for found in find_vowels(said)], NUM_VOWELS, "vowels")

        def draw(seed: int, rng: np.random.Generator) -> FaceScene:
            scene = cls.sample(seed, rng)
            if len(row) == len(scene.vowels):
                scene = replace(scene, vowels=tuple(row))
            return replace(
                scene,
                background=background or scene.background,
                hat=hats[0] if hats else scene.hat,
                voice=voices[0] if voices else scene.voice,
            )

        def fits(scene: FaceScene) -> bool:
            asked = scene.vowels[: len(row)] == tuple(row)
            return asked and len(scene.vowels) == (len(row) if len(row) > 1 else count or len(scene.vowels))

        return draw_fitting(seed, draw, fits)

    @property
    def face(self) -> Face:
        """Where the face is."""
        return Face(FACE_X, FACE_Y, FACE_RADIUS, self.hat, self.skin)

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the vowels that begin in the first `duration_s` seconds."""
        return tuple(
            Event(
                time_s=time_s,
                kind="vowel",
                x=self.face.x,
                y=self.face.mouth_y,
                bar=None,
                colour=self.hat,
                timbre=vowel,
                pitch_hz=VOICE_HZ[self.voice],
                level=VOICE_LEVEL,
                end_s=end_s,
            )
            for vowel, time_s, end_s in zip(self.vowels, self.times_s, self.ends_s, strict=True)
            if time_s < duration_s
        )

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        image = (backdrop + 0.5).astype(np.uint8)[None]
        self.face.draw(image, viewport)
        frames = np.repeat(image, len(times_s), axis=0)
        self.face.draw_mouth(frames, viewport, mouth_size(times_s, self.vowels, self.times_s, self.ends_s))
        return frames

    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return what is seen, and what is heard, in words."""
        facts = self.facts(ranked=ranked)
        return _SEEN[video].format(**facts), _HEARD[audio].format(**facts)

    def facts(self, *, ranked: bool) -> dict[str, str]:
        """Return the words of captions."""
        return {
            "hat": self.hat,
            "background": self.background,
            "voice": self.voice,
            "vowels": in_row([VOWEL_WORD[vowel] for vowel in self.vowels], ranked=ranked),
        }

    def combinations(self) -> tuple[Combination, ...]:
        """Return the voice with each two successive vowels."""
        return tuple((self.voice, one, other) for one, other in pairwise(self.vowels))

    @classmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return the openings of the mouth that are seen."""
        events = spoken(frames, np.arange(len(frames)) / frame_rate, FACE_PLACES)
        return VideoReading(events, colours=hat_colours(frames, FACE_PLACES))

    @classmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return the vowels that are heard."""
        return detect_voice(waveform, sample_rate)

    def measure(self, found: Observation) -> Measures:
        """Return whether voice, vowels, their order and the hat's colour are right."""
        return Measures(
            pitch_right=bool(found.heard) and all(event.colour == self.voice for event in found.heard),
            order_right=signs_in_order(found, self.vowels),
            vowel_right=signs_agree(found),
            colour_right=colours_of(found.seen.colours) == [self.hat],
        )

    def with_skins(self, left: str, right: str) -> FaceScene:  # noqa: ARG002 (one face)
        """Return the scene with the left one of two skins."""
        return replace(self, skin=left)


def find_vowels(said: Said) -> list[Found[str]]:
    """Return the vowels that a wording names; says which quoted words no voice of the toy world can say."""
    found = said.find(VOWEL_WORDS)
    for match in said.match(_QUOTED):
        words = match[0].strip(_QUOTES)
        if words and not any(match.start() <= one.start < match.end() for one in found):
            known = ", ".join(VOWEL_WORD.values())
            said.problems.append(f'"{words[:40]}" cannot be said: the voices of the toy world say only {known}')
    return found


def draw_turns(rng: np.random.Generator, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return random onsets and ends of `count` vowels, one after another, in seconds."""
    while True:
        lengths, pauses = rng.uniform(*VOWEL_S, count), rng.uniform(*PAUSE_S, count - 1)
        starts = rng.uniform(*FIRST_VOWEL_S) + np.concatenate([[0.0], np.cumsum(lengths[:-1] + pauses)])
        ends = starts + lengths
        if starts[-1] < LAST_EVENT_S and ends[-1] < LAST_END_S:
            return tuple(map(float, starts)), tuple(map(float, ends))
