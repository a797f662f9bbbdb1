"""The UMT5 text encoder as a network of our own: for processes that only encode prompts.

transformers takes as long to import as a short clip takes to sample, and a command that makes one clip needs nothing of
it but this. Names of weights, and results to the last bit, are those of its `UMT5EncoderModel`; whoever works with a
pipeline from Python gets that one. Source: T5 (arXiv 1910.10683, section 2.1) with gated GELU (arXiv 2002.05202) and,
as UMT5 has it (arXiv 2304.09151), relative positions in every layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional

# What the network below is; with other values transformers' class does other things.
_FORM: Final = {
    "feed_forward_proj": "gated-gelu",
    "dense_act_fn": "gelu_new",
    "is_gated_act": True,
    "tie_word_embeddings": True,
}
_SIZES: Final = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")

_is_wanted: ContextVar[bool] = ContextVar("_is_wanted", default=False)


@contextmanager
def own_text_encoder() -> Iterator[None]:
    """Let `TextEncoder` stand for transformers' `UMT5EncoderModel` wherever one is loaded in the block."""
    token = _is_wanted.set(True)
    try:
        yield
    finally:
        _is_wanted.reset(token)


def is_own_text_encoder_wanted() -> bool:
    """Say whether this is inside `own_text_encoder`."""
    return _is_wanted.get()


class EncodedText(NamedTuple):
    """What a text encoder returns.

    Attributes:
        last_hidden_state: (B, P, d_model).
    """

    last_hidden_state: torch.Tensor


class TextEncoder(nn.Module):
    """Encodes tokens; arguments are the keys of the published config.json.

    Args:
        vocab_size: number of tokens.
        d_model: width.
        d_kv: width of a head; heads need not fill the width.
        d_ff: width of the feed-forward layers.
        num_layers, num_heads: of them.
        relative_attention_num_buckets, relative_attention_max_distance: how distances are told apart.
        layer_norm_epsilon: of the norms.
        others: without effect here.
    """

    _keep_in_fp32_modules: ClassVar[list[str]] = ["wo"]

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        d_kv: int,
        d_ff: int,
        num_layers: int,
        num_heads: int,
        relative_attention_num_buckets: int = 32,
        relative_attention_max_distance: int = 128,
        layer_norm_epsilon: float = 1e-6,
        **others: object,
    ) -> None:
        super().__init__()
        self.config: Mapping[str, Any] = {"d_model": d_model, "vocab_size": vocab_size, **others}
        self.shared = _embedding(vocab_size, d_model)
        self.encoder = _Stack(
            self.shared,
            [
                _Block(
                    _SelfAttention(
                        d_model,
                        d_kv,
                        num_heads,
                        relative_attention_num_buckets,
                        relative_attention_max_distance,
                        layer_norm_epsilon,
                    ),
                    _FeedForward(d_model, d_ff, layer_norm_epsilon),
                )
                for _ in range(num_layers)
            ],
            _RootMeanSquareNorm(d_model, layer_norm_epsilon),
        )

    @staticmethod
    def can_be(config: Mapping[str, object]) -> bool:
        """Say whether a config is that of such a network, in so many words."""
        return all(config.get(key) == value for key, value in _FORM.items()) and all(key in config for key in _SIZES)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.shared.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.shared.weight.dtype

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embeddings of the tokens."""
        return self.shared

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> EncodedText:
        """Encode tokens.

        Args:
            input_ids: (B, P) int64.
            attention_mask: (B, P), 0 for what is no text; None where all is.
        """
        seen = None
        if attention_mask is not None and not bool((attention_mask != 0).all()):
            seen = (attention_mask != 0)[:, None, None, :]
        hidden: torch.Tensor = self.encoder(input_ids, seen)
        return EncodedText(hidden)


class _Stack(nn.Module):
    def __init__(self, embed_tokens: nn.Embedding, blocks: list[_Block], final_layer_norm: nn.Module) -> None:
        super().__init__()
        self.embed_tokens = embed_tokens
        self.block = nn.ModuleList(blocks)
        self.final_layer_norm = final_layer_norm

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        hidden: torch.Tensor = self.embed_tokens(tokens)
        for block in self.block:
            hidden = block(hidden, seen)
        result: torch.Tensor = self.final_layer_norm(hidden)
        return result


class _Block(nn.Module):
    def __init__(self, attention: _SelfAttention, feed_forward: _FeedForward) -> None:
        super().__init__()
        self.layer = nn.ModuleList([attention, feed_forward])

    def forward(self, hidden: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = self.layer[1](self.layer[0](hidden, seen))
        return result


class _RootMeanSquareNorm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        square = hidden.float().pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden * torch.rsqrt(square + self.epsilon)).to(self.weight.dtype)


class _SelfAttention(nn.Module):
    def __init__(
        self, width: int, head_width: int, num_heads: int, num_buckets: int, max_distance: int, epsilon: float
    ) -> None:
        super().__init__()
        # The published names have these words.
        self.SelfAttention = _Attention(width, head_width, num_heads, num_buckets, max_distance)
        self.layer_norm = _RootMeanSquareNorm(width, epsilon)

    def forward(self, hidden: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = hidden + self.SelfAttention(self.layer_norm(hidden), seen)
        return result


class _Attention(nn.Module):
    def __init__(self, width: int, head_width: int, num_heads: int, num_buckets: int, max_distance: int) -> None:
        super().__init__()
        self.num_heads, self.max_distance = num_heads, max_distance
        inner = num_heads * head_width
        self.q, self.k, self.v = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, width, bias=False)
        self.relative_attention_bias = _embedding(num_buckets, num_heads)

    def forward(self, hidden: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        query, key, value = (
            layer(hidden).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v)
        )
        bias = self._position_bias(hidden.shape[1], hidden.device)
        if seen is not None:
            bias = torch.where(seen, bias, torch.finfo(key.dtype).min)
        # Of T5, whose scores are not scaled: its initial weights make up for it.
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.contiguous(), scale=1.0)
        result: torch.Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return result

    def _position_bias(self, length: int, device: torch.device) -> torch.Tensor:
        """Return (1, heads, P, P): near places have a bucket each, far ones share buckets that widen by logarithm."""
        places = torch.arange(length, device=device)
        offset = places[None, :] - places[:, None]
        # Half of the buckets for each side.
        num_buckets = self.relative_attention_bias.num_embeddings // 2
        distance, num_exact = offset.abs(), num_buckets // 2
        far = torch.log(distance.float() / num_exact) / math.log(self.max_distance / num_exact)
        wide = (num_exact + (far * (num_buckets - num_exact)).long()).clamp(max=num_buckets - 1)
        bucket = torch.where(distance < num_exact, distance, wide) + (offset > 0) * num_buckets
        bias: torch.Tensor = self.relative_attention_bias(bucket)
        return bias.permute(2, 0, 1).unsqueeze(0)


class _FeedForward(nn.Module):
    def __init__(self, width: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.DenseReluDense = _GatedGelu(width, inner)
        self.layer_norm = _RootMeanSquareNorm(width, epsilon)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = hidden + self.DenseReluDense(self.layer_norm(hidden))
        return result


class _GatedGelu(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.wo = nn.Linear(inner, width, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.wo((_gelu(self.wi_0(hidden)) * self.wi_1(hidden)).to(self.wo.weight.dtype))
        return result


def _embedding(size: int, width: int) -> nn.Embedding:
    """Return embeddings of zeros, since weights are always read: to draw none, torch imports its whole compiler."""
    embedding: nn.Embedding = nn.Embedding.from_pretrained(torch.zeros(size, width), freeze=False)
    return embedding


def _gelu(value: torch.Tensor) -> torch.Tensor:
    """Return GELU by its tanh; written out, since `functional.gelu` rounds otherwise than the published code."""
    inner = math.sqrt(2.0 / math.pi) * (value + 0.044715 * torch.pow(value, 3.0))
    return 0.5 * value * (1.0 + torch.tanh(inner))
