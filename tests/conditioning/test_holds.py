"""Ranges of latent frames become holds."""

import pytest
import torch

from mova.conditioning.holds import hold_ranges
from mova.errors import GeometryError


def test_ranges_of_latent_frames_are_held_and_no_others():
    latents = torch.randn(1, 2, 6, 4, 4)
    hold = hold_ranges(latents, [(0, 2), (5, 6)])
    assert hold.held.tolist() == [True, True, False, False, False, True]
    assert hold.latents is latents
    assert hold_ranges(torch.randn(1, 2, 3), [(0, 3)]).is_whole
    assert hold_ranges(latents, []) is None


@pytest.mark.parametrize("given", [(-1, 2), (2, 2), (3, 1), (5, 7)])
def test_ranges_outside_the_latents_are_refused(given):
    with pytest.raises(GeometryError, match="must lie in"):
        hold_ranges(torch.randn(1, 2, 6), [given])
