"""Attention to a context that lies on several processes, exactly: parts are joined by their log-sum-exp.

With the output and the log-sum-exp of the whole, the gradients of each part follow by themselves (as in ring attention,
Liu et al., arXiv 2310.01889), so that no process ever holds the whole context.

Shapes: B batch, L queries, K keys, N heads, E head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import distributed
from torch.distributed import ProcessGroup
from torch.nn import functional

from mova.distributed.collectives import RingExchange

# Two exchanges of a ring that are under way at once.
_KEYS, _GRADIENTS = 0, 1
_HALF = (torch.float16, torch.bfloat16)
Gradients = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def ring_attention(
    q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, lengths: Sequence[int], group: ProcessGroup
) -> torch.Tensor:
    """Attend from own queries to the keys of all processes of a ring, which hand them on one by one.

    Args:
        q_BLNE: queries of this process.
        k_BKNE, v_BKNE: keys and values of this process.
        lengths: K of each process.
        group: the ring.

    Returns:
        (B, L, N, E).
    """
    return cast("torch.Tensor", _Ring.apply(q_BLNE, k_BKNE, v_BKNE, list(lengths), group))


def spread_attention(
    q_BLNE: torch.Tensor, k_BKNE: torch.Tensor, v_BKNE: torch.Tensor, group: ProcessGroup
) -> torch.Tensor:
    """Attend from the same queries on every process to keys that stay where they are.

    Args:
        q_BLNE: equal on all processes; backward, each gets the gradient that its own keys give.
        k_BKNE, v_BKNE: keys and values of this process; their number may differ.
        group: the processes.

    Returns:
        (B, L, N, E), equal on all processes; their gradients are added up.
    """
    return cast("torch.Tensor", _Spread.apply(q_BLNE, k_BKNE, v_BKNE, group))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return attention (B, L, N, E) and its log-sum-exp (B, L, N) float32; no gradients."""
    heads = [tensor.transpose(1, 2) for tensor in (q, k, v)]
    if q.is_cuda and q.dtype in _HALF:
        output, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(*heads)
    elif q.is_cuda:
        output, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(*heads, None, True)
        # This kernel rounds the number of queries up.
        lse = lse[..., : q.shape[1]]
    else:
        output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*heads)
        lse = lse if lse.shape[1] == q.shape[2] else lse.transpose(1, 2)
    return output.transpose(1, 2), lse.transpose(1, 2).float()


def attend_backward(
    grad: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor
) -> Gradients:
    """Return what some keys give to the gradients of queries, keys and values.

    Args:
        grad, out: (B, L, N, E) of the whole context.
        q, k, v: queries, and this part's keys and values.
        lse: (B, L, N) of the whole context.
    """
    if q.is_cuda and q.dtype in _HALF:
        return _flash_backward(grad, q, k, v, out, lse)
    # A backward pass inside autocast must not round what the log-sum-exp was not rounded to.
    with torch.autocast(q.device.type, enabled=False):
        return _plain_backward(grad, q, k, v, out, lse)


def _flash_backward(
    grad: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor
) -> Gradients:
    heads = [tensor.transpose(1, 2) for tensor in (grad.to(q.dtype).contiguous(), q, k, v, out)]
    # The kernel makes the weights anew from the log-sum-exp, so that of the whole context gives this part's share.
    # Cumulative lengths are for packed batches; the state of the generator is read for dropout only.
    unread = torch.zeros(2, dtype=torch.uint64, device=q.device)
    parts = torch.ops.aten._scaled_dot_product_flash_attention_backward(
        *heads, lse.transpose(1, 2).contiguous(), None, None, q.shape[1], k.shape[1], 0.0, False, unread, unread[0]
    )
    return tuple(one.transpose(1, 2) for one in parts)  # type: ignore[return-value]


def _plain_backward(
    grad: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, lse: torch.Tensor
) -> Gradients:
    scale = q.shape[-1] ** -0.5
    q_, k_, v_, grad_, out_ = (tensor.float().transpose(1, 2) for tensor in (q, k, v, grad, out))
    # In slices of queries: the weights of all of them at once would not fit.
    step = max(1, _ELEMENTS // max(1, q_.shape[0] * q_.shape[1] * k_.shape[2]))
    grad_q, grad_k, grad_v = torch.zeros_like(q_), torch.zeros_like(k_), torch.zeros_like(v_)
    rows = lse.transpose(1, 2).unsqueeze(-1)
    for start in range(0, q_.shape[2], step):
        at = slice(start, start + step)
        weights = torch.exp(q_[:, :, at] @ k_.mT * scale - rows[:, :, at])
        delta = (grad_[:, :, at] * out_[:, :, at]).sum(-1, keepdim=True)
        inner = weights * (grad_[:, :, at] @ v_.mT - delta) * scale
        grad_v += weights.mT @ grad_[:, :, at]
        grad_k += inner.mT @ q_[:, :, at]
        grad_q[:, :, at] = inner @ k_
    return tuple(one.transpose(1, 2) for one in (grad_q, grad_k, grad_v))  # type: ignore[return-value]


_ELEMENTS = 2**24


def _join(
    one: tuple[torch.Tensor, torch.Tensor] | None, other: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    if one is None:
        return other[0].float(), other[1]
    lse = torch.logaddexp(one[1], other[1])
    output = torch.exp(one[1] - lse).unsqueeze(-1) * one[0] + torch.exp(other[1] - lse).unsqueeze(-1) * other[0]
    return output, lse


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int], group: ProcessGroup
    ) -> torch.Tensor:
        rank, size = distributed.get_rank(group), len(lengths)
        block = torch.stack((_filled(k, max(lengths)), _filled(v, max(lengths))))
        joined: tuple[torch.Tensor, torch.Tensor] | None = None
        for step in range(size):
            # The next keys travel while these are attended to.
            moving = RingExchange([block], group, _KEYS) if step < size - 1 else None
            length = lengths[(rank - step) % size]
            joined = _join(joined, attend(q, block[0, :, :length], block[1, :, :length]))
            if moving:
                (block,) = moving.wait()
        assert joined is not None
        output, lse = joined[0].to(q.dtype), joined[1]
        ctx.save_for_backward(q, k, v, output, lse)
        ctx.lengths, ctx.group = lengths, group
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, output, lse = ctx.saved_tensors
        lengths, group = ctx.lengths, ctx.group
        rank, size = distributed.get_rank(group), len(lengths)
        block = torch.stack((_filled(k, max(lengths)), _filled(v, max(lengths))))
        collected = torch.zeros_like(block, dtype=torch.float32)
        grad_q = torch.zeros_like(q, dtype=torch.float32)
        collecting: RingExchange | None = None
        for step in range(size):
            moving = RingExchange([block], group, _KEYS) if step < size - 1 else None
            length = lengths[(rank - step) % size]
            parts = attend_backward(grads[0], q, block[0, :, :length], block[1, :, :length], output, lse)
            # Gradients follow their keys one step behind, while the next ones are computed.
            if collecting:
                (collected,) = collecting.wait()
            grad_q += parts[0]
            collected[0, :, :length] += parts[1]
            collected[1, :, :length] += parts[2]
            collecting = RingExchange([collected], group, _GRADIENTS)
            if moving:
                (block,) = moving.wait()
        assert collecting is not None
        # After as many steps as there are processes the gradients are back with their keys.
        (collected,) = collecting.wait()
        own = lengths[rank]
        return grad_q.to(q.dtype), collected[0, :, :own].to(k.dtype), collected[1, :, :own].to(v.dtype), None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, group: ProcessGroup) -> torch.Tensor:
        own, own_lse = attend(q, k, v)
        highest = own_lse.clone()
        distributed.all_reduce(highest, distributed.ReduceOp.MAX, group=group)
        weight = torch.exp(own_lse - highest)
        # Numerator and denominator in one message.
        sums = torch.cat((own.float() * weight.unsqueeze(-1), weight.unsqueeze(-1)), dim=-1).contiguous()
        distributed.all_reduce(sums, group=group)
        output = (sums[..., :-1] / sums[..., -1:]).to(q.dtype)
        ctx.save_for_backward(q, k, v, output, highest + sums[..., -1].log())
        ctx.group = group
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, output, lse = ctx.saved_tensors
        gradient = grads[0].float().contiguous().clone()
        distributed.all_reduce(gradient, group=ctx.group)
        grad_q, grad_k, grad_v = attend_backward(gradient, q, k, v, output, lse)
        return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype), None


def _filled(tensor: torch.Tensor, length: int) -> torch.Tensor:
    if tensor.shape[1] == length:
        return tensor
    return functional.pad(tensor, (0, 0, 0, 0, 0, length - tensor.shape[1]))
