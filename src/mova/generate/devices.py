"""Which device computes where nobody says it, and whether one that was asked for is there."""

from __future__ import annotations

import torch

from mova.errors import ConfigError
from mova.files.json_file import shorten

DEVICES = ("cpu", "cuda", "mps")


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
