"""Which device a process of several computes on."""

from __future__ import annotations

import os

import torch

from mova.errors import ConfigError


def own_device() -> torch.device:
    """Return this process's device: the GPU of its place on this machine, or the CPU where there is no GPU.

    The place is in the environment (`LOCAL_RANK`, `LOCAL_WORLD_SIZE`), as `torchrun` leaves it.

    Raises:
        ConfigError: fewer GPUs than processes on this machine.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    place, here = (int(os.environ.get(name, default)) for name, default in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)))
    present = torch.cuda.device_count()
    if here > present:
        raise ConfigError(f"gpus must be at most those of this machine, {present}; got {here}; nearest is {present}")
    torch.cuda.set_device(place)
    return torch.device("cuda", place)
