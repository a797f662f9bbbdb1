"""Records check their shapes where they are made."""

import numpy as np
import pytest
import torch

from mova.errors import GeometryError
from mova.types import Clip, LatentPair, Velocities


def test_a_clip_knows_its_length():
    clip = Clip(np.zeros((12, 4, 4, 3), np.uint8), np.zeros((1, 8000), np.float32), 24.0, 16_000)
    assert clip.duration_s == 0.5


@pytest.mark.parametrize(
    ("frames", "waveform", "text"),
    [
        ((4, 4, 3), (1, 10), r"frames must be \(F, H, W, 3\), got \(4, 4, 3\)"),
        ((2, 4, 4, 4), (1, 10), r"frames must be \(F, H, W, 3\), got \(2, 4, 4, 4\)"),
        ((2, 4, 4, 3), (10,), r"waveform must be \(channels, S\), got \(10,\)"),
    ],
)
def test_a_clip_of_another_shape_is_refused(frames, waveform, text):
    with pytest.raises(GeometryError, match=text):
        Clip(np.zeros(frames, np.uint8), np.zeros(waveform, np.float32), 24.0, 16_000)


@pytest.mark.parametrize("record", [LatentPair, Velocities])
@pytest.mark.parametrize(
    ("video", "audio", "text"),
    [
        ((1, 16, 4, 4), (1, 32, 9), r"video latents must be \(B, C, T, h, w\)"),
        ((1, 16, 2, 4, 4), (32, 9), r"audio latents must be \(B, C, A\)"),
        ((2, 16, 2, 4, 4), (1, 32, 9), "both modalities need the same batch size, got 2 and 1"),
    ],
)
def test_latents_of_another_shape_are_refused(record, video, audio, text):
    with pytest.raises(GeometryError, match=text):
        record(video=torch.zeros(video), audio=torch.zeros(audio))
