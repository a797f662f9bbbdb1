"""Encoding frames that stop changing: what an encoder would compute again and again is computed once, to the bit.

The clip of a condition is one known frame and grey ones after it. The encoder's convolutions look back a few frames
each, through a cache of frames that each of them keeps. Given the same frames and the same cache as in the call before,
a layer gives the same result; so once its input repeats and its cache has stopped changing, it need not run until its
input changes. The first layers, which see whole frames and cost most, stop after a few frames; how many that are
follows from the caches themselves and is said nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from mova.codecs.video_beginnings import Beginning, FrameCache

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

_Stage = Callable[[torch.Tensor, FrameCache, list[int]], torch.Tensor]


def encode_parts(
    vae: AutoencoderKLWan, parts: Sequence[torch.Tensor], cache: FrameCache, beginning: Beginning | None = None
) -> list[torch.Tensor]:
    """Return what the encoder gives for consecutive parts of clips.

    Args:
        vae: the autoencoder.
        parts: (B, C, F, H, W) each, as the encoder takes them.
        cache: of the encoder, empty; filled.
        beginning: of other clips, which these may share; filled where it is empty.

    Returns:
        A tensor for each part, equal to `vae.encoder(part, feat_cache=cache, feat_idx=[0])` to the bit.
    """
    can_stop = _can_stop(vae.encoder, parts)
    encoded = beginning.taken_up(vae, parts[0], cache) if can_stop and beginning is not None else []
    repeats = _repeats(parts) if can_stop else [False] * len(parts)
    if not any(repeats):
        return encoded + [vae.encoder(part, feat_cache=cache, feat_idx=[0]) for part in parts[len(encoded) :]]
    stages = _stages(vae.encoder)
    places = [0] * (len(stages) + 1)
    # Stages, counted from the first, that give `held` in the end for as long as the parts repeat.
    settled, held = 0, parts[0]
    for number in range(len(encoded), len(parts)):
        if not repeats[number]:
            settled, held = 0, parts[number]
        goes_on = number + 1 < len(parts) and repeats[number + 1]
        hidden, place = held, [places[settled]]
        for index in range(settled, len(stages)):
            before = cache[place[0] :]
            hidden = stages[index](hidden, cache, place)
            places[index + 1] = place[0]
            if goes_on and settled == index and _are_equal(before, cache[places[index] : place[0]]):
                settled, held = index + 1, hidden
        encoded.append(hidden)
    return encoded


def _repeats(parts: Sequence[torch.Tensor]) -> list[bool]:
    """Say of each part whether it is the one before it once more."""
    return [False] + [torch.equal(one, other) for one, other in pairwise(parts)]


def _can_stop(encoder: nn.Module, parts: Sequence[torch.Tensor]) -> bool:
    """Say whether leaving out calls of the encoder's layers changes nothing that anybody sees.

    Gradients would be other ones; hooks expect every call, and such as offload expect the calls of all layers in turn.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanEncoder3d

    has_values = all(type(part) is torch.Tensor and part.device.type != "meta" for part in parts)
    if not has_values or torch.is_grad_enabled() or type(encoder) is not WanEncoder3d:
        return False
    if encoder._forward_hooks or encoder._forward_pre_hooks:
        return False
    return not any(hasattr(module, "_hf_hook") or hasattr(module, "_diffusers_hook") for module in encoder.modules())


def _stages(encoder: nn.Module) -> list[_Stage]:
    """Return the encoder's layers in turn, each with its part of the cache: together, what its forward does."""
    layers: list[nn.Module] = [*encoder.down_blocks, encoder.mid_block]  # type: ignore[list-item, misc]

    def head(hidden: torch.Tensor, cache: FrameCache, place: list[int]) -> torch.Tensor:
        normed = encoder.nonlinearity(encoder.norm_out(hidden))  # type: ignore[operator]
        return _convolve(encoder.conv_out, normed, cache, place)  # type: ignore[arg-type]

    return [partial(_convolve, encoder.conv_in), *(partial(_run, layer) for layer in layers), head]  # type: ignore[arg-type]


def _run(layer: nn.Module, hidden: torch.Tensor, cache: FrameCache, place: list[int]) -> torch.Tensor:
    result: torch.Tensor = layer(hidden, feat_cache=cache, feat_idx=place)
    return result


def _convolve(convolution: nn.Module, frames: torch.Tensor, cache: FrameCache, place: list[int]) -> torch.Tensor:
    """Run a causal convolution on frames and those before them, and keep the last ones for the next call."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import CACHE_T

    earlier = cache[place[0]]
    kept = frames[:, :, -CACHE_T:].clone()
    if kept.shape[2] < CACHE_T and earlier is not None:
        kept = torch.cat([earlier[:, :, -1:], kept], dim=2)
    result: torch.Tensor = convolution(frames, earlier)
    cache[place[0]] = kept
    place[0] += 1
    return result


def _are_equal(before: FrameCache, after: FrameCache) -> bool:
    """Say whether the frames that one stage keeps are those that it kept before its last call."""
    return all(
        old is not None and new is not None and torch.equal(old, new) for old, new in zip(before, after, strict=False)
    )
