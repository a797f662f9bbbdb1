"""The processes of a run as a mesh: data parallel ones see different samples, context parallel ones share one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar, cast

import torch
from torch import distributed
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from mova.errors import ConfigError, portable

AXES = ("replicate", "shard", "ring", "ulysses")
# One process may encode clips for days while the others wait; everywhere else a long silence means that one is lost.
_WAIT = timedelta(days=30)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Parallel:
    """One process among the others; neighbours in rank share a sample first, then weights, then nothing.

    Attributes:
        replicate: data parallel copies of the sharded weights.
        shard: data parallel processes with different samples that share one copy of the weights (FSDP2).
        ring, ulysses: context parallel processes that share a sample by tokens and by heads.
        rank: number of this process, from 0.
        mesh: device mesh of all processes, axes as `AXES`; None for a process that is alone and has no process group.
        waiting: gloo group of all processes for barriers and broadcasts that may take long: no time limit applies.
        hosts: gloo group of all processes for numbers in host memory; None is the default group.
    """

    replicate: int = 1
    shard: int = 1
    ring: int = 1
    ulysses: int = 1
    rank: int = 0
    mesh: DeviceMesh | None = None
    waiting: ProcessGroup | None = None
    hosts: ProcessGroup | None = None

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return math.prod((self.replicate, self.shard, self.ring, self.ulysses))

    @property
    def context_size(self) -> int:
        """Processes that share a sample."""
        return self.ring * self.ulysses

    @property
    def context_rank(self) -> int:
        """Rank of this process among those that share its sample."""
        return self.rank % self.context_size

    @property
    def data_size(self) -> int:
        """Data parallel size: processes, or groups of processes, that see different samples."""
        return self.replicate * self.shard

    @property
    def data_rank(self) -> int:
        """Data parallel rank of this process's samples."""
        return self.rank // self.context_size

    @property
    def is_main(self) -> bool:
        """Whether this process is rank 0, which writes files and logs."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all processes, for as long as it takes."""
        if self.mesh is not None:
            distributed.barrier(self.waiting)

    def sum_over_samples(self, value: torch.Tensor) -> torch.Tensor:
        """All_reduce (sum) a tensor over the processes with different samples; those that share one count once."""
        if self.mesh is None:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.context_size

    def broadcast_flag(self, flag: bool, device: torch.device) -> bool:
        """Return rank 0's flag on every process (broadcast), so that all of them do the same."""
        if self.mesh is None:
            return flag
        sent = torch.tensor([float(flag)], device=device)
        distributed.broadcast(sent, src=0)
        return bool(sent.item())

    def all_reduce_max(self, *values: float) -> tuple[float, ...]:
        """Return the maximum of each number over all processes (all_reduce max): all of them have the same then."""
        if self.mesh is None:
            return values
        reduced = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(reduced, distributed.ReduceOp.MAX, group=self.hosts)
        return tuple(reduced.tolist())

    def broadcast(self, make: Callable[[], _T]) -> _T:
        """Make a value on rank 0 and broadcast it to all processes; the others wait for as long as it takes.

        Args:
            make: called on rank 0 only; what it returns, or raises, must be picklable.

        Raises:
            BaseException: what `make` raised, on every process.
        """
        if self.mesh is None:
            return make()
        sent: list[_Broadcast[_T] | None] = [_made(make) if self.is_main else None]
        distributed.broadcast_object_list(sent, src=0, group=self.waiting, device=torch.device("cpu"))
        received = sent[0]
        assert received is not None, "rank 0 broadcasts a value or an error"
        if received.error is not None:
            raise received.error
        return cast("_T", received.value)


ALONE: Final = Parallel()
"""One process by itself."""


@dataclass(frozen=True)
class _Broadcast(Generic[_T]):
    """What rank 0 broadcasts: a value, or the error that came instead."""

    value: _T | None = None
    error: BaseException | None = None


def _made(make: Callable[[], _T]) -> _Broadcast[_T]:
    try:
        return _Broadcast(make())
    except BaseException as error:
        # Also an interrupt: silence would let the others wait for ever.
        return _Broadcast(error=portable(error))


def leave_parallel() -> None:
    """End what `start_parallel` began, at the end of the program; nothing happens where there was nothing to join."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def start_parallel(
    *, replicate: int = 1, shard: int = 1, ring: int = 1, ulysses: int = 1, device: torch.device | str = "cpu"
) -> Parallel:
    """Join the process group of those that `torchrun` started; a process that is alone needs no process group.

    Args:
        replicate, shard, ring, ulysses: see `Parallel`; their product is the number of processes.
        device: kind of device that computes; CUDA processes take the GPU of their local rank.

    Raises:
        ConfigError: the product is not the number of processes.
    """
    sizes = {"replicate": replicate, "shard": shard, "ring": ring, "ulysses": ulysses}
    kind = torch.device(device).type
    if distributed.is_torchelastic_launched() and not distributed.is_initialized():
        if kind == "cuda":
            # Before the first exchange, or all processes of a node would use its first GPU.
            torch.cuda.set_device(distributed.get_node_local_rank(0) % torch.cuda.device_count())
        distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    present = distributed.get_world_size() if distributed.is_initialized() else 1
    if math.prod(sizes.values()) != present:
        raise ConfigError(
            f"parallel must have as many processes as were started, {present}; "
            f"got {_product(sizes)} = {math.prod(sizes.values())}; {_product(_nearest(sizes, present))} would fit"
        )
    if not distributed.is_initialized():
        return Parallel()
    mesh = init_device_mesh(kind, tuple(sizes[axis] for axis in AXES), mesh_dim_names=AXES)
    waiting = distributed.new_group(backend="gloo", timeout=_WAIT)
    hosts = distributed.new_group(backend="gloo") if kind == "cuda" else None
    return Parallel(**sizes, rank=distributed.get_rank(), mesh=mesh, waiting=waiting, hosts=hosts)


def _nearest(sizes: dict[str, int], present: int) -> dict[str, int]:
    """Give up as little as possible of what was asked for: first `shard`, then `replicate`, then the rest."""
    for kept in (("replicate", "ring", "ulysses"), ("ring", "ulysses"), ("ulysses",), ()):
        chosen = {axis: sizes[axis] if axis in kept else 1 for axis in sizes}
        if present % math.prod(chosen.values()) == 0:
            return chosen | {"shard": present // math.prod(chosen.values())}
    raise AssertionError("shard alone always fits")


def _product(sizes: dict[str, int]) -> str:
    return " x ".join(f"{name} {size}" for name, size in sizes.items())
