"""What the towers make of a text once and read at every step: its embedding, and the keys and values of each block.

The text does not change from one noise level to the next, so neither does anything computed from it alone. The first
call of a block fills its memory, inside that call, so that hooks on it (offload, sharding) have brought its weights.

Shapes: B batch, P prompt tokens, N heads, E head dimension, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from mova.errors import ConfigError

if TYPE_CHECKING:
    from mova.models.tower import DiTTower

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class RememberedContext:
    """A context (B, P, D) for one attention, which computes its keys and values at the first reading only.

    Args:
        context: what is attended to.
    """

    def __init__(self, context_BPD: torch.Tensor) -> None:
        self.context = context_BPD
        self._kept: KeysAndValues | None = None

    def read(self, compute: Callable[[torch.Tensor], KeysAndValues]) -> KeysAndValues:
        """Return keys and values (B, P, N, E), from `compute` the first time."""
        if self._kept is None:
            self._kept = compute(self.context)
        return self._kept

    def size_bytes(self) -> int:
        """Return the bytes of the keys and values."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._kept or ())


class PromptMemory:
    """A text in place of its plain embeddings, for calls that repeat it; it belongs to one set of weights.

    Args:
        prompt_embeds: (B, P, C), zeros after the end of the text.
    """

    def __init__(self, prompt_embeds: torch.Tensor) -> None:
        self.prompt_embeds = prompt_embeds
        self._contexts: dict[DiTTower, tuple[RememberedContext, ...]] = {}

    def contexts(self, tower: DiTTower) -> tuple[RememberedContext, ...]:
        """Return what each block of a tower reads.

        Raises:
            ConfigError: gradients are wanted: what is kept from one step has no graph in the next.
        """
        if torch.is_grad_enabled():
            raise ConfigError(
                "a remembered prompt is for torch.no_grad(), got a call with gradients; pass the embeddings"
            )
        if tower not in self._contexts:
            context = tower.text_embedding(self.prompt_embeds.to(tower.dtype))
            self._contexts[tower] = tuple(RememberedContext(context) for _ in tower.blocks)
        return self._contexts[tower]

    def forget(self, tower: DiTTower) -> None:
        """Let go of what a tower made of the text, such as the expert whose part of the schedule is over."""
        self._contexts.pop(tower, None)

    def size_bytes(self) -> int:
        """Return the bytes of all keys and values."""
        return sum(one.size_bytes() for contexts in self._contexts.values() for one in contexts)
