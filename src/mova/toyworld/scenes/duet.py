"""Two faces that take turns: the caption says who says what in which order, and whose voice is low; times are free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.event import Event
from mova.toyworld.mouth import SKIN_RGB, Face, draw_vowels, mouth_size
from mova.toyworld.scenes.face import VOICE_LEVEL, draw_turns
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, SIDES, VOICE_HZ

FloatArray = NDArray[np.float64]

FACES_X: Final = (0.255, 0.745)
FACES_Y: Final = 0.53
FACES_RADIUS: Final = 0.23
NUM_TURNS: Final = (2, 4)


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

    hats: tuple[str, str]
    skins: tuple[str, str]
    voices: tuple[str, str]
    sides: tuple[str, ...]
    vowels: tuple[str, ...]
    times_s: tuple[float, ...]
    ends_s: tuple[float, ...]

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
        picture = (backdrop + 0.5).astype(np.uint8)[None]
        for face in self.faces:
            face.draw(picture, viewport)
        frames = np.repeat(picture, len(times_s), axis=0)
        for side, face in zip(SIDES, self.faces, strict=True):
            own = [turn for turn, speaker in enumerate(self.sides) if speaker == side]
            vowels = tuple(self.vowels[turn] for turn in own)
            onsets_s, ends_s = (tuple(times[turn] for turn in own) for times in (self.times_s, self.ends_s))
            face.draw_mouth(frames, viewport, mouth_size(times_s, vowels, onsets_s, ends_s))
        return frames


def draw_duet_scene(seed: int, rng: np.random.Generator) -> DuetScene:
    """Return two random faces that both speak."""
    num_turns = int(rng.integers(NUM_TURNS[0], NUM_TURNS[1] + 1))
    sides = [str(side) for side in rng.choice(SIDES, num_turns)]
    while len(set(sides)) < 2:
        sides = [str(side) for side in rng.choice(SIDES, num_turns)]
    times_s, ends_s = draw_turns(rng, num_turns)
    hats = [str(colour) for colour in rng.choice(COLOURS, 2, replace=False)]
    skins = [str(skin) for skin in rng.choice(list(SKIN_RGB), 2)]
    voices = [str(voice) for voice in rng.permutation(list(VOICE_HZ))]
    return DuetScene(
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
