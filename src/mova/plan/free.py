"""How much memory a machine has left, and what running out of it looks like."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import torch

from mova.plan.memory import Room

_CGROUP = Path("/sys/fs/cgroup")


def room_of(device: torch.device) -> Room:
    """Return what is free on a device and on the host."""
    host_bytes, gpu_bytes = free_host_bytes(), free_gpu_bytes(device)
    if gpu_bytes is None:
        return Room(host_bytes, host_bytes, is_gpu=False)
    return Room(gpu_bytes, host_bytes, is_gpu=True)


def free_gpu_bytes(device: torch.device) -> int | None:
    """Return the bytes that a computation may take on a GPU, with those that torch holds unused; None elsewhere."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def free_host_bytes(cgroup: Path = _CGROUP) -> int:
    """Return the host memory that can still be had: of the machine, or of the container that this process runs in."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((cgroup / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        # Pages of files can be had back at once.
        cached = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return free if limit == "max" else min(free, int(limit) - int(used) + int(cached.get("file", 0)))
    except (OSError, ValueError):
        return free


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory has run out, of a GPU or of the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def release_memory() -> None:
    """Give back what nobody refers to any more."""
    # What a quick start has set aside is to be found again.
    gc.unfreeze()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
