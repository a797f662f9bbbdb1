"""Encoding the first frame of clips that begin alike once: what an encoder gives for it, and keeps of it.

A clip and its condition begin with the same frame, which goes through the encoder alone. What comes of it depends on
nothing after it, so both go on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

FrameCache = list[torch.Tensor | None]
"""What the convolutions of an autoencoder keep of earlier frames, in the order in which they run."""


@dataclass(eq=False)
class Beginning:
    """How clips begin, once an encoder has taken their first part: empty before, and filled by the first clips.

    It belongs to one autoencoder, to weights that stay, and to one way of computing (autocast, kernels, threads): make
    one where clips and others that may begin like them are encoded, and let it go with them. What it keeps is as much
    as the encoder itself keeps of one frame.
    """

    _layout: tuple[int, ...] = ()
    _encoded: torch.Tensor | None = None
    _cache: tuple[torch.Tensor | None, ...] = ()

    def taken_up(self, vae: AutoencoderKLWan, part: torch.Tensor, cache: FrameCache) -> list[torch.Tensor]:
        """Encode the first part of clips, or go on from where other clips began with it.

        Args:
            vae: the autoencoder.
            part: (B, C, 1, H, W).
            cache: of the encoder, empty; filled.

        Returns:
            What the encoder gives for the part; nothing where clips begin in another way than those before.
        """
        if self._encoded is None:
            self._encoded = vae.encoder(part, feat_cache=cache, feat_idx=[0])
            # Layers put new tensors into the list, and never write into those that lie there.
            self._layout, self._cache = part.stride(), tuple(cache)
            return [self._encoded]
        # The first convolution keeps what it was given. Another layout may be computed by another kernel.
        if part.stride() != self._layout or not _are_same_bits(part, self._cache[0]):
            return []
        cache[:] = self._cache
        return [self._encoded]


def _are_same_bits(one: torch.Tensor, other: torch.Tensor | None) -> bool:
    """Say whether two tensors are equal, zeros in their sign too."""
    return other is not None and torch.equal(one, other) and torch.equal(one.signbit(), other.signbit())
