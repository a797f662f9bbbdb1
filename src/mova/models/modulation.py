"""What the noise level does to a block: timestep embedding, and scale, shift and gate of its sublayers.

All of it is computed in float32 whatever the dtype of the weights and whether or not autocast is on: a timestep in
bfloat16 is off by up to 2 of 1000. The residual stream keeps its own dtype.

Shapes: B batch, L tokens, D hidden.
"""

from __future__ import annotations

import contextlib

import torch
from torch import nn
from torch.nn import functional

from mova.models.rope import THETA


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 even when its weights are stored in less."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in) of any dtype to (..., out) float32."""
        bias = None if self.bias is None else self.bias.float()
        with _without_autocast(x.device.type):
            return functional.linear(x.float(), self.weight.float(), bias)


class Float32LayerNorm(nn.LayerNorm):
    """Layer norm in float32; the result stays float32 so that the caller rounds once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (..., D) of any dtype to (..., D) float32."""
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return functional.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


def timestep_embedding(timestep: torch.Tensor, dim: int) -> torch.Tensor:
    """Return cosines and sines of the timestep at geometrically spaced frequencies.

    Args:
        timestep: (B,) in [0, 1000], any real dtype.
        dim: even width of the embedding.

    Returns:
        (B, dim) float32: all cosines, then all sines.
    """
    # Angles reach 1000: float32 would lose four digits of the phase. Apple's GPUs have no float64.
    precise = torch.float32 if timestep.device.type == "mps" else torch.float64
    half = dim // 2
    exponents = torch.arange(half, dtype=precise, device=timestep.device) / half
    angles = timestep.to(precise)[:, None] * THETA**-exponents
    return torch.cat((angles.cos(), angles.sin()), dim=-1).float()


def initial_modulation(num_rows: int, dim: int) -> nn.Parameter:
    """Return (1, num_rows, dim) of normal numbers with a standard deviation of 1 / sqrt(dim).

    Without values where the default device has none: to draw nothing there, torch imports its whole compiler.
    """
    values = torch.empty(1, num_rows, dim)
    return nn.Parameter(values if values.is_meta else values.normal_().div_(dim**0.5))


def modulate(
    norm: Float32LayerNorm, x_BLD: torch.Tensor, shift_B1D: torch.Tensor, scale_B1D: torch.Tensor
) -> torch.Tensor:
    """Return norm(x) * (1 + scale) + shift, (B, L, D) in the dtype of `x_BLD`; `shift` and `scale` are float32.

    Args:
        norm: without a weight of its own.
        x_BLD: tokens.
        shift_B1D, scale_B1D: float32.
    """
    if not computes_plainly():
        return torch.addcmul(shift_B1D, norm(x_BLD), 1 + scale_B1D).to(x_BLD.dtype)
    if len(x_BLD) == 1:
        # One sample has one scale and shift: they are the weight and bias of the norm, in one pass over the tokens.
        weight, bias = (1 + scale_B1D).flatten(), shift_B1D.flatten()
        return functional.layer_norm(x_BLD.float(), norm.normalized_shape, weight, bias, norm.eps).to(x_BLD.dtype)
    normed = norm(x_BLD)
    # Rounded as it is written: a float32 result would be read once more.
    modulated = normed if x_BLD.dtype == normed.dtype else torch.empty_like(x_BLD)
    return torch.addcmul(shift_B1D, normed, 1 + scale_B1D, out=modulated)


def add_gated(x_BLD: torch.Tensor, update_BLD: torch.Tensor, gate_B1D: torch.Tensor) -> torch.Tensor:
    """Return x + gate * update, (B, L, D) in the dtype of `x_BLD`; `gate` is float32, and so is the sum."""
    if torch.compiler.is_compiling() or x_BLD.device.type == "mps":
        return torch.addcmul(x_BLD.float(), update_BLD.float(), gate_B1D).to(x_BLD.dtype)
    # One pass: the gate's dtype is that of the sum, and tokens of less are read as they are stored. A GPU moves 6 bytes
    # a value so, and 30 with copies in float32; the bits are the same.
    if computes_plainly():
        return torch.addcmul(x_BLD, update_BLD, gate_B1D, out=torch.empty_like(x_BLD))
    return torch.addcmul(x_BLD, update_BLD, gate_B1D).to(x_BLD.dtype)


def computes_plainly() -> bool:
    """Whether nothing but the result of an operation is wanted: no gradient, and no compiler that fuses by itself."""
    return not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _without_autocast(device_type: str) -> contextlib.AbstractContextManager[object]:
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()
