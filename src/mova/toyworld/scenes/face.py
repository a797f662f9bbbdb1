"""The speaking face: its mouth opens with vowels, in the order that the caption says, at times that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, Event
from mova.toyworld.mouth import SKIN_RGB, Face, draw_vowels, mouth_size
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, VOICE_HZ

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

    hat: str
    skin: str
    voice: str
    vowels: tuple[str, ...]
    times_s: tuple[float, ...]
    ends_s: tuple[float, ...]

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
        picture = (backdrop + 0.5).astype(np.uint8)[None]
        self.face.draw(picture, viewport)
        frames = np.repeat(picture, len(times_s), axis=0)
        self.face.draw_mouth(frames, viewport, mouth_size(times_s, self.vowels, self.times_s, self.ends_s))
        return frames


def draw_face_scene(seed: int, rng: np.random.Generator) -> FaceScene:
    """Return a random face: no vowel twice in a row, none that ends after a clip of the reference length."""
    num_vowels = int(rng.integers(NUM_VOWELS[0], NUM_VOWELS[1] + 1))
    times_s, ends_s = draw_turns(rng, num_vowels)
    return FaceScene(
        seed=seed,
        background=str(rng.choice(list(BACKGROUND_RGB))),
        hat=str(rng.choice(COLOURS)),
        skin=str(rng.choice(list(SKIN_RGB))),
        voice=str(rng.choice(list(VOICE_HZ))),
        vowels=draw_vowels(rng, num_vowels),
        times_s=times_s,
        ends_s=ends_s,
    )


def draw_turns(rng: np.random.Generator, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return random onsets and ends of `count` vowels, one after another, in seconds."""
    while True:
        lengths, pauses = rng.uniform(*VOWEL_S, count), rng.uniform(*PAUSE_S, count - 1)
        starts = rng.uniform(*FIRST_VOWEL_S) + np.concatenate([[0.0], np.cumsum(lengths[:-1] + pauses)])
        ends = starts + lengths
        if starts[-1] < LAST_EVENT_S and ends[-1] < LAST_END_S:
            return tuple(map(float, starts)), tuple(map(float, ends))
