"""The caller's own frames and samples take the place of decoded ones, without a click where they end."""

import pytest
import torch

from mova.conditioning.kept import keep_frames, keep_samples


def test_own_frames_stand_in_their_parts_and_decoded_ones_elsewhere():
    decoded, own = torch.zeros(2, 3, 9, 4, 4), torch.rand(2, 3, 9, 4, 4)
    made = keep_frames(decoded, own, [(0, 1), (5, 9)])
    assert torch.equal(made[:, :, :1], own[:, :, :1])
    assert torch.equal(made[:, :, 5:], own[:, :, 5:])
    assert made[:, :, 1:5].abs().max() == decoded.abs().max() == 0


@pytest.mark.parametrize(
    "parts", [[(0, 4000)], [(4000, 9600)], [(0, 3000), (6000, 9600)], [(3000, 6000)], [(0, 3000), (3010, 9600)]]
)
def test_own_samples_are_kept_to_the_bit_and_no_click_is_added(parts):
    time_s = torch.arange(9600) / 48_000
    decoded = 0.5 * torch.sin(2 * torch.pi * 200 * time_s)[None, None]
    # What was decoded lies off the caller's own samples by a tone and a little offset.
    own = decoded + 0.1 * torch.cos(2 * torch.pi * 150 * time_s) + 0.05
    made = keep_samples(decoded, own, parts, fade=240)
    for first, end in parts:
        assert torch.equal(made[..., first:end], own[..., first:end])
    steepest = own.diff().abs().max() * 1.5
    assert made.diff().abs().max() < steepest
    plain = decoded.clone()
    for first, end in parts:
        plain[..., first:end] = own[..., first:end]
    assert plain.diff().abs().max() > steepest
    free = torch.ones(9600, dtype=torch.bool)
    for first, end in parts:
        free[max(0, first - 240) : end + 240] = False
    assert torch.equal(made[..., free], decoded[..., free])
