"""Windows of a video in which tokens attend to each other."""

import pytest
import torch

from mova.scorers.networks.dover.windows import fitted, fragment_distance, joined, relative_index, shift_mask, split


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [((16, 56, 56), (8, 7, 7), (4, 3, 3)), ((16, 7, 7), (8, 7, 7), (4, 0, 0)), ((1, 5, 20), (1, 5, 7), (0, 0, 3))],
)
def test_a_window_is_no_larger_than_the_video_and_shifted_where_there_are_several(size, window, shift):
    assert fitted((8, 7, 7), size) == (window, shift)


def test_windows_are_put_together_as_they_were():
    tokens = torch.arange(2 * 4 * 6 * 8 * 3).reshape(2, 4, 6, 8, 3)
    windows = split(tokens, (2, 3, 4))
    assert windows.shape == (16, 24, 3)
    assert torch.equal(windows[0], tokens[0, :2, :3, :4].reshape(-1, 3))
    assert torch.equal(joined(windows, (2, 3, 4), (4, 6, 8)), tokens)


def test_only_windows_at_the_end_hold_tokens_that_do_not_belong_together():
    mask = shift_mask((1, 4, 4), (1, 2, 2), (0, 1, 1))
    assert mask.shape == (4, 4, 4)
    assert mask.any(dim=(1, 2)).tolist() == [False, True, True, True]
    # The last window holds one token of each corner of the video.
    assert torch.equal(mask[3], ~torch.eye(4, dtype=torch.bool))


def test_tokens_of_one_fragment_are_not_apart():
    apart = fragment_distance((1, 14, 14), (1, 7, 7), (0, 0, 0))
    assert apart.shape == (4, 49, 49)
    # 7 fragments over 14 tokens: two tokens each.
    assert apart[0, 0, :7].tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert apart[0, 0, 8].item() == 0
    assert apart[0, 0, 48].item() == 6
    shifted = fragment_distance((1, 14, 14), (1, 7, 7), (0, 3, 3))
    assert shifted[0, 0, :7].tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_each_distance_of_two_tokens_has_a_row():
    index = relative_index((2, 3, 3))
    assert index.shape == (18, 18)
    assert index.unique().numel() == 3 * 5 * 5
    assert index.diagonal().unique().tolist() == [37]
    assert index[0, 1] == 36
    assert index[0, 9] == 37 - 25
