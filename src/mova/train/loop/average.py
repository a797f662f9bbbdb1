"""Averaged weights of a run, which are what it validates and leaves behind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mova.distributed.fsdp import local


class WeightAverage:
    """Exponential moving average with a ramp: decay at step n is min(decay, (1 + n) / (10 + n)).

    diffusers' EMAModel keeps a copy besides and copies thrice per swap; here the two sets trade places.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters: list[torch.Tensor] = [p for p in parameters if p.requires_grad]
        self.decay = decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        move = get_ema_multi_avg_fn(decay)
        move([local(one) for one in self.shadow], [local(one) for one in self.parameters], step)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and current weights."""
        for parameter, shadow in zip(self.parameters, self.shadow, strict=True):
            current = parameter.detach().clone()
            parameter.copy_(shadow)
            shadow.copy_(current)
