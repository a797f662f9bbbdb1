"""Which lengths and which backward passes the context parallelism of diffusers, of torch and of this package can do.

    .venv/bin/python benchmarks/probe_context_parallel.py

Figures of docs/decisions/0006-context-parallelism.md. Two processes on a CPU share the tokens of one self-attention:
16, which both can halve, or 15, which they cannot. Outputs and gradients are compared with those of one alone.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from diffusers import ContextParallelConfig
from diffusers.hooks.context_parallel import EquipartitionSharder, PartitionAnythingSharder
from diffusers.models._modeling_parallel import ParallelConfig
from diffusers.models.attention_dispatch import (
    TemplatedRingAnythingAttention,
    attention_backend,
    dispatch_attention_fn,
)
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.experimental import context_parallel
from torch.distributed.tensor.experimental._attention import _cp_options
from torch.nn import functional

from mova.distributed.collectives import heads_for_tokens, part_lengths, take_part, tokens_for_heads
from mova.distributed.launch import launch
from mova.distributed.partial_attention import ring_attention

WORLD = 2
Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
# From queries, keys and values of all tokens, and whether gradients are wanted, to what this process's tokens attend
# to, and the gradients of its queries, keys and values.
Attend = Callable[[Heads, bool], list[torch.Tensor]]


def attend_whole(*heads: torch.Tensor) -> torch.Tensor:
    """Return attention (B, L, N, E) of one process."""
    q, k, v = (tensor.transpose(1, 2) for tensor in heads)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def learnt(attend: Callable[..., torch.Tensor], own: Sequence[torch.Tensor], backward: bool) -> list[torch.Tensor]:
    """Return what these tokens attend to, and the gradients of a loss if they are wanted."""
    leaves = [tensor.detach().requires_grad_(backward) for tensor in own]
    found = attend(*leaves)
    if not backward:
        return [found]
    found.square().sum().backward()
    return [found.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def by_diffusers(backend: str, **options: object) -> Attend:
    """Return diffusers' attention with a `ContextParallelConfig`."""

    def attend(heads: Heads, backward: bool) -> list[torch.Tensor]:
        config = ContextParallelConfig(**options)
        mesh = init_device_mesh("cpu", config.mesh_shape, mesh_dim_names=config.mesh_dim_names)
        config.setup(distributed.get_rank(), WORLD, torch.device("cpu"), mesh)
        cut = EquipartitionSharder.shard
        if config.ulysses_anything or config.ring_anything:
            cut = PartitionAnythingSharder.shard_anything
        own = [cut(tensor, 1, config._flattened_mesh) for tensor in heads]
        shared = partial(dispatch_attention_fn, parallel_config=ParallelConfig(context_parallel_config=config))
        with attention_backend(backend):
            return learnt(shared, own, backward)

    return attend


def by_torch(heads: Heads, backward: bool) -> list[torch.Tensor]:
    """Attend inside torch's context manager, which cuts the buffers that it is given in place."""
    own = [tensor.detach().transpose(1, 2).clone() for tensor in heads]
    # Else tokens are dealt out from both ends, for causal masks.
    _cp_options.enable_load_balance = False
    with context_parallel(init_device_mesh("cpu", (WORLD,)), buffers=own, buffer_seq_dims=[2, 2, 2]):
        found = learnt(functional.scaled_dot_product_attention, [tensor.clone() for tensor in own], backward)
    return [one.transpose(1, 2) for one in found]


def by_mova(heads: Heads, backward: bool, *, ring: bool) -> list[torch.Tensor]:
    """Attend with the parts of `ContextParallel`."""
    lengths = part_lengths(heads[0].shape[1], WORLD)
    group, rank = distributed.group.WORLD, distributed.get_rank()

    def attend(*own: torch.Tensor) -> torch.Tensor:
        if ring:
            return ring_attention(own[0], own[1], own[2], lengths, group)
        q, k, v = heads_for_tokens(own, lengths, group)
        return tokens_for_heads(attend_whole(q, k, v), lengths, group, rank)

    return learnt(attend, [take_part(tensor, lengths, rank) for tensor in heads], backward)


ATTEMPTS: dict[str, Attend] = {
    "diffusers, ulysses_degree=2": by_diffusers("native", ulysses_degree=2),
    "diffusers, ulysses_degree=2, ulysses_anything": by_diffusers("native", ulysses_degree=2, ulysses_anything=True),
    "diffusers, ring_degree=2, native": by_diffusers("native", ring_degree=2),
    "diffusers, ring_degree=2, _native_flash": by_diffusers("_native_flash", ring_degree=2),
    "diffusers, ring_degree=2, ring_anything": by_diffusers("_native_flash", ring_degree=2, ring_anything=True),
    "torch, context_parallel": by_torch,
    "mova, ulysses": partial(by_mova, ring=False),
    "mova, ring": partial(by_mova, ring=True),
}


def attempts(name: str, length: int) -> list[str]:
    """Return how far this process is from one alone, or the error, without and with a backward pass."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    return [attempt(ATTEMPTS[name], length, backward) for backward in (False, True)]


def attempt(attend: Attend, length: int, backward: bool) -> str:
    generator = torch.Generator().manual_seed(0)
    whole = [torch.randn(1, length, 4, 8, generator=generator) for _ in range(3)]
    lengths, rank = part_lengths(length, WORLD), distributed.get_rank()
    expected = [take_part(one, lengths, rank) for one in learnt(attend_whole, whole, backward)]
    try:
        found = attend((whole[0], whole[1], whole[2]), backward)
        worst = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
    except Exception as error:
        return said(error)
    return "yes" if worst < 1e-5 else f"off by {worst:.0e}"


def said(error: Exception) -> str:
    """Return the kind of an error and the beginning of its first line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:110]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ATTEMPTS, help="one attempt; all take three minutes")
    only = parser.parse_args().only
    sys.stdout.write("| | 16 tokens | backward | 15 tokens | backward |\n| --- | --- | --- | --- | --- |\n")
    for name in [only] if only else ATTEMPTS:
        cells: list[str] = []
        for length in (16, 15):
            # Processes of its own for each, as one that fails may leave the other waiting.
            try:
                cells += launch(WORLD, attempts, name, length)
            except Exception as error:
                cells += [said(error)] * 2
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()
    try:
        # It is not reached here, as the forward needs a GPU.
        TemplatedRingAnythingAttention.backward(None, None)
    except Exception as error:
        sys.stdout.write(f"\nThe backward pass of diffusers' ring_anything, called alone: {said(error)}\n")


if __name__ == "__main__":
    main()
