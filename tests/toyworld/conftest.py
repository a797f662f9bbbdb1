from collections.abc import Callable

import numpy as np
import pytest

from mova.toyworld import RenderedClip, render, sample_scene, split_seed


def _rendered(index: int, kind: str | None = None, size: int = 64) -> RenderedClip:
    return render(sample_scene(split_seed("validation", index), kind=kind), size=size)


def _worn(frames: np.ndarray, seed: int) -> np.ndarray:
    """Blur in space, drag in time, shifted hues and blotches: what a small autoencoder does to frames, exaggerated."""
    rng = np.random.default_rng(seed)
    pixels = frames.astype(np.float32)
    for axis in (1, 2):
        pixels = (np.roll(pixels, 1, axis) + 2 * pixels + np.roll(pixels, -1, axis)) / 4
    pixels[1:] = 0.85 * pixels[1:] + 0.15 * pixels[:-1]
    pixels = (pixels - 128) @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))) + 128 + rng.normal(0, 5, 3)
    blotches = rng.normal(0, 6, (len(frames), frames.shape[1] // 4, frames.shape[2] // 4, 3))
    return np.clip(pixels + blotches.repeat(4, axis=1).repeat(4, axis=2), 0, 255).astype(np.uint8)


@pytest.fixture
def rendered() -> Callable[..., RenderedClip]:
    return _rendered


@pytest.fixture
def worn() -> Callable[[np.ndarray, int], np.ndarray]:
    return _worn
