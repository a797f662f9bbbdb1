"""The transformer block that both towers are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mova.models.attention import Attention
from mova.models.modulation import Float32LayerNorm, add_gated, initial_modulation, modulate
from mova.models.rope import RotaryTable


class DiTBlock(nn.Module):
    """Self-attention, text cross-attention and feed-forward; the noise level modulates the first and the last.

    Args:
        dim: D.
        num_heads: heads of both attentions.
        ffn_dim: width inside the feed-forward.
        eps: of all norms.
    """

    # Set from outside by diffusers' `enable_gradient_checkpointing`.
    gradient_checkpointing: bool = False
    _gradient_checkpointing_func: Callable[..., Any]

    def __init__(self, dim: int, num_heads: int, ffn_dim: int, eps: float) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads, eps=eps)
        self.cross_attn = Attention(dim, num_heads, eps=eps)
        self.norm1 = Float32LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.norm2 = Float32LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.norm3 = Float32LayerNorm(dim, eps=eps)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim))
        self.modulation = initial_modulation(6, dim)

    def forward(
        self,
        tokens_BLD: torch.Tensor,
        context_BPD: torch.Tensor,
        time_modulation_B6D: torch.Tensor,
        rotary: RotaryTable,
    ) -> torch.Tensor:
        """Update the tokens of one modality.

        Args:
            tokens_BLD: (B, L, D).
            context_BPD: (B, P, D) text, all P rows attended to.
            time_modulation_B6D: (B, 6, D) float32.
            rotary: positions of the L tokens.

        Returns:
            (B, L, D).
        """
        inputs = (tokens_BLD, context_BPD, time_modulation_B6D, rotary)
        if self.gradient_checkpointing and torch.is_grad_enabled():
            recomputed: torch.Tensor = self._gradient_checkpointing_func(self._update, *inputs)
            return recomputed
        return self._update(*inputs)

    def _update(
        self,
        x: torch.Tensor,
        context: torch.Tensor,
        time_modulation: torch.Tensor,
        rotary: RotaryTable,
    ) -> torch.Tensor:
        modulation = (self.modulation.float() + time_modulation).chunk(6, dim=1)
        shift_attention, scale_attention, gate_attention, shift_ffn, scale_ffn, gate_ffn = modulation
        attended = self.self_attn(modulate(self.norm1, x, shift_attention, scale_attention), rotary=rotary)
        x = add_gated(x, attended, gate_attention)
        x = x + self.cross_attn(self.norm3(x).to(x.dtype), context).to(x.dtype)
        return add_gated(x, self.ffn(modulate(self.norm2, x, shift_ffn, scale_ffn)), gate_ffn)
