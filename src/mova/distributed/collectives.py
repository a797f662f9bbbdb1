"""Collectives of processes that share a sample (all-gather, all-to-all, gather to rank 0, ring), with gradients.

Parts may have different lengths. Where a transport wants equal ones, zeros fill the message and are cut off on arrival:
no computation ever sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import distributed
from torch.distributed import ProcessGroup
from torch.nn import functional


def part_lengths(total: int, parts: int) -> list[int]:
    """Return the lengths of `parts` neighbouring parts of `total` tokens; the first ones are one longer."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def take_part(tokens: torch.Tensor, lengths: Sequence[int], rank: int, dim: int = 1) -> torch.Tensor:
    """Return the part (shard) of a process, a view."""
    return tokens.narrow(dim, sum(lengths[:rank]), lengths[rank])


def gather_outputs(part: torch.Tensor, lengths: Sequence[int], group: ProcessGroup) -> torch.Tensor:
    """All-gather the parts (B, L_rank, ...) of all processes to (B, L, ...), the same everywhere.

    For results: every process computes the same loss from the whole. Backward, each takes the gradient of its own part.
    """
    return cast("torch.Tensor", _Gather.apply(part, list(lengths), group, False))


def gather_inputs(part: torch.Tensor, lengths: Sequence[int], group: ProcessGroup) -> torch.Tensor:
    """All-gather the parts (B, L_rank, ...) to (B, L, ...) for what every process does with the whole on its own.

    Backward, the gradients of all processes are summed (all_reduce).
    """
    return cast("torch.Tensor", _Gather.apply(part, list(lengths), group, True))


def gather_on_first(part: torch.Tensor, lengths: Sequence[int], group: ProcessGroup, dim: int) -> torch.Tensor | None:
    """Gather the parts of all processes on rank 0 of the group; None on the others. No gradients.

    Args:
        part: tensor of this process, contiguous or not.
        lengths: length of each process's part along `dim`; a process with 0 gives nothing.
        group: process group whose members call this together.
        dim: dimension along which the parts are concatenated.
    """
    rank, first = distributed.get_rank(group), distributed.get_global_rank(group, 0)
    if rank > 0:
        if lengths[rank]:
            distributed.send(part.contiguous(), first, group=group)
        return None
    parts = [part]
    for other, length in enumerate(lengths[1:], 1):
        if length:
            shape = [*part.shape[:dim], length, *part.shape[dim + 1 :]]
            parts.append(part.new_empty(shape))
            distributed.recv(parts[-1], distributed.get_global_rank(group, other), group=group)
    return torch.cat(parts, dim)


def heads_for_tokens(part: torch.Tensor, lengths: Sequence[int], group: ProcessGroup) -> torch.Tensor:
    """All-to-all: exchange all heads of a part (B, L_rank, N, E) for some heads of all parts (B, L, N / size, E)."""
    size, longest = len(lengths), max(lengths)
    # (size, B, longest, N / size, E): one message for each process.
    split = functional.pad(part, (0, 0, 0, 0, 0, longest - part.shape[1])).unflatten(2, (size, -1)).movedim(2, 0)
    received = _Exchange.apply(split.contiguous(), group)
    return torch.cat([received[rank, :, :length] for rank, length in enumerate(lengths)], dim=1)


def tokens_for_heads(heads: torch.Tensor, lengths: Sequence[int], group: ProcessGroup, rank: int) -> torch.Tensor:
    """Undo `heads_for_tokens`: (B, L, N / size, E) to (B, L_rank, N, E)."""
    longest = max(lengths)
    parts = [functional.pad(part, (0, 0, 0, 0, 0, longest - part.shape[1])) for part in heads.split(list(lengths), 1)]
    received = _Exchange.apply(torch.stack(parts).contiguous(), group)
    whole: torch.Tensor = received[:, :, : lengths[rank]].movedim(0, 2).flatten(2, 3)
    return whole


def ring_exchange(tensors: Sequence[torch.Tensor], group: ProcessGroup) -> list[torch.Tensor]:
    """Send tensors to the next rank of a ring and return those of the previous one; all have the same shapes."""
    rank, size = distributed.get_rank(group), distributed.get_world_size(group)
    following, before = (distributed.get_global_rank(group, (rank + step) % size) for step in (1, -1))
    tensors = [tensor.contiguous() for tensor in tensors]
    received = [torch.empty_like(tensor) for tensor in tensors]
    operations = [
        distributed.P2POp(function, tensor, peer, group)
        for mine, theirs in zip(tensors, received, strict=True)
        for function, tensor, peer in (
            (distributed.isend, mine, following),
            (distributed.irecv, theirs, before),
        )
    ]
    for work in distributed.batch_isend_irecv(operations):
        work.wait()
    return received


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, lengths: list[int], group: ProcessGroup, add_up: bool) -> torch.Tensor:
        ctx.lengths, ctx.group, ctx.add_up = lengths, group, add_up
        padded = part.new_zeros(part.shape[0], max(lengths), *part.shape[2:])
        padded[:, : part.shape[1]] = part
        received = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(received, padded, group=group)
        return torch.cat([one[:, :length] for one, length in zip(received, lengths, strict=True)], dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient = grads[0].contiguous()
        if ctx.add_up:
            gradient = gradient.clone()
            distributed.all_reduce(gradient, group=ctx.group)
        return take_part(gradient, ctx.lengths, distributed.get_rank(ctx.group)).contiguous(), None, None, None


class _Exchange(torch.autograd.Function):
    """Slice i of process j becomes slice j of process i; its own transpose."""

    @staticmethod
    def forward(ctx: Any, sent: torch.Tensor, group: ProcessGroup) -> torch.Tensor:
        ctx.group = group
        received = torch.empty_like(sent)
        distributed.all_to_all_single(received, sent, group=group)
        return received

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        sent = grads[0].contiguous()
        received = torch.empty_like(sent)
        distributed.all_to_all_single(received, sent, group=ctx.group)
        return received, None
