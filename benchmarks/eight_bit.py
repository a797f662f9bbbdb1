"""The arithmetic of 8-bit GPU kernels in plain torch, to see on a CPU what it costs in exactness; it is slow itself.

Attention is that of SageAttention (Zhang et al. 2024, 2025): keys without their mean over the tokens, queries and keys
in int8 with a scale per block, and the weighted sum of the values in float16 or in float8. Its kernels have finer
scales on some GPUs (one per thread), and where they take the softmax piece by piece, weights are rounded relative to
the largest score so far; here it is the largest of the row. Linear layers multiply float8 by float8, activations with
a scale per token and weights with a scale per output, as torchao's dynamic float8 with a scale per row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError
from mova.models.attention import Attention
from mova.weights.quantize.layers import quantizable_layers

Values = Literal["float16", "float8"]
QUERIES_PER_SCALE, KEYS_PER_SCALE = 128, 64
FLOAT8 = torch.float8_e4m3fn
FLOAT8_MAX = torch.finfo(FLOAT8).max


def round_int8(x: torch.Tensor, rows: int) -> torch.Tensor:
    """Return (..., L, E) float32 as int8 holds it, with a scale per so many of the L rows."""
    length = x.shape[-2]
    blocks = functional.pad(x, (0, 0, 0, -length % rows)).unflatten(-2, (-1, rows))
    scales = blocks.abs().amax((-2, -1), keepdim=True).clamp_min(1e-12) / 127
    return ((blocks / scales).round().clamp(-127, 127) * scales).flatten(-3, -2)[..., :length, :]


def round_float8(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return a float32 tensor as float8 (e4m3) holds it, with one scale for all of an axis."""
    scales = x.abs().amax(dim, keepdim=True).clamp_min(1e-12) / FLOAT8_MAX
    return (x / scales).to(FLOAT8).float() * scales


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, values: Values = "float16") -> torch.Tensor:
    """Return softmax(q k) v as SageAttention computes it, (B, L, N, E) in the dtype of the values.

    Args:
        q: (B, L, N, E), normed and rotated, as `mova.models.attention.AttentionDispatch` is given it.
        k, v: (B, K, N, E).
        values: what weights and values are rounded to: "float16" (SageAttention 1), "float8" (2).

    Raises:
        ConfigError: another dtype.
    """
    if values not in get_args(Values):
        raise ConfigError(f"values must be one of {', '.join(get_args(Values))}; got {values!r}")
    heads = zip(*(x.float().transpose(1, 2).flatten(0, 1) for x in (q, k, v)), strict=True)
    # One head at a time: the scores of all would not stay in a CPU's cache.
    attended = torch.stack([_attend_head(*head, values) for head in heads])
    return attended.unflatten(0, (len(q), -1)).transpose(1, 2).to(v.dtype)


def _attend_head(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, values: Values) -> torch.Tensor:
    """Do it for one head of one clip: (L, E), (K, E) and (K, E) to (L, E), float32."""
    # The same number leaves all scores of a query when the mean key does, so that softmax does not notice.
    k = k - k.mean(0)
    scores = (round_int8(q, QUERIES_PER_SCALE) / q.shape[-1] ** 0.5) @ round_int8(k, KEYS_PER_SCALE).T
    weights = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    total = weights.sum(-1, keepdim=True)
    if values == "float8":
        # The weights lie in [0, 1]: one fixed scale serves them all, and values have one per channel.
        weights = weights.mul_(FLOAT8_MAX).to(FLOAT8).float() / FLOAT8_MAX
        v = round_float8(v, dim=0)
    else:
        weights, v = weights.half().float(), v.half().float()
    return weights @ v / total


class EightBitDispatch:
    """Stands in for `AttentionDispatch` of one attention."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, _: bool) -> torch.Tensor:
        """See `attend`."""
        return attend(q, k, v, self.values)


@contextlib.contextmanager
def eight_bit_attention(components: Iterable[nn.Module], values: Values = "float16") -> Iterator[None]:
    """Let all attentions of components, self, text and bridge, compute as SageAttention does."""
    attentions = {part for component in components for part in component.modules() if isinstance(part, Attention)}
    processors = {part: part.processor for part in attentions}
    for part in attentions:
        part.processor = EightBitDispatch(values)
    try:
        yield
    finally:
        for part, processor in processors.items():
            part.processor = processor


@contextlib.contextmanager
def float8_linears(components: Iterable[nn.Module]) -> Iterator[None]:
    """Let the large linear layers of towers and bridge round what they multiply to float8."""
    layers = [component.get_submodule(path) for component in components for path in quantizable_layers(component)]
    weights = [layer.weight.data for layer in layers]
    handles = []
    try:
        for layer in layers:
            layer.weight.data = round_float8(layer.weight.data.float(), dim=1).to(layer.weight.dtype)
            handles.append(layer.register_forward_pre_hook(lambda _, given: (_rounded_rows(given[0]), *given[1:])))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.data = weight


def _rounded_rows(x: torch.Tensor) -> torch.Tensor:
    return round_float8(x.float(), dim=-1).to(x.dtype)
