"""Attention for training in bfloat16 on a CPU: three plain products, all weights in memory.

Written out, the products go to oneDNN, which uses the processor's bfloat16 instructions; with gradients that is faster
than PyTorch's fused kernel for CPUs (`benchmarks/bench_cpu_training.py` measures by how much).

Shapes: B batch, L query tokens, K context tokens, N heads, E head dimension.
"""

from __future__ import annotations

from typing import Final

import torch

from mova.models.attention import AttentionDispatch, AttentionKernel

# Weights of more elements than this leave the caches, and all memory in the end.
MAX_WEIGHTS: Final = 2**25


def use_cpu_attention() -> None:
    """Let every attention of this process that has no back-end of its own take this one where it suits."""
    if _KERNEL not in AttentionDispatch.kernels:
        AttentionDispatch.kernels.append(_KERNEL)


def multiplies_bfloat16() -> bool:
    """Return whether this processor and this PyTorch have products in bfloat16."""
    # The operator is missing from builds without oneDNN.
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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


_KERNEL: Final = AttentionKernel(suits, written_out_attention)
