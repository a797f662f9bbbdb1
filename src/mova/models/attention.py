"""The one attention of the project: self, text cross-attention and the bridge, on diffusers' dispatcher.

The back-end (native, flash, sage, ...) is set from outside: by `mova.kernels.attention_backends`, or with diffusers'
`set_attention_backend` and `attention_backend`.

Shapes: B batch, L query tokens, K context tokens, N heads, E head dimension, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError
from mova.models.modulation import computes_plainly
from mova.models.rope import RotaryTable, rotate_pairs

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class RMSNorm(nn.Module):
    """Root-mean-square norm with a weight, over the whole width (before heads are split).

    Args:
        dim: D.
        eps: added to the mean square.
    """

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (..., D) of any dtype to (..., D) float32."""
        x, weight = x.float(), self.weight.float()
        if x.device.type != "cpu" or not computes_plainly():
            return functional.rms_norm(x, weight.shape, weight, self.eps)
        # PyTorch has one kernel for this on GPUs; on CPUs it makes four passes over the tokens where these are three.
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(len(weight))
        normed: torch.Tensor = (x * mean_square.add_(self.eps).rsqrt_()).mul_(weight)
        return normed


class AttentionKernel(NamedTuple):
    """Attention for some calls, in place of the default back-end.

    Attributes:
        suits: whether it computes queries (B, L, N, E) and keys (B, K, N, E) faster than the default.
        attend: softmax(q k) v of queries, keys and values, (B, L, N, E).
    """

    suits: Callable[[torch.Tensor, torch.Tensor], bool]
    attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class AttentionDispatch:
    """Calls diffusers' dispatcher; holds the two settings that diffusers changes from outside on every module.

    Attributes:
        kernels: of this process, asked in order where no back-end was chosen; `mova.kernels` puts them here.
    """

    kernels: ClassVar[list[AttentionKernel]] = []

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __call__(self, q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, is_self: bool) -> torch.Tensor:
        """Return softmax(q k) v without a mask, (B, L, N, E)."""
        if self._attention_backend is None and self._parallel_config is None:
            for kernel in self.kernels:
                if kernel.suits(q_BLNE, k_BKNE):
                    return kernel.attend(q_BLNE, k_BKNE, v_BKNE)
        output: torch.Tensor = dispatch_attention_fn(
            q_BLNE,
            k_BKNE,
            v_BKNE,
            backend=self._attention_backend,
            # A context that every rank holds whole must not be exchanged between ranks.
            parallel_config=self._parallel_config if is_self else None,
        )
        return output


class Attention(nn.Module, AttentionModuleMixin):
    """Multi-head attention with query and key norms over the full width and optional rotary positions.

    Args:
        dim: D, width of the queries and of the result.
        num_heads: N; divides `dim`.
        eps: of the query and key norms.
        context_dim: width of the context; `dim` if not given.
        rotate: how rotary tables are applied.

    Raises:
        ConfigError: `num_heads` does not divide `dim`.
    """

    _supports_qkv_fusion = False

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        eps: float,
        context_dim: int | None = None,
        rotate: Callable[[torch.Tensor, RotaryTable, torch.dtype], torch.Tensor] = rotate_pairs,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ConfigError(f"heads must divide the width {dim}, got {num_heads}")
        self.num_heads = num_heads
        self.rotate = rotate
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(context_dim or dim, dim)
        self.v = nn.Linear(context_dim or dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)
        self.processor = AttentionDispatch()

    def forward(
        self,
        x_BLD: torch.Tensor,
        context_BKC: torch.Tensor | None = None,
        rotary: RotaryTable | None = None,
        context_rotary: RotaryTable | None = None,
    ) -> torch.Tensor:
        """Attend from `x_BLD` to a context, or to itself where none is given.

        Args:
            x_BLD: (B, L, D).
            context_BKC: (B, K, context_dim), or None for self-attention.
            rotary: positions of the queries (and of the keys in self-attention), or None.
            context_rotary: positions of a given context, or None.

        Returns:
            (B, L, D).
        """
        is_self = context_BKC is None
        if context_BKC is None:
            q, k, v = self.self_projections(x_BLD)
            k, v = self._heads(k, self.norm_k, rotary, v.dtype), v.unflatten(-1, (self.num_heads, -1))
        else:
            q = self.q(x_BLD)
            k, v = self.keys_and_values(context_BKC, context_rotary)
        q = self._heads(q, self.norm_q, rotary, v.dtype)
        attended = self.processor(q, k, v, is_self)
        output: torch.Tensor = self.o(attended.flatten(2))
        return output

    def self_projections(self, x_BLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Project the tokens (B, L, D) of self-attention to queries, keys and values, (B, L, D) each: no norm yet.

        A technique that takes the three products of one input together may take this method's place on one attention
        (decision 0001).
        """
        return self.q(x_BLD), self.k(x_BLD), self.v(x_BLD)

    def keys_and_values(self, context_BKC: torch.Tensor, rotary: RotaryTable | None = None) -> KeysAndValues:
        """Project a context (B, K, context_dim) to keys, with their positions, and values: (B, K, N, E) each.

        A technique may take this method's place on one attention (decision 0001).
        """
        k, v = self.k(context_BKC), self.v(context_BKC)
        return self._heads(k, self.norm_k, rotary, v.dtype), v.unflatten(-1, (self.num_heads, -1))

    def _heads(
        self, projected_BLD: torch.Tensor, norm: RMSNorm, rotary: RotaryTable | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Norm (B, L, D) over all heads, split it into (B, L, N, E), and turn these by their positions."""
        heads = norm(projected_BLD).unflatten(-1, (self.num_heads, -1))
        return heads.to(dtype) if rotary is None else self.rotate(heads, rotary, dtype)
