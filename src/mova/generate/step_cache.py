"""What the video blocks added at an earlier step, used again while the first of them says that little has changed.

From one step to the next most blocks of the video tower add nearly what they added before. So its first block is always
computed, and as long as its own addition has moved by less than a threshold since the last full step, the additions of
all others are taken from there. The audio tower is always computed, and hears the picture at every layer where it is
now: it is small, and an old sound is heard sooner than an old picture is seen. The method follows first-block caching
(ParaAttention, and FirstBlockCache of diffusers, which reaches whole models but not a walk through two towers).

It is an approximation, switched on by asking for it; without it nothing here runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.hooks.hooks import HookRegistry, ModelHook
from torch import nn

from mova.errors import ConfigError
from mova.models.dual_tower import DualTower

_NAME = "mova_step_cache"


@dataclass(eq=False)
class _Memory:
    """What is kept of one kind of call: a branch of guidance with one expert."""

    predictions: int = 1
    first: torch.Tensor | None = None
    moved: float = 0.0
    reused: int = 0
    is_reusing: bool = False
    additions: dict[int, torch.Tensor] = field(default_factory=dict)


class StepCache:
    """Lets joint models take the additions of their video blocks from an earlier step; use as a context manager.

    Args:
        models: joint models of both experts, whose video towers and bridge are changed while it is active.
        threshold: relative change of the first block's addition, added up since the last full step, below which the
            others are not computed; 0 computes all of them at every step.
        most: full steps skipped in a row, at most.

    Attributes:
        repeated: predictions that took the additions of an earlier step.

    Raises:
        ConfigError: a threshold that is not 0 or more, or `most` below 1.
    """

    def __init__(self, models: Iterable[DualTower], threshold: float, most: int = 3) -> None:
        if not 0 <= threshold < float("inf"):
            raise ConfigError(f"threshold of the step cache must be finite and 0 or more, got {threshold}; 0 is off")
        if most < 1:
            raise ConfigError(
                f"steps that the step cache may skip in a row must be 1 or more, got {most}; nearest is 1"
            )
        self.threshold, self.most = threshold, most
        self.repeated = 0
        self._memories: dict[tuple[str, tuple[Hashable, ...]], _Memory] = {}
        self._now = _Memory()
        self._modules: list[tuple[nn.Module, ModelHook]] = []
        seen: set[int] = set()
        for model in models:
            blocks = list(model.video_tower.blocks)
            listeners = model.bridge.audio_to_video_conditioners.named_children()
            # The first block decides, so it and what the picture hears before it are always computed.
            parts: list[tuple[nn.Module, ModelHook]] = [(blocks[0], _Decide(self))]
            parts += [(block, _Repeat(self, adds_input=True)) for block in blocks[1:]]
            parts += [(part, _Repeat(self, adds_input=False)) for layer, part in listeners if int(layer) > 0]
            for module, hook in parts:
                if id(module) not in seen:
                    seen.add(id(module))
                    self._modules.append((module, hook))

    def __enter__(self) -> StepCache:
        for module, hook in self._modules:
            HookRegistry.check_if_exists_or_initialize(module).register_hook(hook, _NAME)
        return self

    def __exit__(self, *_: object) -> None:
        for module, _hook in self._modules:
            HookRegistry.check_if_exists_or_initialize(module).remove_hook(_NAME, recurse=False)
        self._memories.clear()
        self._now = _Memory()

    def begin(self, expert: str, branches: tuple[Hashable, ...]) -> None:
        """Say which kind of call comes next: only calls of the same branches with the same expert are alike."""
        for key in [key for key in self._memories if key[0] != expert]:
            # The other expert's part of the schedule is over.
            del self._memories[key]
        self._now = self._memories.setdefault((expert, branches), _Memory(len(branches)))

    def forget(self, expert: str, branches: tuple[Hashable, ...]) -> None:
        """Let go of what is kept of a kind of call that does not come again."""
        self._memories.pop((expert, branches), None)
        self._now = _Memory()

    def size_bytes(self) -> int:
        """Return the bytes that are kept: one addition per video block and bridge layer, for each kind of call."""
        return sum(
            addition.numel() * addition.element_size()
            for memory in self._memories.values()
            for addition in memory.additions.values()
        )

    def decide(self, addition: torch.Tensor) -> None:
        """Look at the first block's addition: from the last full step, or a new full step."""
        now = self._now
        if now.first is not None:
            now.moved += _relative_change(now.first, addition)
        now.is_reusing = now.first is not None and now.moved < self.threshold and now.reused < self.most
        now.first = addition
        if now.is_reusing:
            now.reused += 1
            self.repeated += now.predictions
        else:
            now.moved, now.reused = 0.0, 0
            now.additions.clear()

    def kept(self, module: nn.Module) -> torch.Tensor | None:
        """Return what a module added at the last full step, or None if it has to be computed."""
        return self._now.additions[id(module)] if self._now.is_reusing else None

    def keep(self, module: nn.Module, addition: torch.Tensor) -> None:
        """Note what a module added at a full step."""
        self._now.additions[id(module)] = addition


class _Decide(ModelHook):  # type: ignore[misc]
    """Around the first block of a video tower."""

    def __init__(self, cache: StepCache) -> None:
        super().__init__()
        self.cache = cache

    def new_forward(self, _: nn.Module, tokens: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute the block and decide what the others do."""
        output: torch.Tensor = self.fn_ref.original_forward(tokens, *args, **kwargs)
        self.cache.decide(output - tokens)
        return output


class _Repeat(ModelHook):  # type: ignore[misc]
    """Around another block of a video tower, or what it hears of the sound at another layer.

    Args:
        cache: that decides.
        adds_input: whether the module returns its input plus its addition, or the addition alone.
    """

    def __init__(self, cache: StepCache, *, adds_input: bool) -> None:
        super().__init__()
        self.cache, self.adds_input = cache, adds_input

    def new_forward(self, module: nn.Module, tokens: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute the module, or repeat its addition."""
        kept = self.cache.kept(module)
        if kept is not None:
            return tokens + kept if self.adds_input else kept
        output: torch.Tensor = self.fn_ref.original_forward(tokens, *args, **kwargs)
        self.cache.keep(module, output - tokens if self.adds_input else output)
        return output


def _relative_change(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the largest relative change among the clips of a call: none of them may change much unseen."""
    before, after = before.float().flatten(1), after.float().flatten(1)
    change = (after - before).abs().mean(1) / before.abs().mean(1).clamp_min(torch.finfo(torch.float32).tiny)
    return float(change.max())
