"""Parameter groups, optimisers and learning-rate schedules counted in optimiser steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from mova.distributed.fsdp import whole
from mova.errors import ConfigError, MissingExtraError
from mova.train.config import OptimizerConfig
from mova.train.loop.muon import Muon


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a multiple of the base learning rate.

    Attributes:
        name: for logs and errors.
        parameters: trained together.
        lr_scale: 1.0 for the towers, 2.0 for the bridge (paper, table 7).
        matrices: whether kernels of two or more dimensions go to Muon when the recipe asks for it. False for first and
            last layers, whose rows are not features.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    matrices: bool = True


class OptimizerSet:
    """One or two optimisers stepped as one: AdamW alone, or Muon for matrices with AdamW for the rest.

    Attributes:
        lr: rate of the last step at the towers (of the matrices, with Muon); other groups have multiples of it.
    """

    def __init__(self, groups: Sequence[ParameterGroup], config: OptimizerConfig) -> None:
        self.config = config
        adamw: list[dict[str, Any]] = []
        muon: list[dict[str, Any]] = []
        for group in groups:
            wants_muon = config.name == "muon" and group.matrices
            matrices = [p for p in group.parameters if wants_muon and p.ndim >= 2]
            # A bias or a gain is not decayed: it holds no excess capacity.
            decayed = [p for p in group.parameters if not (wants_muon and p.ndim >= 2) and p.ndim >= 2]
            plain = [p for p in group.parameters if p.ndim < 2]
            if matrices:
                muon.append({"params": matrices, "base_lr": config.lr * group.lr_scale})
            rate = (config.adamw_lr if config.name == "muon" else config.lr) * group.lr_scale
            for members, decay in ((decayed, config.weight_decay), (plain, 0.0)):
                if members:
                    adamw.append({"params": members, "base_lr": rate, "weight_decay": decay})
        self.optimizers: list[torch.optim.Optimizer] = []
        if adamw:
            self.optimizers.append(_adamw(adamw, config))
        if muon and any(isinstance(p, DTensor) for group in muon for p in group["params"]):
            raise ConfigError(
                "optimizer.name muon needs whole matrices, got sharded ones; use adamw, or parallel.replicate alone"
            )
        if muon:
            self.optimizers.append(Muon(muon, weight_decay=config.weight_decay))
        self.parameters = [p for group in groups for p in group.parameters]
        self.lr = 0.0

    def step(self, lr_factor: float) -> torch.Tensor:
        """Clip the gradients, update, clear them; return the gradient norm before clipping (a scalar tensor)."""
        self.lr = self.config.lr * lr_factor
        norm = whole(torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * lr_factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm


def _adamw(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    if config.name == "adamw8bit":
        try:
            from bitsandbytes.optim import AdamW8bit
        except ModuleNotFoundError as error:
            raise MissingExtraError("bitsandbytes", "quantize") from error
        eight_bit: torch.optim.Optimizer = AdamW8bit(groups, lr=config.lr, betas=config.betas, eps=config.eps)
        return eight_bit
    fused = any(p.is_cuda for group in groups for p in group["params"])
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)


def lr_factor(step: int, progress: float, config: OptimizerConfig) -> float:
    """Return the multiple of the base rate at a step.

    Args:
        step: optimiser steps done.
        progress: share of the run that is done, in [0, 1].
        config: `warmup_steps` and the shape of the schedule. "warmup_stable_decay" is constant, then falls linearly
            over the last `decay_share` of the run. What falls, falls to `final_lr_share`.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    progress = min(max(progress, 0.0), 1.0)
    match config.schedule:
        case "constant":
            shape = 1.0
        case "cosine":
            shape = 0.5 * (1 + math.cos(math.pi * progress))
        case "warmup_stable_decay":
            shape = min(1.0, (1 - progress) / config.decay_share)
    last = 0.0 if config.schedule == "constant" else config.final_lr_share
    return warm * (last + (1 - last) * shape)
