"""The text K/V cache (KV cache of the cross-attention): what towers make of a text, computed once and read at every
noise level.

The text does not change from one noise level to the next, so neither does anything computed from it alone: its
embedding, and the keys and values of each cross-attention. The cache takes the place of two methods of the models,
`DiTTower.embed_text` and `Attention.keys_and_values`, while it is applied; the models know nothing of it. The first
call of a block fills its part, inside that call, so that hooks on it (offload, sharding) have brought its weights.

Shapes: B batch, P prompt tokens, N heads, E head dimension, D hidden.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from mova.errors import ConfigError
from mova.models.attention import Attention, KeysAndValues
from mova.models.tower import DiTTower


class TextCache:
    """What some towers make of one text, for calls without gradients that repeat it.

    Args:
        prompt_embeds: (B, P, C), zeros after the end of the text; calls are given this very tensor.
    """

    def __init__(self, prompt_embeds: torch.Tensor) -> None:
        self.prompt_embeds = prompt_embeds
        self._towers: dict[DiTTower, _TowerCache] = {}

    @contextlib.contextmanager
    def applied(self, *towers: DiTTower) -> Iterator[torch.Tensor]:
        """Let towers read the cache, and fill it, while this lasts.

        Args:
            towers: towers that are called inside; each has a part of its own.

        Yields:
            (B, P, C), the embeddings to call the towers with.

        Raises:
            ConfigError: a cache is applied to one of the towers already; or, from a call inside: gradients are wanted
                (what is kept from one step has no graph in the next), or the text is another one.
        """
        with contextlib.ExitStack() as stack:
            for tower in towers:
                if "embed_text" in vars(tower):
                    raise ConfigError("one text cache at a time is applied to a tower, got a second; leave the first")
                if tower not in self._towers:
                    self._towers[tower] = _TowerCache(self.prompt_embeds, tower)
                stack.enter_context(self._towers[tower].applied())
            yield self.prompt_embeds

    def forget(self, tower: DiTTower) -> None:
        """Let go of what a tower made of the text, such as the expert whose part of the schedule is over."""
        self._towers.pop(tower, None)

    def size_bytes(self) -> int:
        """Return the bytes of all keys and values."""
        return sum(layer.size_bytes() for part in self._towers.values() for layer in part.layers)


def fill(block: nn.Module, context_BPD: torch.Tensor) -> None:
    """Compute keys and values that an applied cache wants of a block, unless that has been done.

    For compiled blocks: it happens outside of what is compiled, where the first step would be a graph of its own.

    Args:
        block: of a tower, or any other module, which has none.
        context_BPD: that it is called with.
    """
    attention = getattr(block, "cross_attn", None)
    method = None if attention is None else vars(attention).get("keys_and_values")
    if isinstance(method, types.MethodType) and isinstance(method.__self__, _LayerCache):
        method.__self__.read(context_BPD)


class _TowerCache:
    """The part of one tower: the context of its blocks, and a `_LayerCache` for each of them."""

    def __init__(self, prompt_embeds: torch.Tensor, tower: DiTTower) -> None:
        self.prompt_embeds, self.tower = prompt_embeds, tower
        self.layers = [_LayerCache(cast("Attention", block.get_submodule("cross_attn"))) for block in tower.blocks]
        self._context: torch.Tensor | None = None

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Stand in for the methods of the tower and its cross-attentions."""
        seams: list[tuple[nn.Module, str]] = [(self.tower, "embed_text")]
        setattr(self.tower, "embed_text", self.embed_text)  # noqa: B010
        try:
            for layer in self.layers:
                # A bound method: of a partial, the compiler would compile every layer by itself.
                setattr(layer.attention, "keys_and_values", layer.read)  # noqa: B010
                seams.append((layer.attention, "keys_and_values"))
            yield
        finally:
            for module, name in seams:
                delattr(module, name)

    def embed_text(self, prompt_embeds: torch.Tensor) -> torch.Tensor:
        """See `DiTTower.embed_text`."""
        if torch.is_grad_enabled():
            raise ConfigError("a text cache is for torch.no_grad(), got a call with gradients; leave the cache first")
        if prompt_embeds is not self.prompt_embeds:
            raise ConfigError(
                f"a text cache is for the embeddings it was made of, {tuple(self.prompt_embeds.shape)}, got another "
                f"tensor {tuple(prompt_embeds.shape)}; make a cache of that one"
            )
        if self._context is None:
            self._context = type(self.tower).embed_text(self.tower, prompt_embeds)
        return self._context


class _LayerCache:
    """The keys and values of one cross-attention."""

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self._kept: KeysAndValues | None = None

    def read(self, context_BPD: torch.Tensor, rotary: Any = None) -> KeysAndValues:
        """See `Attention.keys_and_values`; a text has no positions."""
        if self._kept is None:
            self._kept = Attention.keys_and_values(self.attention, context_BPD, rotary)
        return self._kept

    def size_bytes(self) -> int:
        """Return the bytes of the keys and values."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._kept or ())
