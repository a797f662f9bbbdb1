"""Data parallel training: sharded weights (FSDP2), gathered part by part for use, or whole copies with all_reduce.

Where every process holds all weights there is nothing to gather: parts stay as they are, and gradients are summed
once per optimiser step (`all_reduce_gradients`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from mova.distributed.mesh import Parallel
from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower

# Gradients of so many numbers travel at once: few exchanges, and little memory beside the gradients.
_BUCKET = 2**24


def shard_model(root: nn.Module, components: Mapping[str, nn.Module], parallel: Parallel) -> None:
    """Spread the parameters of towers and bridge over all processes of a copy, part by part.

    Parts are gathered in their own dtype. Gradients are added up in float32 over all processes, also over those that
    share a sample and over the copies: each gives the share of the loss that its samples have. Copies that are not
    spread are left alone; `all_reduce_gradients` is for them.

    Args:
        root: whose forward calls all of them.
        components: towers and bridge by name, all inside `root`.
        parallel: this process among the others; alone, nothing happens.
    """
    if parallel.mesh is None or num_shards(parallel) == 1:
        return
    # About in-place changes of what a part returns; nothing here makes any, and there would be one for every part.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    settings: dict[str, Any] = {"mesh": _mesh(parallel), "mp_policy": policy}
    for component in components.values():
        if isinstance(component, DiTTower):
            for part in (*component.blocks, *(child for name, child in component.named_children() if name != "blocks")):
                fully_shard(part, **settings)
        elif isinstance(component, CrossModalBridge):
            for directions in (component.audio_to_video_conditioners, component.video_to_audio_conditioners):
                for conditioner in directions:
                    fully_shard(conditioner, **settings)
            fully_shard(component, **settings)
    fully_shard(root, **settings)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # Sums, which every backend has; averaging afterwards would undo them.
            module.set_force_sum_reduction_for_comms(True)


def num_shards(parallel: Parallel) -> int:
    """Return over how many processes each weight is spread; those that are neighbours in rank hold one copy."""
    return parallel.world_size // parallel.replicate


def all_reduce_gradients(parameters: Iterable[torch.Tensor], parallel: Parallel) -> None:
    """All_reduce (sum) gradients of whole weights over all processes, in place; sharded weights have theirs already.

    Args:
        parameters: parameters to look at; every process must have gradients of the same ones.
        parallel: this process among the others.
    """
    if parallel.mesh is None:
        return
    buckets: list[list[torch.Tensor]] = [[]]
    for gradient in (p.grad for p in parameters if p.grad is not None and not isinstance(p.grad, DTensor)):
        if sum(member.numel() for member in buckets[-1]) > _BUCKET:
            buckets.append([])
        buckets[-1].append(gradient)
    for bucket in filter(None, buckets):
        total = torch.cat([gradient.flatten() for gradient in bucket])
        distributed.all_reduce(total)
        pieces = total.split([gradient.numel() for gradient in bucket])
        torch._foreach_copy_(bucket, [piece.view_as(own) for piece, own in zip(pieces, bucket, strict=True)])


def full_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's whole tensors on the CPU of rank 0, nothing on the others; all must call this."""
    is_main = not distributed.is_initialized() or distributed.get_rank() == 0
    state = {}
    for name, tensor in module.state_dict().items():
        # One after the other, and copied on one process only: the memory of a node must not hold one model for each.
        gathered = whole(tensor.detach())
        if is_main:
            state[name] = gathered.cpu()
    return state


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return the part of a tensor that this process holds: all of it, where it is not sharded."""
    part: torch.Tensor = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return part


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return all of a tensor; every process must call this."""
    full: torch.Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full


def _mesh(parallel: Parallel) -> DeviceMesh:
    assert parallel.mesh is not None, "several processes have a mesh"
    shards = num_shards(parallel)
    kind = parallel.mesh.device_type
    if parallel.replicate == 1:
        return init_device_mesh(kind, (shards,), mesh_dim_names=("shard",))
    assert distributed.get_world_size() == parallel.world_size
    return init_device_mesh(kind, (parallel.replicate, shards), mesh_dim_names=("replicate", "shard"))
