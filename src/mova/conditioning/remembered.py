"""Latents that depend on a video autoencoder and a size alone, computed once in a process: those of a white frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import torch

from mova.codecs.video import needs_own_methods

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

_MOST_SIZES: Final = 4
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_latents: WeakKeyDictionary[AutoencoderKLWan, OrderedDict[tuple[object, ...], torch.Tensor]] = WeakKeyDictionary()


def remembered_latents(
    vae: AutoencoderKLWan, shape: tuple[int, ...], device: torch.device, encode: Callable[[], torch.Tensor]
) -> torch.Tensor:
    """Return what `encode` gives, or gave before with the same weights, shape, device and way of computing.

    Weights are compared by their bits at every call, so that what changes them in place is noticed, whatever it is.

    Args:
        vae: video autoencoder. Forgotten with it, and of it the sizes that were not used for longest.
        shape: of the frames.
        device: of the frames; the latents wait on the CPU.
        encode: returns the latents.

    Returns:
        Latents on `device`, the caller's own.
    """
    weights = None if torch.is_grad_enabled() or needs_own_methods(vae) else _checksum(vae)
    if weights is None:
        return encode()
    convolution = vars(vae.encoder.conv_in)
    key = (
        weights,
        str(vae.config),
        shape,
        str(device),
        torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type),
        torch.get_num_threads(),
        # Kernels that stand in for those of the library give other last bits.
        tuple(str(convolution.get(name)) for name in ("forward", "_conv_forward")),
    )
    known = _latents.setdefault(vae, OrderedDict())
    if key not in known:
        known[key] = encode().to("cpu", copy=True)
        while len(known) > _MOST_SIZES:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key].to(device, copy=True)


def _checksum(vae: AutoencoderKLWan) -> tuple[int, ...] | None:
    """Return sums over the bits of everything that encodes; None where there are no plain values.

    A sum in which every place counts differently, besides the plain one, notices values that change places.
    """
    sums = []
    for part in (vae.encoder, vae.quant_conv):
        for tensor in part.state_dict().values():
            if type(tensor) is not torch.Tensor or tensor.device.type == "meta" or tensor.is_complex():
                return None
            bits = tensor.detach().flatten().view(_BITS[tensor.element_size()]).long()
            sums += [bits.sum(), (bits * torch.arange(1, len(bits) + 1, device=bits.device)).sum()]
    return tuple(torch.stack(sums).tolist())
