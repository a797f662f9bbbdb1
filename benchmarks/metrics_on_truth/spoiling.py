"""Ways to spoil a clip by a known amount: of its audio, of its video, and how their amounts are ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.signal import butter, sosfiltfilt

UNSPOILT = "as it is"
BANNER = "OPEN DAY"


@dataclass(frozen=True)
class Spoiling:
    """One way to spoil a clip.

    Attributes:
        name: of it.
        words: what is done, with the unit of the levels.
        levels: how much of it, the least harmful first; the clip as it is comes before them.
        is_signed: whether levels go to both sides, and harm by their absolute value.
    """

    name: str
    words: str
    levels: tuple[float, ...]
    is_signed: bool = False

    @property
    def strengths(self) -> tuple[float, ...]:
        """Return how much harm can be done, in order; 0 is none."""
        return tuple(sorted({0.0, *(self.strength(level) for level in self.levels)}))

    def strength(self, level: float) -> float:
        """Return the harm of a level: a number that only orders levels, except for signed ones."""
        return abs(level) if self.is_signed else float(self.levels.index(level) + 1)

    def label(self, strength: float) -> str:
        """Return the level, or pair of levels, of a strength, in words."""
        if not strength:
            return "0"
        return f"{strength:g}" if self.is_signed else f"{self.levels[round(strength) - 1]:g}"


SHIFT = Spoiling(
    "shift",
    "audio shifted, ms; above 0 it is late",
    (-500, -250, -120, -80, -40, 40, 80, 120, 250, 500),
    is_signed=True,
)
SOUND: tuple[Spoiling, ...] = (
    Spoiling("noise", "white noise, dB above the sound", (-30, -15, 0)),
    Spoiling("clipping", "amplified, dB, and cut off at full scale", (6, 15, 24)),
    Spoiling("low-pass", "nothing above, Hz", (4000, 2000, 1000)),
    Spoiling("quieter", "quieter, dB", (10, 25, 40)),
)
TOY_SOUND: tuple[Spoiling, ...] = (
    SHIFT,
    Spoiling("drift", "audio slower, late at the end by, ms", (120, 250, 500)),
    Spoiling("dropped", "share of the sounds left out, %", (25, 50, 75, 100)),
    Spoiling("pitch", "all pitches higher, semitones", (1, 2, 4, 7, 12)),
    Spoiling("same kind", "audio of another clip of the same kind", (1,)),
    Spoiling("other kind", "audio of a clip of another kind", (1,)),
    *SOUND,
)
SPEECH_SOUND: tuple[Spoiling, ...] = (
    SHIFT,
    Spoiling("voice", "the same sentences in another voice", (1,)),
    Spoiling("second voice", "the second sentence in another voice", (1,)),
    Spoiling("sentence", "other sentences in the same voice", (1,)),
    Spoiling("cut", "only the first part of the sentences is heard, %", (75, 50, 25)),
    Spoiling("no speech", "audio of a toy clip with blows and notes", (1,)),
    *SOUND,
)
TOY_VIDEO: tuple[Spoiling, ...] = (
    Spoiling("blur", "Gaussian blur, px", (1, 2, 4)),
    Spoiling("blocks", "share of a mosaic of 8 px, %", (25, 50, 100)),
    Spoiling("black", "black for the last part, %", (25, 50, 75)),
    Spoiling("freeze", "standing still for the last part, %", (25, 50, 75)),
    Spoiling("faded", "contrast of the banner taken away, %", (50, 90, 100)),
)


def spoil_sound(sound: np.ndarray, sample_rate: int, name: str, level: float, seed: int) -> np.ndarray:
    """Return a sound (S,) float32 in [-1, 1], spoilt in a way that needs to know nothing of what sounds.

    Args:
        sound: (S,) in [-1, 1].
        sample_rate: in Hz.
        name: "shift" or one of `SOUND`.
        level: of it.
        seed: of the noise.
    """
    if name == "shift":
        return shifted(sound, round(level * sample_rate / 1000))
    if name == "noise":
        power = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
        noise = np.random.default_rng([seed, 7]).normal(0.0, power * 10 ** (level / 20), len(sound))
        return np.clip(sound + noise, -1, 1).astype(np.float32)
    if name == "clipping":
        return np.clip(sound * 10 ** (level / 20), -1, 1).astype(np.float32)
    if name == "low-pass":
        passed = sosfiltfilt(butter(8, level, fs=sample_rate, output="sos"), sound)
        return np.clip(passed, -1, 1).astype(np.float32)
    assert name == "quieter", name
    return (sound * 10 ** (-level / 20)).astype(np.float32)


def shifted(sound: np.ndarray, samples: int) -> np.ndarray:
    """Return a sound (S,) that begins `samples` later, or earlier below 0; what leaves the clip is lost."""
    moved = np.zeros_like(sound)
    if abs(samples) < len(sound):
        moved[max(0, samples) : len(sound) + min(0, samples)] = sound[max(0, -samples) : len(sound) - max(0, samples)]
    return moved


def with_banner(frames: np.ndarray, contrast: float) -> np.ndarray:
    """Return frames (F, H, W, 3) with `BANNER` at the top, its letters white at contrast 1 and not there at 0."""
    height, width = frames.shape[1:3]
    image = Image.new("L", (width, height))
    font = ImageFont.load_default(height // 9)
    ImageDraw.Draw(image).text((width // 2, height // 9), BANNER, fill=255, font=font, anchor="mm")
    top = height * 2 // 9
    banner = np.asarray([30, 30, 60]) + np.asarray(image, np.float32)[:top, :, None] / 255 * contrast * 200
    spoilt = frames.copy()
    spoilt[:, :top] = banner.round().astype(np.uint8)
    return spoilt


def spoil_video(frames: np.ndarray, name: str, level: float) -> np.ndarray:
    """Return frames (F, H, W, 3) uint8, spoilt in a way of `TOY_VIDEO`."""
    count = len(frames)
    spoilt = frames.copy()
    if name == "blur":
        for index in range(count):
            spoilt[index] = np.asarray(Image.fromarray(frames[index]).filter(ImageFilter.GaussianBlur(level)))
    elif name == "blocks":
        height, width = (size // 8 for size in frames.shape[1:3])
        cut = frames[:, : 8 * height, : 8 * width].astype(np.float32)
        means = cut.reshape(count, height, 8, width, 8, 3).mean(axis=(2, 4))
        mosaic = means.repeat(8, axis=1).repeat(8, axis=2)
        spoilt[:, : 8 * height, : 8 * width] = (cut + level / 100 * (mosaic - cut)).round().astype(np.uint8)
    elif name == "black":
        spoilt[round(count * (1 - level / 100)) :] = 0
    elif name == "freeze":
        first = round(count * (1 - level / 100))
        spoilt[first:] = frames[first]
    else:
        assert name == "faded", name
        spoilt = with_banner(frames, 1 - level / 100)
    return spoilt


def levels_of(spoilings: Sequence[Spoiling]) -> list[tuple[str, float]]:
    """Return the clip as it is and every level of every way, as (name, level)."""
    return [(UNSPOILT, 0.0), *((one.name, level) for one in spoilings for level in one.levels)]
