"""Which device computes where nobody says it, and whether one that was asked for is there."""

from __future__ import annotations

import torch

from mova.checks import Precision
from mova.errors import ConfigError
from mova.files.json_file import shorten

DEVICES = ("cpu", "cuda", "mps")

Compute = Precision
"""In which dtype matrix products are computed in mixed precision."""


def choose_device(wanted: torch.device | str | int | None = None) -> torch.device:
    """Return the device that computes.

    Args:
        wanted: "cpu", "cuda", "cuda:1", "mps", a device, or the number of a GPU; None (or "auto") takes the first GPU
            where there is one that torch can use through CUDA, else the CPU, as the command does.

    Raises:
        ConfigError: a device of another kind, or one that is not there.
    """
    if wanted is None or wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {shorten(wanted)}") from error
    if device.type not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {device}; nearest is cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device must be there, got {device} where torch finds {torch.cuda.device_count()} GPUs")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device must be there, got mps where torch finds none; nearest is cpu")
    return device


def own_device(place: int, here: int) -> torch.device:
    """Return the device of a process: the GPU of its place on this machine, or the CPU where there is no GPU.

    Args:
        place: among the processes of this machine.
        here: processes of this machine, as far as is known.

    Raises:
        ConfigError: fewer GPUs than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    present = torch.cuda.device_count()
    if here > present:
        raise ConfigError(f"gpus must be at most those of this machine, {present}; got {here}; nearest is {present}")
    torch.cuda.set_device(place)
    torch.cuda.init()
    return torch.device("cuda", place)


def autocast(device: torch.device, compute: str) -> torch.autocast:
    """Return the mixed-precision region that a recipe asks for; "auto" takes bfloat16 on a GPU only."""
    enabled = compute == "bfloat16" or (compute == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
