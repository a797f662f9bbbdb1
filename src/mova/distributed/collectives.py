"""Collectives of processes that share a sample (all-gather, all-to-all, gather to rank 0, ring), with gradients.

Parts may have different lengths. Where a transport wants equal ones (all-gather, ring), zeros fill the message and are
cut off on arrival: no computation ever sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import distributed
from torch.distributed import ProcessGroup


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


def heads_for_tokens(
    parts: Sequence[torch.Tensor], lengths: Sequence[int], group: ProcessGroup
) -> tuple[torch.Tensor, ...]:
    """All-to-all: exchange all heads of parts (B, L_rank, N, E) for some heads of all parts (B, L, N / size, E).

    Several tensors go in one message to each process. What comes back are views of what was received: one token after
    the other, each with its heads of every tensor, so that tokens of all processes follow each other as they are.

    Args:
        parts: of the same shape, such as queries, keys and values.
        lengths: L_rank of each process; they need not be equal, and nothing is filled up.
        group: processes.
    """
    size = len(lengths)
    # (size, L_rank, parts, B, N / size, E): the only copy.
    split = torch.stack([part.unflatten(2, (size, -1)).permute(2, 1, 0, 3, 4) for part in parts], dim=2)
    received = _Exchange.apply(split.flatten(0, 1), [parts[0].shape[1]] * size, list(lengths), group)
    return tuple(one.transpose(0, 1) for one in received.unbind(1))


def tokens_for_heads(heads: torch.Tensor, lengths: Sequence[int], group: ProcessGroup, rank: int) -> torch.Tensor:
    """Undo `heads_for_tokens` for one tensor: (B, L, N / size, E) to (B, L_rank, N, E)."""
    size = len(lengths)
    received = _Exchange.apply(heads.transpose(0, 1).contiguous(), list(lengths), [lengths[rank]] * size, group)
    whole: torch.Tensor = received.unflatten(0, (size, -1)).permute(2, 1, 0, 3, 4).flatten(2, 3)
    return whole


class RingExchange:
    """Tensors on their way around a ring: to the next rank, and those of the previous one to here.

    What is sent must not be changed before `wait`.

    Args:
        tensors: of the same shapes on all processes.
        group: the ring; all of its processes begin the same exchanges in the same order.
        tag: tells exchanges apart that are under way at once.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], group: ProcessGroup, tag: int = 0) -> None:
        rank, size = distributed.get_rank(group), distributed.get_world_size(group)
        following, before = (distributed.get_global_rank(group, (rank + step) % size) for step in (1, -1))
        self._sent = [tensor.contiguous() for tensor in tensors]
        self._received = [torch.empty_like(tensor) for tensor in self._sent]
        operations = [
            distributed.P2POp(function, tensor, peer, group, tag)
            for mine, theirs in zip(self._sent, self._received, strict=True)
            for function, tensor, peer in (
                (distributed.isend, mine, following),
                (distributed.irecv, theirs, before),
            )
        ]
        self._works = distributed.batch_isend_irecv(operations)

    def wait(self) -> list[torch.Tensor]:
        """Return the tensors of the previous rank; on a GPU later work of the stream in use waits for them."""
        for work in self._works:
            work.wait()
        self._sent.clear()
        return self._received


def ring_exchange(tensors: Sequence[torch.Tensor], group: ProcessGroup) -> list[torch.Tensor]:
    """Send tensors to the next rank of a ring and return those of the previous one; all have the same shapes."""
    return RingExchange(tensors, group).wait()


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
    """All-to-all of rows: so many to each process, so many from each; backwards the other way."""

    @staticmethod
    def forward(ctx: Any, sent: torch.Tensor, out: list[int], back: list[int], group: ProcessGroup) -> torch.Tensor:
        ctx.splits, ctx.group = (out, back), group
        return _exchange(sent, out, back, group)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        out, back = ctx.splits
        return _exchange(grads[0].contiguous(), back, out, ctx.group), None, None, None


def _exchange(sent: torch.Tensor, out: list[int], back: list[int], group: ProcessGroup) -> torch.Tensor:
    received = sent.new_empty(sum(back), *sent.shape[1:])
    distributed.all_to_all_single(received, sent, back, out, group=group)
    return received
