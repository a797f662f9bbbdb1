"""What stays of a video or an audio, put into the place of what was decoded: the caller's own frames and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from mova.conditioning.spec import Range

FADE_S: Final = 0.005
"""How long what was decoded takes to get free of the difference to the caller's own samples, at each end of a part."""


def keep_frames(decoded: torch.Tensor, own: torch.Tensor, parts: Sequence[Range]) -> torch.Tensor:
    """Return frames (B, 3, F, H, W) with the caller's own, of the same shape, in parts of them."""
    made = decoded.clone()
    for first, end in parts:
        made[:, :, first:end] = own[:, :, first:end].to(made)
    return made


def keep_samples(decoded: torch.Tensor, own: torch.Tensor, parts: Sequence[Range], fade: int) -> torch.Tensor:
    """Return samples (B, 1, S) with the caller's own, of the same shape, in parts of them, without clicks.

    What was decoded differs a little from the caller's own samples where both are known. That difference goes on behind
    the end of a part, mirrored, and fades away, so that the samples on both sides of the border fit.

    Args:
        decoded: of the whole clip, also where the caller's own are kept.
        own: the caller's.
        parts: (first, end) of what is kept, in order and apart.
        fade: samples that the difference takes to fade, at most.
    """
    own = own.to(decoded)
    made, difference, total = decoded.clone(), own - decoded, decoded.shape[-1]
    for place, (first, end) in enumerate(parts):
        before = parts[place - 1][1] if place else 0
        after = parts[place + 1][0] if place + 1 < len(parts) else total
        # Two parts share the gap between them.
        left = min(fade, end - first, first - before if not place else (first - before) // 2)
        right = min(fade, end - first, after - end if place + 1 == len(parts) else (after - end) // 2)
        if left > 0:
            rise = _fade(left, decoded).flip(-1)
            made[..., first - left : first] += rise * difference[..., first : first + left].flip(-1)
        if right > 0:
            made[..., end : end + right] += _fade(right, decoded) * difference[..., end - right : end].flip(-1)
        made[..., first:end] = own[..., first:end]
    return made.clamp(-1.0, 1.0)


def _fade(length: int, like: torch.Tensor) -> torch.Tensor:
    """Return a weight that falls from 1 to 0."""
    steps = torch.arange(1, length + 1, dtype=torch.float32, device=like.device) / (length + 1)
    return (1 + torch.cos(torch.pi * steps)) / 2
