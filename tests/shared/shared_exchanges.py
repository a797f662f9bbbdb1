"""Exchanges of context parallelism beside their plain forms, which send one thing after the other: the same bits, fewer
messages, and sent before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import distributed
from torch.nn import functional

from mova.distributed import collectives, partial_attention
from mova.distributed.collectives import heads_for_tokens, part_lengths, ring_exchange, tokens_for_heads
from mova.distributed.partial_attention import attend, attend_backward, ring_attention


def compare(rank: int, world: int) -> dict[str, float]:
    """Return 1.0 for each statement that holds."""
    group = distributed.group.WORLD
    found: dict[str, float] = {}
    for lengths in (part_lengths(4 * world, world), part_lengths(4 * world + 1, world)):
        for batch in (1, 2):
            # A head for each process, twice.
            q, k, v, grad = (_draw((batch, lengths[rank], 2 * world, 8), rank, seed) for seed in range(4))
            name = f"lengths {lengths} batch {batch}"
            found[f"heads, {name}"] = _same(_joint_heads, _plain_heads, (q, k, v), lengths, group)
            found[f"ring, {name}"] = _same_ring(q, k, v, grad, lengths, group)
    found |= _orders(rank, world, group)
    return found


def _draw(shape: tuple[int, ...], rank: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(10 * rank + seed))


def _joint_heads(
    parts: Sequence[torch.Tensor], lengths: list[int], group: Any
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    q, k, v = heads_for_tokens(parts, lengths, group)
    attended = functional.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v))).transpose(1, 2)
    return tokens_for_heads(attended, lengths, group, distributed.get_rank(group)), (q, k, v)


def _plain_heads(
    parts: Sequence[torch.Tensor], lengths: list[int], group: Any
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """One tensor after the other, parts filled up to one length."""
    size, rank = len(lengths), distributed.get_rank(group)

    def exchanged(part: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(part, (0, 0, 0, 0, 0, max(lengths) - part.shape[1]))
        received = _plain_exchange(padded.unflatten(2, (size, -1)).movedim(2, 0).contiguous(), group)
        return torch.cat([received[one, :, :length] for one, length in enumerate(lengths)], dim=1)

    q, k, v = (exchanged(part) for part in parts)
    attended = functional.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v))).transpose(1, 2)
    padded = [
        functional.pad(part, (0, 0, 0, 0, 0, max(lengths) - part.shape[1])) for part in attended.split(lengths, 1)
    ]
    received = _plain_exchange(torch.stack(padded).contiguous(), group)
    return received[:, :, : lengths[rank]].movedim(0, 2).flatten(2, 3), (q, k, v)


class _PlainExchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sent: torch.Tensor, group: Any) -> torch.Tensor:
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


def _plain_exchange(sent: torch.Tensor, group: Any) -> torch.Tensor:
    made: torch.Tensor = _PlainExchange.apply(sent, group)
    return made


def _same(one: Callable[..., Any], other: Callable[..., Any], parts: Any, lengths: list[int], group: Any) -> float:
    """Say whether two ways give the same bits, of what is exchanged, of results and of gradients."""
    results = []
    for way in (one, other):
        own = [part.clone().requires_grad_() for part in parts]
        output, exchanged = way(own, lengths, group)
        (output.square().sum() + output.sum()).backward()
        results.append([output, *exchanged, *(part.grad for part in own)])
    return float(all(torch.equal(mine, theirs) for mine, theirs in zip(*results, strict=True)))


def _same_ring(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, grad: torch.Tensor, lengths: list[int], group: Any
) -> float:
    own = [part.clone().requires_grad_() for part in (q, k, v)]
    output = ring_attention(*own, lengths, group)
    output.backward(grad)
    expected = _plain_ring(q, k, v, grad, lengths, group)
    return float(all(map(torch.equal, [output.detach(), *(part.grad for part in own)], expected)))


def _plain_ring(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, grad: torch.Tensor, lengths: list[int], group: Any
) -> list[torch.Tensor]:
    """Attend, then hand on, then attend; backwards keys and gradients travel together."""
    rank, size, longest = distributed.get_rank(group), len(lengths), max(lengths)
    filled = torch.stack([functional.pad(one, (0, 0, 0, 0, 0, longest - one.shape[1])) for one in (k, v)])
    block, joined = filled, None
    for step in range(size):
        length = lengths[(rank - step) % size]
        joined = partial_attention._join(joined, attend(q, block[0, :, :length], block[1, :, :length]))
        (block,) = ring_exchange([block], group)
    output, lse = joined
    block, collected, grad_q = filled, torch.zeros_like(filled), torch.zeros_like(q)
    for step in range(size):
        length = lengths[(rank - step) % size]
        parts = attend_backward(grad, q, block[0, :, :length], block[1, :, :length], output, lse)
        grad_q += parts[0]
        collected[0, :, :length] += parts[1]
        collected[1, :, :length] += parts[2]
        block, collected = ring_exchange([block, collected], group)
    return [output, grad_q, collected[0, :, : lengths[rank]], collected[1, :, : lengths[rank]]]


def _orders(rank: int, world: int, group: Any) -> dict[str, float]:
    """Note what is called in which order: attention, and what begins and ends on its way around."""
    calls: list[str] = []

    class Noted(collectives.RingExchange):
        def __init__(self, tensors: Any, group: Any, tag: int = 0) -> None:
            self.name = ("keys", "gradients")[tag]
            calls.append(f"send {self.name}")
            super().__init__(tensors, group, tag)

        def wait(self) -> list[torch.Tensor]:
            calls.append(f"wait {self.name}")
            return super().wait()

    def noted(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return function(*arguments, **options)

        return call

    plain = partial_attention.RingExchange, partial_attention.attend, partial_attention.attend_backward
    exchange = distributed.all_to_all_single
    lengths = part_lengths(4 * world, world)
    own = [_draw((1, 4, 2 * world, 8), rank, seed).requires_grad_() for seed in range(3)]
    try:
        partial_attention.RingExchange = Noted
        partial_attention.attend = noted("attend", attend)
        partial_attention.attend_backward = noted("attend", attend_backward)
        output = ring_attention(*own, lengths, group)
        forward, calls[:] = list(calls), []
        output.sum().backward()
        backward, calls[:] = list(calls), []
        distributed.all_to_all_single = noted("exchange", exchange)
        attended, received = _joint_heads(own, lengths, group)
        attended.sum().backward()
    finally:
        partial_attention.RingExchange, partial_attention.attend, partial_attention.attend_backward = plain
        distributed.all_to_all_single = exchange
    middle = ["send keys", "attend", "wait gradients", "send gradients", "wait keys"]
    return {
        "sends keys before it attends": float(
            forward == ["send keys", "attend", "wait keys"] * (world - 1) + ["attend"]
        ),
        "sends keys before it attends, backwards": float(
            backward
            == ["send keys", "attend", "send gradients", "wait keys"]
            + middle * (world - 2)
            + ["attend", "wait gradients", "send gradients", "wait gradients"]
        ),
        # There and back, forwards and backwards.
        "exchanges four times": float(calls == ["exchange"] * 4),
        "receives without a copy": float(len({one.untyped_storage().data_ptr() for one in received}) == 1),
    }
