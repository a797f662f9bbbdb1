"""Holds of a clip from ranges of latent frames that stay; the loop takes them (`mova.diffusion.holds`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mova.diffusion.holds import Hold, HoldMethod, Holds
from mova.errors import GeometryError

__all__ = ["Hold", "HoldMethod", "Holds", "hold_ranges"]


def hold_ranges(latents: torch.Tensor, ranges: Sequence[tuple[int, int]]) -> Hold | None:
    """Return the hold of ranges of latent frames; None where there are none.

    Args:
        latents: clean, video (B or 1, C, T, h, w) or audio (B or 1, C, A).
        ranges: (first, end) of each, the end left out.

    Raises:
        GeometryError: a range that is empty or outside the latents.
    """
    if not ranges:
        return None
    length = latents.shape[2]
    held = torch.zeros(length, dtype=torch.bool)
    for first, end in ranges:
        if not 0 <= first < end <= length:
            raise GeometryError(f"a range of latent frames must lie in [0, {length}], got {first} to {end}")
        held[first:end] = True
    return Hold(latents, held)
