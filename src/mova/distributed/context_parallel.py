"""Context parallelism (Ulysses x ring): one sample on several processes, each with a part of both towers' tokens.

Applied from outside, by hooks on the parts that the joint forward calls (decision 0001): tokens are cut behind the
patch embedding and put together behind the head; in between every process computes its own tokens. Self-attention
exchanges heads for tokens among the processes of a Ulysses group and sends keys around the ring. In the bridge the
video attends to all of the audio (whose keys are few, and gathered), and the audio's queries go to the video's keys
where those are: the video sequence is never gathered. Lengths need not divide, and only tokens are ever attended to.

When every process computes the same loss from the whole velocities, the sum of the parameters' gradients over these
processes is the gradient of that loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from mova.distributed.layout import check_ulysses
from mova.distributed.mesh import Parallel
from mova.distributed.partial_attention import ring_attention, spread_attention
from mova.errors import ConfigError, GeometryError
from mova.kernels.attention_backends import check_ring
from mova.models.attention import Attention, AttentionDispatch
from mova.models.bridge import CrossModalBridge
from mova.models.rope import RotaryTable
from mova.models.tower import AudioTower, DiTTower

# Of `Attention.forward`, in order.
_INPUTS = ("x_BLD", "context_BKC", "rotary", "context_rotary")


class ContextParallel:
    """Splits the tokens of towers and bridge among processes until it is removed.

    Args:
        components: towers and bridge by name; both video experts may share the audio tower and the bridge.
        parallel: this process among the others.

    Raises:
        ConfigError: a number of heads that the Ulysses degree does not divide, a bridge that pools whole frames, or an
            attention back-end whose keys cannot be handed around a ring.
    """

    def __init__(self, components: Mapping[str, nn.Module], parallel: Parallel) -> None:
        self._undo: list[Callable[[], None]] = []
        if parallel.context_size == 1:
            return
        towers = {name: part for name, part in components.items() if isinstance(part, DiTTower)}
        bridges = [part for part in components.values() if isinstance(part, CrossModalBridge)]
        check_ulysses(parallel.ulysses, {name: int(tower.config.num_heads) for name, tower in towers.items()})
        if any(bridge.config.pooled_adaln for bridge in bridges):
            raise ConfigError("pooled_adaln pools whole frames of the video, which context parallelism never gathers")
        for layer in (
            layer for part in components.values() for layer in part.modules() if isinstance(layer, Attention)
        ):
            check_ring(layer.processor._attention_backend, parallel.ring)
        groups = _Groups.of(parallel)
        totals: dict[str, int] = {}
        for tower in towers.values():
            self._share_tower(tower, "audio" if isinstance(tower, AudioTower) else "video", totals, groups)
        for bridge in bridges:
            self._share_bridge(bridge, totals, groups)

    def remove(self) -> None:
        """Let every process compute all tokens again."""
        for undo in self._undo:
            undo()
        self._undo.clear()

    def _share_tower(self, tower: DiTTower, stream: str, totals: dict[str, int], groups: _Groups) -> None:
        def cut(_: nn.Module, _args: Any, tokens: torch.Tensor) -> torch.Tensor:
            totals[stream] = _enough(tokens.shape[1], stream, groups)
            return take_part(tokens, groups.lengths(totals[stream]), groups.rank)

        def join(_: nn.Module, _args: Any, patches: torch.Tensor) -> torch.Tensor:
            return gather_outputs(patches, groups.lengths(totals[stream]), groups.context)

        self._keep(tower.patch_embedding.register_forward_hook(cut))
        self._keep(tower.head.register_forward_hook(join))
        for block in tower.blocks:
            self._share_attention(block.get_submodule("self_attn"), _SharedSelfAttention, "rotary", groups)

    def _share_bridge(self, bridge: CrossModalBridge, totals: dict[str, int], groups: _Groups) -> None:
        def with_positions(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            layer, video, audio, rotary, frames = args
            tables = tuple(
                _unrotated(totals[stream], bridge.head_dim, tokens.device) if table is None else table
                for stream, table, tokens in zip(("video", "audio"), rotary, (video, audio), strict=True)
            )
            return layer, video, audio, tables, frames

        self._keep(bridge.register_forward_pre_hook(with_positions))
        for conditioner in bridge.audio_to_video_conditioners:
            self._share_attention(conditioner.get_submodule("inner"), _GatheredKeys, "context_rotary", groups)
        for conditioner in bridge.video_to_audio_conditioners:
            self._share_attention(conditioner.get_submodule("inner"), _GatheredQueries, "rotary", groups)

    def _share_attention(
        self, attention: nn.Module, kind: type[_SharedAttention], counted: str, groups: _Groups
    ) -> None:
        former = cast("AttentionDispatch", attention.processor)
        processor = kind(former, groups)

        def own_positions(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            inputs = dict(zip(_INPUTS, args, strict=False)) | kwargs
            # Blocks get the positions of all tokens, so what is computed again in a backward pass counts them as the
            # first time, whatever has been computed in between.
            processor.lengths = groups.lengths(len(inputs[counted].cos))
            for name in ("rotary", "context_rotary"):
                if inputs.get(name) is not None:
                    inputs[name] = _own(inputs[name], groups)
            return (), inputs

        self._keep(attention.register_forward_pre_hook(own_positions, with_kwargs=True))
        # A plain attribute of the attention, no module.
        setattr(attention, "processor", processor)  # noqa: B010
        self._undo.append(partial(setattr, attention, "processor", former))

    def _keep(self, handle: RemovableHandle) -> None:
        self._undo.append(handle.remove)


@dataclass(frozen=True)
class _Groups:
    """Process groups of a context-parallel group, and this process's rank in it."""

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

    def lengths(self, total: int) -> list[int]:
        """Return how many of `total` tokens each process has."""
        return part_lengths(total, self.num_ring * self.num_ulysses)


class _SharedAttention(AttentionDispatch):
    """Takes the place of an attention's dispatch, and its back-end.

    Attributes:
        lengths: tokens of each process in the stream that is exchanged; set before every call.
    """

    def __init__(self, former: AttentionDispatch, groups: _Groups) -> None:
        self.groups = groups
        self.lengths: list[int] = []
        self._attention_backend = former._attention_backend


class _SharedSelfAttention(_SharedAttention):
    """Ulysses among neighbours, then the ring among the groups of neighbours."""

    def __call__(self, q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, is_self: bool) -> torch.Tensor:
        groups, lengths = self.groups, self.lengths
        size = groups.num_ulysses
        group, rank = divmod(groups.rank, size)
        near = lengths[group * size : (group + 1) * size]
        q, k, v = q_BLNE, k_BKNE, v_BKNE
        if size > 1:
            q, k, v = heads_for_tokens((q, k, v), near, groups.ulysses)
        if groups.num_ring > 1:
            sums = [sum(lengths[one * size : (one + 1) * size]) for one in range(groups.num_ring)]
            attended = ring_attention(q, k, v, sums, groups.ring)
        else:
            attended = super().__call__(q, k, v, is_self)
        return tokens_for_heads(attended, near, groups.ulysses, rank) if size > 1 else attended


class _GatheredKeys(_SharedAttention):
    """Own queries, keys and values of all processes: for keys that are few."""

    def __call__(self, q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, is_self: bool) -> torch.Tensor:
        k, v = (gather_inputs(tensor, self.lengths, self.groups.context) for tensor in (k_BKNE, v_BKNE))
        return super().__call__(q_BLNE, k, v, is_self)


class _GatheredQueries(_SharedAttention):
    """Queries of all processes, keys and values where they lie: for queries that are few."""

    def __call__(
        self,
        q_BLNE: torch.Tensor,
        k_BKNE: torch.Tensor,
        v_BKNE: torch.Tensor,
        is_self: bool,  # noqa: ARG002
    ) -> torch.Tensor:
        queries = gather_inputs(q_BLNE, self.lengths, self.groups.context)
        attended = spread_attention(queries, k_BKNE, v_BKNE, self.groups.context)
        return take_part(attended, self.lengths, self.groups.rank)


def _enough(total: int, stream: str, groups: _Groups) -> int:
    parts = groups.num_ring * groups.num_ulysses
    if total < parts:
        raise GeometryError(f"{stream} must have a token for each of {parts} processes, got {total}")
    return total


def _own(table: RotaryTable, groups: _Groups) -> RotaryTable:
    lengths = groups.lengths(len(table.cos))
    return RotaryTable(*(take_part(part, lengths, groups.rank, dim=0) for part in table))


def _unrotated(total: int, head_dim: int, device: torch.device) -> RotaryTable:
    """Return positions that turn nothing, for a bridge without any: they still count the tokens."""
    cos = torch.ones(total, 1, head_dim // 2, device=device)
    return RotaryTable(cos, torch.zeros_like(cos))
