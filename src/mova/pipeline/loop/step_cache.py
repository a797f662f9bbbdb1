"""What the video blocks added at an earlier step, used again while the first of them says that little has changed.

From one step to the next most blocks of the video tower add nearly what they added before. So its first block is always
computed, and as long as its own addition has moved by less than a threshold since the last full step, the additions of
all others are taken from there. The audio tower is always computed, and attends to the video at every layer where it is
now: it is small, and old audio is heard sooner than old video is seen. The method follows first-block caching
(ParaAttention, and FirstBlockCache of diffusers, which reaches whole models but not a walk through two towers).

With an order above 0 the additions are not repeated but forecast from the last full steps, as TaylorSeer does (Liu et
al. 2025): by the polynomial through two (order 1) or three (order 2) of them. TaylorSeer takes full steps at even
distances; here they come when they are needed, hence a polynomial through uneven points. And because the first block is
computed at every step, the error of its own forecast is known, and it decides.

It is an approximation, switched on by asking for it; without it nothing here runs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import torch
from diffusers.hooks.hooks import HookRegistry, ModelHook
from torch import nn

from mova.diffusion.guidance import Branch
from mova.diffusion.loop_state import PartState
from mova.errors import ConfigError
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower

_NAME = "mova_step_cache"
MOST_SKIPPED: Final = 3
"""Steps in a row that take the additions of an earlier one, at most."""
_T = TypeVar("_T")


@dataclass(eq=False)
class _Memory:
    """What is kept of one kind of call: branches of a clip with one expert. Histories have the newest entry first."""

    predictions: int = 1
    step: int = -1
    full_steps: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    firsts: list[torch.Tensor] = field(default_factory=list)
    moved: float = 0.0
    reused: int = 0
    is_reusing: bool = False
    additions: dict[int, list[torch.Tensor]] = field(default_factory=dict)


class StepCache:
    """Lets joint models take the additions of their video blocks from an earlier step; use as a context manager.

    Args:
        models: joint models of both experts, whose video towers and bridge are changed while it is active.
        threshold: below which the others are not computed: relative change of the first block's addition, added up
            since the last full step, or (order above 0) the relative error of its forecast; 0 computes all of them at
            every step.
        order: 0 repeats the additions of the last full step; 1 and 2 forecast them from the last two or three, as far
            as there are so many.

    Attributes:
        repeated: predictions that took the additions of an earlier step.

    Raises:
        ConfigError: a threshold that is not 0 or more, or an order that is not 0, 1 or 2.
    """

    def __init__(self, models: Iterable[DualTower], threshold: float, *, order: int = 0) -> None:
        if not 0 <= threshold < float("inf"):
            raise ConfigError(f"threshold of the step cache must be finite and 0 or more, got {threshold}; 0 is off")
        if order not in (0, 1, 2):
            raise ConfigError(f"order of the step cache must be 0, 1 or 2, got {order}; 0 repeats without a forecast")
        self.threshold, self.order = threshold, order
        self.repeated = 0
        self._memories: dict[tuple[str, tuple[Hashable, ...]], _Memory] = {}
        self._now = _Memory()
        self._modules: list[tuple[nn.Module, ModelHook]] = []
        seen: set[int] = set()
        for model in models:
            blocks = list(model.video_tower.blocks)
            # The first block decides, so it and the cross-attention before it are always computed.
            parts: list[tuple[nn.Module, ModelHook]] = [(blocks[0], _Decide(self))]
            parts += [(block, _Repeat(self, adds_input=True)) for block in blocks[1:]]
            parts += [(part, _Repeat(self, adds_input=False)) for part in listening_layers(model.bridge)]
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

    def begin(self, expert: str, kind: tuple[Hashable, ...], *, predictions: int = 1) -> None:
        """Say which kind of call comes next: only calls of the same clips and branches with the same expert are alike.

        Args:
            expert: that is called.
            kind: clip and branches of the call.
            predictions: that it makes.
        """
        for key in [key for key in self._memories if key[0] != expert]:
            # The other expert's part of the schedule is over.
            del self._memories[key]
        self._now = self._memories.setdefault((expert, kind), _Memory(predictions))

    def forget(self, expert: str, kind: tuple[Hashable, ...]) -> None:
        """Let go of what is kept of a kind of call that does not come again."""
        self._memories.pop((expert, kind), None)
        self._now = _Memory()

    def size_bytes(self) -> int:
        """Return the bytes that are kept: additions of each video block and bridge layer, for each kind of call.

        With order 0 that is one addition of each, with order 1 two and with order 2 three (`mova.plan.step_cache`).
        """
        return sum(
            addition.numel() * addition.element_size()
            for memory in self._memories.values()
            for history in (memory.firsts, *memory.additions.values())
            for addition in history
        )

    def state(self) -> PartState:
        """Return all that is kept, with the place of a module instead of the module."""
        places = {id(module): place for place, (module, _) in enumerate(self._modules)}
        numbers: list[dict[str, Any]] = []
        tensors: dict[str, torch.Tensor] = {}
        for number, ((expert, kind), memory) in enumerate(self._memories.items()):
            numbers.append(
                {name: getattr(memory, name) for name in _NUMBERS}
                | {"full_steps": list(memory.full_steps), "expert": expert, "kind": [_plain(part) for part in kind]}
            )
            histories = {"first": memory.firsts, **{str(places[key]): own for key, own in memory.additions.items()}}
            tensors |= {
                f"{number}.{place}.{age}": addition
                for place, history in histories.items()
                for age, addition in enumerate(history)
            }
        return PartState({"repeated": self.repeated, "memories": numbers}, tensors)

    def load_state(self, state: PartState) -> None:
        """Go on from a state of a cache of the same models, threshold and order."""
        self._memories = {}
        self.repeated = int(state.numbers["repeated"])
        for number, own in enumerate(state.numbers["memories"]):
            kept: dict[str, dict[int, torch.Tensor]] = {}
            for key, addition in state.tensors.items():
                owner, place, age = key.split(".")
                if int(owner) == number:
                    kept.setdefault(place, {})[int(age)] = addition
            histories = {place: [by_age[age] for age in range(len(by_age))] for place, by_age in kept.items()}
            firsts = histories.pop("first")
            additions = {id(self._modules[int(place)][0]): history for place, history in histories.items()}
            numbers = {name: own[name] for name in (*_NUMBERS, "full_steps")}
            kind = tuple(_kind_part(part) for part in own["kind"])
            self._memories[own["expert"], kind] = _Memory(**numbers, firsts=firsts, additions=additions)

    def decide(self, addition: torch.Tensor) -> None:
        """Look at the first block's addition: from the last full step, or a new full step."""
        now = self._now
        now.step += 1
        if now.firsts:
            now.weights = _weights(now.full_steps, now.step)
            change = _relative_change(_extrapolate(now.firsts, now.weights), addition)
            now.moved = change if self.order else now.moved + change
        now.is_reusing = bool(now.firsts) and now.moved < self.threshold and now.reused < MOST_SKIPPED
        if now.is_reusing:
            now.reused += 1
            self.repeated += now.predictions
        else:
            now.moved, now.reused = 0.0, 0
            self._push(now.full_steps, now.step)
        if not self.order:
            # The change is added up from step to step, so that the last step is what the next is compared with.
            now.firsts = [addition]
        elif not now.is_reusing:
            self._push(now.firsts, addition)

    def kept(self, module: nn.Module) -> torch.Tensor | None:
        """Return what a module adds according to the last full steps, or None if it has to be computed."""
        now = self._now
        return _extrapolate(now.additions[id(module)], now.weights) if now.is_reusing else None

    def keep(self, module: nn.Module, addition: torch.Tensor) -> None:
        """Note what a module added at a full step."""
        self._push(self._now.additions.setdefault(id(module), []), addition)

    def _push(self, history: list[_T], newest: _T) -> None:
        history.insert(0, newest)
        del history[self.order + 1 :]


# What is kept of a kind of call beside histories; what else there is follows from the next call.
_NUMBERS: Final = ("predictions", "step", "moved", "reused")


def _plain(part: Hashable) -> object:
    return [part.text, part.bridge] if isinstance(part, Branch) else part


def _kind_part(part: Any) -> Hashable:
    return Branch(*part) if isinstance(part, list) else int(part)


def listening_layers(bridge: CrossModalBridge) -> list[nn.Module]:
    """Return the layers of a bridge by which video blocks behind the first one hear the audio."""
    layers = bridge.audio_to_video_conditioners.named_children()
    return [layer for place, layer in layers if int(place) > 0]


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
    """Around another block of a video tower, or its cross-attention to the audio at another layer.

    Args:
        cache: that decides.
        adds_input: whether the module returns its input plus its addition, or the addition alone.
    """

    def __init__(self, cache: StepCache, *, adds_input: bool) -> None:
        super().__init__()
        self.cache, self.adds_input = cache, adds_input

    def new_forward(self, module: nn.Module, tokens: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute the module, or repeat or forecast its addition."""
        kept = self.cache.kept(module)
        if kept is not None:
            return tokens + kept if self.adds_input else kept
        output: torch.Tensor = self.fn_ref.original_forward(tokens, *args, **kwargs)
        self.cache.keep(module, output - tokens if self.adds_input else output)
        return output


def _weights(steps: Sequence[int], at: int) -> list[float]:
    """Return the weights of values at some steps in the polynomial through them, taken at another step (Lagrange).

    The distance is counted in steps, not in noise levels. A schedule is spaced so that about as much happens in each
    step, while noise levels are close together where it starts and far apart where it ends: with every fourth step a
    full one, order 2 in noise levels was twice as wrong as in steps on the shipped model. And that of held video does
    not move.
    """
    return [math.prod((at - other) / (step - other) for other in steps if other != step) for step in steps]


def _extrapolate(history: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted sum of a history. The weights add up to 1, so that half precision rounds differences only."""
    newest = total = history[0]
    for older, weight in zip(history[1:], weights[1:], strict=True):
        total = torch.add(total, older - newest, alpha=weight)
    return total


def _relative_change(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the largest relative change among the clips of a call: none of them may change much unseen."""
    before, after = before.float().flatten(1), after.float().flatten(1)
    change = (after - before).abs().mean(1) / before.abs().mean(1).clamp_min(torch.finfo(torch.float32).tiny)
    return float(change.max())
