"""The two views of a video that DOVER looks at."""

import numpy as np
import pytest
import torch

from mova.scorers.front_ends import dover_views
from shared_scoring import texture


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 2, 31, 95, 193, 1000])
def test_frames_lie_within_the_video_whatever_its_length(count):
    technical = dover_views.technical_places(count, drawn())
    aesthetic = dover_views.aesthetic_places(count, drawn())
    assert (technical.shape, aesthetic.shape) == ((3, 32), (32,))
    for places in (technical, aesthetic):
        assert places.min() >= 0
        assert places.max() < count


def test_each_third_gives_every_second_frame_and_each_part_one():
    technical = dover_views.technical_places(1000, drawn())
    assert (np.diff(technical) == 2).all()
    assert [int(places[0]) // 333 for places in technical] == [0, 1, 2]
    aesthetic = dover_views.aesthetic_places(1000, drawn())
    assert (aesthetic // 31 == np.arange(32)).all()
    assert len(set(aesthetic % 31)) > 3


def test_a_short_video_begins_again():
    assert dover_views.technical_places(20, drawn())[0, :12].tolist() == [*range(0, 20, 2), 0, 2]


def test_what_is_drawn_is_the_same_for_the_same_seed_alone():
    one, same, other = (dover_views.fragment_offsets((480, 854), 3, drawn(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.shape == (2, 7, 7, 3)
    assert one.max() < 854 // 7 - 32


def test_fragments_are_cut_at_full_size_and_lie_as_in_the_video():
    rows, columns = np.mgrid[:300, :500]
    frames = np.stack([rows // 2, columns // 2, np.zeros_like(rows)], -1)[None].astype(np.uint8).repeat(2, 0)
    offsets = dover_views.fragment_offsets((300, 500), 1, drawn())[..., 0]
    made = dover_views.fragments(frames, offsets)
    assert made.shape == (2, 224, 224, 3)
    top, left = 42 * 3 + offsets[0, 3, 5], 71 * 5 + offsets[1, 3, 5]
    assert np.array_equal(made[1, 96:128, 160:192], frames[1, top : top + 32, left : left + 32])


def test_frames_below_224_lines_are_enlarged_first():
    small = dover_views.enlarged(texture(48, 96)[None])
    assert small.shape == (1, 224, 448, 3)
    offsets = dover_views.fragment_offsets((224, 448), 1, drawn())[..., 0]
    assert not offsets[0].any()
    assert dover_views.fragments(small, offsets).shape == (1, 224, 224, 3)
    large = texture(224, 300)[None]
    assert dover_views.enlarged(large) is large


def test_a_clip_is_normalised_by_the_published_means():
    view = np.full((2, 4, 5, 3), 255, np.uint8)
    clip = dover_views.as_clip(view)
    assert clip.shape == (1, 3, 2, 4, 5)
    assert clip[0, :, 0, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)
