"""One sample on several processes: each holds a part of the tokens of both towers (Ulysses x ring).

Applied from outside, by hooks on the parts that the joint forward calls (decision 0001): tokens are cut behind the
patch embedding and put together behind the head; in between every process computes its own tokens. Self-attention
exchanges heads for tokens among the processes of a Ulysses group and hands keys around the ring. Through the bridge the
picture hears all of the sound (its keys are few, and gathered), and the sound's queries go to the picture's keys where
those lie: the video sequence is never gathered. Lengths need not divide, and nothing is ever attended to but tokens.

When every process computes the same loss from the whole velocities, the sum of the parameters' gradients over these
processes is the gradient of that loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from torch.distributed import ProcessGroup
from torch.utils.hooks import RemovableHandle

from mova.distributed.collectives import (
    gather_inputs,
    gather_outputs,
    heads_for_tokens,
    part_lengths,
    take_part,
    tokens_for_heads,
)
from mova.distributed.mesh import Parallel
from mova.distributed.partial_attention import ring_attention, spread_attention
from mova.errors import ConfigError, GeometryError
from mova.models.attention import AttentionDispatch
from mova.models.bridge import CrossModalBridge
from mova.models.rope import RotaryTable
from mova.models.tower import AudioTower, DiTTower


class ContextParallel:
    """Splits the tokens of towers and bridge among processes until it is removed.

    Args:
        components: towers and bridge by name; both video experts may share the audio tower and the bridge.
        parallel: this process among the others.

    Raises:
        ConfigError: a number of heads that the Ulysses degree does not divide, or a bridge that pools whole frames.
    """

    def __init__(self, components: Mapping[str, nn.Module], parallel: Parallel) -> None:
        self._undo: list[Callable[[], None]] = []
        if parallel.context_size == 1:
            return
        towers = {name: part for name, part in components.items() if isinstance(part, DiTTower)}
        bridges = [part for part in components.values() if isinstance(part, CrossModalBridge)]
        _check_heads(towers, parallel.ulysses)
        if any(bridge.config.pooled_adaln for bridge in bridges):
            raise ConfigError("pooled_adaln pools whole frames of the picture, which context parallelism never gathers")
        groups = _Groups.of(parallel)
        lengths = _Lengths(parallel.context_size)
        for tower in towers.values():
            self._share_tower(tower, "audio" if isinstance(tower, AudioTower) else "video", lengths, groups)
        for bridge in bridges:
            self._share_bridge(bridge, lengths, groups)

    def remove(self) -> None:
        """Let every process compute all tokens again."""
        for undo in self._undo:
            undo()
        self._undo.clear()

    def _share_tower(self, tower: DiTTower, stream: str, lengths: _Lengths, groups: _Groups) -> None:
        def cut(_: nn.Module, _args: Any, tokens: torch.Tensor) -> torch.Tensor:
            return take_part(tokens, lengths.begin(stream, tokens.shape[1]), groups.rank)

        def join(_: nn.Module, _args: Any, patches: torch.Tensor) -> torch.Tensor:
            return gather_outputs(patches, lengths.of(stream), groups.context)

        def own_positions(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens, context, modulation, rotary = args
            return tokens, context, modulation, _own(rotary, lengths.of(stream), groups.rank)

        self._keep(tower.patch_embedding.register_forward_hook(cut))
        self._keep(tower.head.register_forward_hook(join))
        for block in tower.blocks:
            self._keep(block.register_forward_pre_hook(own_positions))
            self._replace(block.get_submodule("self_attn"), _SharedSelfAttention(stream, lengths, groups))

    def _share_bridge(self, bridge: CrossModalBridge, lengths: _Lengths, groups: _Groups) -> None:
        def own_positions(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            layer, video, audio, rotary, frames = args
            own = tuple(
                None if table is None else _own(table, lengths.of(stream), groups.rank)
                for stream, table in zip(("video", "audio"), rotary, strict=True)
            )
            return layer, video, audio, own, frames

        self._keep(bridge.register_forward_pre_hook(own_positions))
        for conditioner in bridge.audio_to_video_conditioners:
            attention = conditioner.get_submodule("inner")
            former = cast("AttentionDispatch", attention.processor)
            self._replace(attention, _GatheredKeys("audio", lengths, groups, former))
        for conditioner in bridge.video_to_audio_conditioners:
            self._replace(conditioner.get_submodule("inner"), _GatheredQueries("audio", lengths, groups))

    def _keep(self, handle: RemovableHandle) -> None:
        self._undo.append(handle.remove)

    def _replace(self, attention: nn.Module, processor: AttentionDispatch) -> None:
        former = attention.processor
        # A plain attribute of the attention, no module.
        setattr(attention, "processor", processor)  # noqa: B010
        self._undo.append(partial(setattr, attention, "processor", former))


@dataclass(frozen=True)
class _Groups:
    """Process groups of a context-parallel group, and this process's place in it."""

    context: ProcessGroup
    ulysses: ProcessGroup
    ring: ProcessGroup
    rank: int
    num_ulysses: int
    num_ring: int

    @classmethod
    def of(cls, parallel: Parallel) -> _Groups:
        mesh = parallel.mesh
        assert mesh is not None, "several processes have a mesh"
        return cls(
            context=mesh["ring", "ulysses"]._flatten("context").get_group(),
            ulysses=mesh["ulysses"].get_group(),
            ring=mesh["ring"].get_group(),
            rank=parallel.context_rank,
            num_ulysses=parallel.ulysses,
            num_ring=parallel.ring,
        )


class _Lengths:
    """How many tokens of each stream every process has in the present forward."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._lengths: dict[str, list[int]] = {}

    def begin(self, stream: str, total: int) -> list[int]:
        if total < self.parts:
            raise GeometryError(f"{stream} must have a token for each of {self.parts} processes, got {total}")
        self._lengths[stream] = part_lengths(total, self.parts)
        return self._lengths[stream]

    def of(self, stream: str) -> list[int]:
        return self._lengths[stream]


class _SharedSelfAttention(AttentionDispatch):
    """Ulysses among neighbours, then the ring among the groups of neighbours."""

    def __init__(self, stream: str, lengths: _Lengths, groups: _Groups) -> None:
        self.stream, self.lengths, self.groups = stream, lengths, groups

    def __call__(self, q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, is_self: bool) -> torch.Tensor:
        groups, lengths = self.groups, self.lengths.of(self.stream)
        size = groups.num_ulysses
        group, place = divmod(groups.rank, size)
        near = lengths[group * size : (group + 1) * size]
        q, k, v = q_BLNE, k_BKNE, v_BKNE
        if size > 1:
            q, k, v = (heads_for_tokens(tensor, near, groups.ulysses) for tensor in (q, k, v))
        if groups.num_ring > 1:
            sums = [sum(lengths[one * size : (one + 1) * size]) for one in range(groups.num_ring)]
            attended = ring_attention(q, k, v, sums, groups.ring)
        else:
            attended = super().__call__(q, k, v, is_self)
        return tokens_for_heads(attended, near, groups.ulysses, place) if size > 1 else attended


class _GatheredKeys(AttentionDispatch):
    """Own queries, keys and values of all processes: for keys that are few."""

    def __init__(self, stream: str, lengths: _Lengths, groups: _Groups, former: AttentionDispatch) -> None:
        self.stream, self.lengths, self.groups, self.former = stream, lengths, groups, former

    def __call__(self, q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, is_self: bool) -> torch.Tensor:
        lengths = self.lengths.of(self.stream)
        k, v = (gather_inputs(tensor, lengths, self.groups.context) for tensor in (k_BKNE, v_BKNE))
        return self.former(q_BLNE, k, v, is_self)


class _GatheredQueries(AttentionDispatch):
    """Queries of all processes, keys and values where they lie: for queries that are few."""

    def __init__(self, stream: str, lengths: _Lengths, groups: _Groups) -> None:
        self.stream, self.lengths, self.groups = stream, lengths, groups

    def __call__(
        self,
        q_BLNE: torch.Tensor,
        k_BKNE: torch.Tensor,
        v_BKNE: torch.Tensor,
        is_self: bool,  # noqa: ARG002
    ) -> torch.Tensor:
        lengths = self.lengths.of(self.stream)
        queries = gather_inputs(q_BLNE, lengths, self.groups.context)
        attended = spread_attention(queries, k_BKNE, v_BKNE, self.groups.context)
        return take_part(attended, lengths, self.groups.rank)


def _own(table: RotaryTable, lengths: Sequence[int], rank: int) -> RotaryTable:
    return RotaryTable(*(take_part(part, lengths, rank, dim=0) for part in table))


def _check_heads(towers: Mapping[str, DiTTower], ulysses: int) -> None:
    heads = {name: int(tower.config.num_heads) for name, tower in towers.items()}
    if all(number % ulysses == 0 for number in heads.values()):
        return
    fitting = [degree for degree in range(1, min(heads.values()) + 1) if all(n % degree == 0 for n in heads.values())]
    near = min(fitting, key=lambda degree: (abs(degree - ulysses), degree))
    described = ", ".join(f"{name} {number}" for name, number in heads.items())
    raise ConfigError(f"ulysses must divide the heads of all towers ({described}), got {ulysses}; nearest is {near}")
