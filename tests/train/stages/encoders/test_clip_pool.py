"""Crops that follow what moves."""

import numpy as np
import pytest
import torch

from mova.codecs.video import to_unit
from mova.train.stages.encoders.clip_pool import ClipPool, motion_mask

CPU = torch.device("cpu")
SIDE, LENGTH = 64, 9


def moving_square(row: int, start: int, step: int) -> np.ndarray:
    """A white square of 8 pixels that walks along a row over grey."""
    frames = np.full((LENGTH, SIDE, SIDE, 3), 90, np.uint8)
    for index in range(LENGTH):
        left = start + step * index
        frames[index, row : row + 8, left : left + 8] = 255
    return frames


@pytest.fixture
def pool():
    return ClipPool(np.stack([moving_square(4, 0, 6), moving_square(48, 4, 6)]), CPU)


def test_frames_become_the_unit_range_channels_first():
    frames = torch.zeros(1, 2, 4, 6, 3, dtype=torch.uint8)
    frames[..., 1] = 255
    unit = to_unit(frames)
    assert unit.shape == (1, 3, 2, 4, 6)
    assert unit.dtype == torch.float32
    assert unit[:, 0].eq(-1).all()
    assert unit[:, 1].eq(1).all()


def test_the_median_is_the_scene_without_what_moves(pool):
    assert (pool.medians == 90).all()


def test_centres_follow_the_object(pool):
    rows, columns = pool.centres[0].unbind(-1)
    assert rows.tolist() == pytest.approx([7.5] * LENGTH)
    assert columns.tolist() == pytest.approx([3.5 + 6 * index for index in range(LENGTH)])


def test_a_still_clip_is_centred_in_the_middle():
    still = ClipPool(np.full((1, 5, 32, 48, 3), 10, np.uint8), CPU)
    assert still.centres[0].tolist() == [[16.0, 24.0]] * 5


def test_the_mask_is_the_object_with_its_margin():
    frames = torch.from_numpy(moving_square(20, 10, 6))[None]
    mask = motion_mask(frames, torch.full((1, SIDE, SIDE, 3), 90, dtype=torch.uint8), margin=3)
    assert mask.shape == (1, 1, LENGTH, SIDE, SIDE)
    expected = torch.zeros(SIDE, SIDE)
    expected[17:31, 7:21] = 1
    assert torch.equal(mask[0, 0, 0], expected)


def test_most_crops_hold_the_object_although_few_places_do(pool):
    """A crop of 16 pixels anywhere holds some of the object one time in seven."""
    frames, moving = pool.crops(torch.Generator().manual_seed(0), 200, 16, 1)
    assert frames.shape == (200, 3, 1, 16, 16)
    assert moving.shape == (200, 1, 1, 16, 16)
    share = float(moving.amax((1, 2, 3, 4)).mean())
    assert 0.7 <= share < 0.95
    bright = (frames > 0.9).amax(1, keepdim=True)
    assert (moving[bright] == 1).all()


def test_crops_are_pieces_of_the_clips():
    """Every pixel carries its frame, row and column, so that a crop tells where it was taken."""
    numbers = np.indices((LENGTH, SIDE, SIDE), dtype=np.uint8).transpose(1, 2, 3, 0)
    pool = ClipPool(np.stack([numbers, numbers]), CPU)
    frames, _ = pool.crops(torch.Generator().manual_seed(3), 40, 32, 5)
    places = ((frames + 1) * 127.5).round().long()  # (B, 3, T, h, w)
    starts = places[:, :, 0, 0, 0]
    offsets = torch.from_numpy(np.indices((5, 32, 32)))
    assert torch.equal(places, starts.view(-1, 3, 1, 1, 1) + offsets)
    assert {int(start) for start in starts[:, 0]} == set(range(LENGTH - 5 + 1))
    assert starts[:, 1:].max() <= SIDE - 32
    assert len(starts[:, 1].unique()) > 5


def test_whole_frames_are_served_where_no_size_is_asked_for(pool):
    frames, moving = pool.crops(torch.Generator().manual_seed(0), 3, None, LENGTH)
    assert frames.shape == (3, 3, LENGTH, SIDE, SIDE)
    assert moving.shape == (3, 1, LENGTH, SIDE, SIDE)


def test_crops_follow_from_the_generator(pool):
    one, other, third = (pool.crops(torch.Generator().manual_seed(seed), 4, 32, 5)[0] for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
