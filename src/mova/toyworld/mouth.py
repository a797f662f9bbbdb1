"""A drawn face and its mouth: each vowel has a shape, which the mouth takes and leaves at a steady pace.

The mouth begins to open at the very onset of the voice and to close at its end. How far it has got in a frame tells
when, between two frames, it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport, discs, ellipses, paint, rounded_box
from mova.toyworld.vocabulary import COLOUR_RGB, VOWELS, Rgb

FloatArray = NDArray[np.float64]

# Width and height of the mouth, in radii of the face.
CLOSED: Final = (0.46, 0.07)
SHAPE: Final[dict[str, tuple[float, float]]] = {
    "a": (0.70, 0.72),
    "e": (0.82, 0.42),
    "i": (0.90, 0.22),
    "o": (0.50, 0.56),
    "u": (0.26, 0.30),
}
OPENING_S: Final = 0.1  # to open and to close
MOUTH_BELOW: Final = 0.38  # the mouth's middle below the face's, in radii
MOUTH_RGB: Final[Rgb] = (84, 14, 30)
EYE_RGB: Final[Rgb] = (40, 36, 44)
SKIN_RGB: Final[dict[str, Rgb]] = {"light": (246, 212, 180), "medium": (224, 172, 128), "dark": (190, 134, 94)}
EYE: Final = (0.36, -0.18, 0.10)  # x and y from the middle, radius, in radii
HAT: Final = (-0.84, -1.14, 0.84, -0.56)  # left, top, right, bottom in radii
HAT_CORNER: Final = 0.16


@dataclass(frozen=True)
class Face:
    """Where a face is and what it looks like.

    Attributes:
        x, y: middle of the face in units of the frame size.
        radius: radius of the face.
        hat: its colour.
        skin: a key of `SKIN_RGB`.
    """

    x: float
    y: float
    radius: float
    hat: str
    skin: str

    @property
    def mouth_y(self) -> float:
        """Height of the middle of the mouth."""
        return self.y + MOUTH_BELOW * self.radius

    def draw(self, canvas: NDArray[np.uint8], viewport: Viewport) -> None:
        """Paint the face without its mouth into `canvas` (1, H, W, 3), in place."""
        scale = self.radius * viewport.scale
        x, y = viewport.x(np.asarray([self.x])), viewport.y(np.asarray([self.y]))
        paint(canvas, discs(x, y, scale), SKIN_RGB[self.skin])
        for side in (-1, 1):
            paint(canvas, discs(x + side * EYE[0] * scale, y + EYE[1] * scale, EYE[2] * scale), EYE_RGB)
        left, right = (float(x[0]) + HAT[side] * scale for side in (0, 2))
        top, bottom = (float(y[0]) + HAT[side] * scale for side in (1, 3))
        box = (left, top, right, bottom)
        rows, columns, coverage = rounded_box(viewport.height, viewport.width, box, HAT_CORNER * scale)
        under = canvas[0, rows, columns].astype(np.float32)
        hat = under + coverage[..., None] * (np.asarray(COLOUR_RGB[self.hat], np.float32) - under)
        canvas[0, rows, columns] = (hat + 0.5).astype(np.uint8)

    def draw_mouth(self, frames: NDArray[np.uint8], viewport: Viewport, size: tuple[FloatArray, FloatArray]) -> None:
        """Paint the mouth, of width and height (F,) in radii of the face, into `frames` (F, H, W, 3), in place."""
        half_width, half_height = (0.5 * self.radius * viewport.scale * length for length in size)
        x = np.full(len(frames), float(viewport.x(self.x)))
        y = np.full(len(frames), float(viewport.y(self.mouth_y)))
        paint(frames, ellipses(x, y, half_width, half_height), MOUTH_RGB)


def mouth_size(
    times_s: FloatArray, vowels: tuple[str, ...], onsets_s: tuple[float, ...], ends_s: tuple[float, ...]
) -> tuple[FloatArray, FloatArray]:
    """Return width and height (F,) of a mouth at `times_s` (F,), in radii of the face."""
    width, height = (np.full(len(times_s), closed) for closed in CLOSED)
    for vowel, onset_s, end_s in zip(vowels, onsets_s, ends_s, strict=True):
        opening, closing = (times_s - onset_s) / OPENING_S, 1 - (times_s - end_s) / OPENING_S
        openness = np.clip(np.minimum(opening, closing), 0.0, 1.0)
        width += openness * (SHAPE[vowel][0] - CLOSED[0])
        height += openness * (SHAPE[vowel][1] - CLOSED[1])
    return width, height


def draw_vowels(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """Return `count` random vowels, none twice in a row."""
    indices = [int(rng.integers(len(VOWELS)))]
    while len(indices) < count:
        indices.append((indices[-1] + int(rng.integers(1, len(VOWELS)))) % len(VOWELS))
    return tuple(VOWELS[index] for index in indices)
