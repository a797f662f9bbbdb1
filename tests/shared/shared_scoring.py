"""Clips whose scores are known: made of arrays, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mova.media.write import write_clip
from mova.scorers.base import Findings, Scorer
from mova.scorers.clip_media import ClipMedia
from mova.types import Clip

FRAME_RATE = 24.0
SAMPLE_RATE = 48_000


def texture(height: int, width: int, seed: int = 0, smooth: int = 3) -> np.ndarray:
    """Return (H, W, 3) uint8 noise of `smooth` pixels a grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // smooth), -(-width // smooth), 1), dtype=np.uint8)
    return np.ascontiguousarray(np.repeat(coarse.repeat(smooth, 0).repeat(smooth, 1)[:height, :width], 3, axis=2))


def still(seconds: float = 2.0, size: tuple[int, int] = (64, 96), value: int = 90) -> np.ndarray:
    """Return (F, H, W, 3) uint8 frames of one grey."""
    return np.full((round(seconds * FRAME_RATE), *size, 3), value, np.uint8)


def tone(hz: float, seconds: float, level: float = 0.3, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return (S,) float32 of a sine."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(np.float32)


def fading(sound: np.ndarray) -> np.ndarray:
    """Return a sound (S,) that sets in at once and dies away, so that its end is no onset."""
    return (sound * np.exp(np.linspace(0, -8, len(sound)))).astype(np.float32)


def clip_of(
    path: Path, frames: np.ndarray | None = None, sound: np.ndarray | None = None, sample_rate: int = SAMPLE_RATE
) -> ClipMedia:
    """Write a file and return it as scorers see it; the frames or the audio that are not given are plain.

    Args:
        path: of the file.
        frames: (F, H, W, 3) uint8 at 24 per second; None is grey, as long as the audio.
        sound: (S,) or (channels, S); None is a file without audio.
        sample_rate: of the sound, in Hz.
    """
    if frames is None:
        assert sound is not None
        frames = still(sound.shape[-1] / sample_rate)
    if sound is not None:
        length = round(len(frames) * sample_rate / FRAME_RATE)
        sound = np.atleast_2d(sound)[:, :length].astype(np.float32)
        sound = np.pad(sound, ((0, 0), (0, length - sound.shape[1])))
    write_clip(path, Clip(frames, sound, FRAME_RATE, sample_rate), allow_silent=True)
    return ClipMedia(path)


def score(scorer: Scorer, clip: ClipMedia) -> Findings:
    """Return the findings of one clip, each of the scorer's measures among them."""
    (found,) = scorer.score([clip])
    assert set(found.scores) == {measure.name for measure in scorer.measures}
    return found


def value(scorer: Scorer, clip: ClipMedia, name: str) -> float:
    """Return a score that must be there."""
    found = score(scorer, clip).scores[name]
    assert found.value is not None, found.reason
    return found.value


def reason(scorer: Scorer, clip: ClipMedia, name: str) -> str:
    """Return why a score is not there."""
    return score(scorer, clip).scores[name].reason


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between two vectors."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
