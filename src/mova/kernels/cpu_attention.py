"""Attention in bfloat16 on a CPU as plain products: for training with all weights in memory, else block by block.

Written out, the products go to oneDNN, which uses the processor's bfloat16 instructions. With gradients that is faster
than PyTorch's fused kernel for CPUs (`benchmarks/bench_cpu_training.py` measures by how much). Without gradients it is
where the processor has no matrix units (AMX): the fused kernel hands its products to MKL, which multiplies bfloat16 at
the rate of float32 there (0.7 of its time, `benchmarks/results/precision_mova-tiny_202611.md`).

Shapes: B batch, L query tokens, K context tokens, N heads, E head dimension.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch

from mova.device import is_x86, multiplies_bfloat16
from mova.models.attention import AttentionDispatch, AttentionKernel

# Weights of more elements than this leave the caches, and all memory in the end.
MAX_WEIGHTS: Final = 2**25
# Of a block: half a megabyte, which stays in the caches of a core between the three passes over it.
BLOCK_WEIGHTS: Final = 2**18


def use_cpu_attention() -> None:
    """Let every attention of this process that has no back-end of its own take these where they suit."""
    for kernel in _KERNELS:
        if kernel not in AttentionDispatch.kernels:
            AttentionDispatch.kernels.append(kernel)


def suits_inference(q_BLNE: torch.Tensor, k_BKNE: torch.Tensor) -> bool:
    """Return whether attention in blocks is faster than PyTorch's: bfloat16 on such a CPU, no AMX, no gradients."""
    if q_BLNE.device.type != "cpu" or q_BLNE.dtype != torch.bfloat16 or torch.is_grad_enabled():
        return False
    if type(q_BLNE) is not torch.Tensor or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    return _has_vectors_only() and k_BKNE.shape[1] <= BLOCK_WEIGHTS


def attention_in_blocks(q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor) -> torch.Tensor:
    """Return softmax(q k / sqrt(E)) v, (B, L, N, E), a block of weights at a time."""
    batch, length, heads, dim = q_BLNE.shape
    q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q_BLNE * dim**-0.5, k_BKNE, v_BKNE))
    # Either all queries of some heads or some of one: both lie together in memory, and nothing is copied.
    num_heads = max(1, BLOCK_WEIGHTS // (length * k.shape[1]))
    num_queries = length if num_heads > 1 else max(1, BLOCK_WEIGHTS // k.shape[1])
    blocks = torch.empty_like(q)
    for first in range(0, len(q), num_heads):
        own = slice(first, first + num_heads)
        keys, values = k[own].transpose(1, 2), v[own]
        for start in range(0, length, num_queries):
            part = slice(start, start + num_queries)
            weights = torch.bmm(q[own, part], keys).softmax(-1)
            torch.bmm(weights, values, out=blocks[own, part])
    output: torch.Tensor = blocks.unflatten(0, (batch, heads)).transpose(1, 2)
    return output


def suits(q_BLNE: torch.Tensor, k_BKNE: torch.Tensor) -> bool:
    """Return whether written-out attention is faster than PyTorch's: small, in bfloat16, on a CPU, with gradients."""
    if q_BLNE.device.type != "cpu" or q_BLNE.dtype != torch.bfloat16 or not torch.is_grad_enabled():
        return False
    # Fake tensors stand for those of a GPU (`mova.train.plan.unit_memory`), and keep what its kernels keep.
    if type(q_BLNE) is not torch.Tensor:
        return False
    batch, length, heads, _ = q_BLNE.shape
    fits = batch * heads * length * k_BKNE.shape[1] <= MAX_WEIGHTS
    return fits and not torch.compiler.is_compiling() and multiplies_bfloat16()


def written_out_attention(q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor) -> torch.Tensor:
    """Return softmax(q k / sqrt(E)) v, (B, L, N, E); products and weights in the inputs' dtype."""
    q, k, v = (x.transpose(1, 2) for x in (q_BLNE * q_BLNE.shape[-1] ** -0.5, k_BKNE, v_BKNE))
    weights = (q @ k.transpose(-1, -2)).softmax(-1)
    output: torch.Tensor = (weights @ v).transpose(1, 2)
    return output


@lru_cache(maxsize=1)
def _has_vectors_only() -> bool:
    """Whether this processor multiplies bfloat16, but not by matrices (AMX), which the fused kernel uses."""
    return is_x86() and multiplies_bfloat16() and not torch.cpu._is_amx_tile_supported()


_KERNELS: Final = (
    AttentionKernel(suits, written_out_attention),
    AttentionKernel(suits_inference, attention_in_blocks),
)
