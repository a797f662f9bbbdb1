"""Squares of frames of any size; the recorded ones are compared beside the networks."""

import numpy as np
import pytest
import torch

from mova.scorers.front_ends.image_crops import (
    imagebind_crops,
    neighbour_pairs,
    synchformer_frames,
    synchformer_segments,
    with_short_side,
)

SIZES = [(224, 224), (224, 400), (300, 260), (90, 160), (161, 90), (225, 224), (32, 320), (16, 16)]


def frames_of(height, width, count=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_squares_have_one_size_and_lie_inside_whatever_the_frames_are(size):
    frames = frames_of(*size)
    small = with_short_side(frames)
    assert min(small.shape[1:3]) == 224
    assert max(small.shape[1:3]) == int(224 * max(size) / min(size))
    middle = synchformer_frames(frames)
    assert (middle.shape, middle.dtype) == ((2, 3, 224, 224), np.uint8)
    crops = imagebind_crops(frames)
    assert (crops.shape, crops.dtype) == ((3, 2, 3, 224, 224), torch.float32)
    assert torch.isfinite(crops).all()


def whole(crops):
    """Return numbers of 0..255 again."""
    mean, deviation = (
        torch.tensor(three).view(3, 1, 1)
        for three in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    return ((crops * deviation + mean) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()


@pytest.mark.parametrize("upright", [False, True])
def test_crops_are_the_two_ends_and_the_middle_of_the_longer_side(upright):
    frames = frames_of(224, 301)
    frames = frames.transpose(0, 2, 1, 3) if upright else frames
    first, middle, last = whole(imagebind_crops(frames))
    along = [frames[:, at : at + 224] if upright else frames[:, :, at : at + 224] for at in (0, 39, 77)]
    for found, wanted in zip((first, middle, last), along, strict=True):
        assert np.array_equal(found, wanted)


def test_the_middle_square_is_rounded_to_even_halves():
    frames = frames_of(224, 301)
    assert np.array_equal(synchformer_frames(frames).transpose(0, 2, 3, 1), frames[:, :, 38 : 38 + 224])


def test_segments_overlap_by_half_and_run_from_minus_one_to_one():
    frames = np.zeros((33, 3, 224, 224), np.uint8)
    frames[8:16], frames[16:24] = 255, 51
    segments = synchformer_segments(frames)
    assert segments.shape == (3, 16, 3, 224, 224)
    assert segments[:, ::8, 0, 0, 0].tolist() == [[-1.0, 1.0], [1.0, pytest.approx(-0.6)], [pytest.approx(-0.6), -1.0]]


def test_pairs_are_neighbours_with_the_crops_of_the_first_pair_first_and_one_frame_is_its_own_neighbour():
    crops = torch.arange(3 * 4).view(3, 4, 1, 1, 1).float()
    pairs = neighbour_pairs(crops)
    assert pairs.flatten(1)[:4].tolist() == [[0, 1], [4, 5], [8, 9], [1, 2]]
    assert len(pairs) == 9
    assert neighbour_pairs(crops[:, :1]).flatten(1).tolist() == [[0, 0], [4, 4], [8, 8]]
