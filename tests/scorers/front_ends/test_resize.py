"""Frames of another size."""

import numpy as np
import pytest
from PIL import Image

from mova.scorers.front_ends.resize import resized
from shared_scoring import texture


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(24, 40), (90, 130)], ids=("smaller", "larger"))
def test_frames_are_resized_as_pillow_does_which_rounds_twice(mode, size):
    frames = np.stack([texture(60, 100, seed) for seed in range(9)])
    ours = resized(frames, size, mode=mode)
    theirs = [Image.fromarray(frame).resize(size[::-1], Image.Resampling[mode.upper()]) for frame in frames]
    apart = np.abs(ours.astype(int) - np.stack([np.asarray(image) for image in theirs]))
    assert ours.dtype == np.uint8
    assert apart.mean() < 0.5
    assert apart.max() <= (1 if mode == "bilinear" else 20)


def test_without_antialias_fine_grain_stays():
    frames = texture(96, 96, smooth=1)[None]
    smooth, sharp = (resized(frames, (24, 24), antialias=choice).astype(float) for choice in (True, False))
    assert sharp.std() > 1.5 * smooth.std()


def test_frames_of_the_size_are_the_same():
    frames = texture(24, 24)[None]
    assert resized(frames, (24, 24)) is frames


@pytest.mark.parametrize("size", [(24, 40), (90, 130)], ids=("smaller", "larger"))
def test_native_bicubic_rounds_twice_as_pillow_does(size):
    frames = np.stack([texture(60, 100, seed) for seed in range(9)])
    theirs = [Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC) for frame in frames]
    apart = np.abs(resized(frames, size, mode="bicubic", native=True).astype(int) - np.stack(theirs))
    assert apart.max() <= 2
