"""Two faces that take turns: the caption says who says what in which order, and whose voice is low; times are free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.event import Event, SeenEvent
from mova.toyworld.mouth import SKIN_RGB, Face, draw_vowels, mouth_size
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.detect_mouth import Place, hat_colours, mouth_box, spoken
from mova.toyworld.reading.detect_voice import detect_voice
from mova.toyworld.reading.measures import colours_of, signs_agree, signs_in_order, sounds_agree
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.scenes.face import VOICE_LEVEL, draw_turns
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
    changing: ClassVar[Changing] = Changing(boxes=tuple(mouth_box(place) for place in DUET_PLACES))

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
        left, right = self.hats
        sides = in_row(self.sides, ranked=ranked)
        seen = _SEEN[video].format(left=left, right=right, background=self.background, sides=sides)
        # Side and vowel stand together: whose turn it is reaches the video through the audio, which looks up the vowel.
        turns = [
            f"a {self.voice_of(side)} {VOWEL_WORD[vowel]} {side}"
            for side, vowel in zip(self.sides, self.vowels, strict=True)
        ]
        return seen, _HEARD[audio].format(turns=in_row(turns, ranked=ranked))

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
