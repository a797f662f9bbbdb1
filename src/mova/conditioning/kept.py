"""What stays of a video or an audio, put into the place of what was decoded: the caller's own frames and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from mova.conditioning.linear_prediction import LOOK_S, predict_onward
from mova.conditioning.spec import Range

FADE_S: Final = 0.06
"""How long what was decoded takes to get free of the difference to the caller's own samples, at each end of a part.

Shorter, metal and voices that ring across the end of a part still rise more than in true clips (10 to 100 ms tried)."""


def keep_frames(decoded: torch.Tensor, own: torch.Tensor, parts: Sequence[Range]) -> torch.Tensor:
    """Return frames (B, 3, F, H, W) with the caller's own, of the same shape, in parts of them."""
    made = decoded.clone()
    for first, end in parts:
        made[:, :, first:end] = own[:, :, first:end].to(made)
    return made


def keep_samples(decoded: torch.Tensor, own: torch.Tensor, parts: Sequence[Range], sample_rate: int) -> torch.Tensor:
    """Return samples (B, 1, S) with the caller's own, of the same shape, in parts of them, without clicks.

    What was decoded differs a little from the caller's own samples where both are known: by what the autoencoder loses
    of a tone, and of its phase. That difference goes on behind the end of a part as linear prediction continues it, and
    fades away, so that a tone that rings across the border keeps its phase there.

    Args:
        decoded: of the whole clip, also where the caller's own are kept.
        own: the caller's.
        parts: (first, end) of what is kept, in order and apart.
        sample_rate: in Hz.
    """
    own = own.to(decoded)
    made, difference, total = decoded.clone(), own - decoded, decoded.shape[-1]
    fade, look = round(FADE_S * sample_rate), round(LOOK_S * sample_rate)
    for place, (first, end) in enumerate(parts):
        before = parts[place - 1][1] if place else 0
        after = parts[place + 1][0] if place + 1 < len(parts) else total
        left, right = min(fade, first - before), min(fade, after - end)
        if left > 0:
            near = difference[..., first : min(end, first + look)].flip(-1)
            made[..., first - left : first] += fading(near, left, sample_rate).flip(-1)
        if right > 0:
            made[..., end : end + right] += fading(difference[..., max(first, end - look) : end], right, sample_rate)
    made = made.clamp(-1.0, 1.0)
    for first, end in parts:
        made[..., first:end] = own[..., first:end]
    return made


def fading(difference: torch.Tensor, length: int, sample_rate: int) -> torch.Tensor:
    """Return how a difference (..., S) goes on for so many samples (..., length) and fades away."""
    steps = torch.arange(1, length + 1, dtype=torch.float32, device=difference.device) / (length + 1)
    weight = (1 + torch.cos(torch.pi * steps)) / 2
    return weight.to(difference) * predict_onward(difference, length, sample_rate)


class OwnSamples:
    """Puts samples that were given in the place of decoded ones, in a stream, as `keep_samples` does at once.

    Args:
        own: (1, S) float32 from the beginning on, or None.
        end: samples from which on the decoded ones stand, at most S; None keeps all S.
        sample_rate: in Hz.
    """

    def __init__(self, own: np.ndarray | None, end: int | None, sample_rate: int) -> None:
        own_end = 0 if own is None else own.shape[-1]
        self._end = own_end if end is None else min(own_end, max(0, end))
        self._own = None if own is None else torch.from_numpy(np.ascontiguousarray(own, dtype=np.float32))[None]
        self._rate, self._at = sample_rate, 0
        self._before = torch.zeros(1, 1, 0)
        self._behind: torch.Tensor | None = None

    def put(self, decoded: torch.Tensor) -> torch.Tensor:
        """Return the next decoded samples (1, 1, s), with those that were given in their place."""
        first, self._at = self._at, self._at + decoded.shape[-1]
        fade = round(FADE_S * self._rate)
        if self._own is None or not self._end or first >= self._end + fade:
            return decoded
        made = decoded.clone()
        if first < self._end:
            own = self._own[..., first : min(self._at, self._end)].to(decoded)
            look = round(LOOK_S * self._rate)
            difference = own - decoded[..., : own.shape[-1]]
            self._before = torch.cat([self._before.to(decoded), difference], dim=-1)[..., -look:]
            made[..., : own.shape[-1]] = own
        if self._at > self._end:
            if self._behind is None:
                self._behind = fading(self._before, fade, self._rate)
            begin = max(first, self._end)
            part = self._behind[..., begin - self._end : self._at - self._end]
            place = slice(begin - first, begin - first + part.shape[-1])
            made[..., place] = (made[..., place] + part).clamp(-1.0, 1.0)
        return made
