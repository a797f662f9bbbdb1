"""Published networks with the weights of their files, on the device that computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from mova.device import choose_device
from mova.scorers.published.files import load_published

Network = TypeVar("Network", bound=nn.Module)


def opened(
    make: Callable[[], Network], path: Path, *, optional: Sequence[str] = (), ignored: Sequence[str] = ()
) -> Network:
    """Return a network with the weights of a file, still in the memory of the host and mapped where that can be.

    Args:
        make: makes the network; called where no weights are drawn.
        path: of the file; names in it may begin with "module.".
        optional: beginnings of names of the network that the file may lack; they stay without numbers then.
        ignored: beginnings of names in the file that are not looked at.

    Raises:
        ConfigError: the file is not there, is damaged, or is that of another model.
    """
    with torch.device("meta"):
        network = make()
    load_published(network, path, prefixes=("module.",), optional=optional, ignored=ignored)
    return network


def device_of(network: nn.Module) -> torch.device:
    """Return where a network computes."""
    return next(network.parameters()).device


def on_device(network: Network) -> Network:
    """Return a network where it computes: on the first GPU, or on the processor."""
    return network.to(choose_device())
