"""Muon: momentum made orthogonal, for convolution kernels and matrices.

`torch.optim.Muon` takes two-dimensional parameters only and computes in bfloat16, which a CPU without such
instructions emulates (many times slower); this one flattens kernels to (out, rest), batches equal shapes and computes
in float32 on such a CPU.
Source of the method: Jordan et al. 2024, "Muon: an optimizer for hidden layers".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

from mova.device import multiplies_bfloat16

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov look-ahead, then the nearest orthogonal matrix as the update.

    Args:
        params: parameters of two or more dimensions; all but the first are flattened.
        lr: the update has the root mean square of AdamW's at this rate (scale 0.2 * sqrt(larger side)).
        momentum: decay of the gradient average.
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Apply one update to every parameter that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(average, group["momentum"]).flatten(1)
                by_shape[ahead.shape].append((parameter, ahead))
            for shape, members in by_shape.items():
                updates = orthogonalise(torch.stack([ahead for _, ahead in members]))
                scale = 0.2 * max(shape) ** 0.5
                for (parameter, _), update in zip(members, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter).to(parameter.dtype), alpha=-group["lr"] * scale)
        return loss


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Push the singular values of matrices towards 1 (to between 0.6 and 1.3) by Newton-Schulz iterations.

    Args:
        matrices: (N, rows, columns), each of any scale.

    Returns:
        (N, rows, columns) float32; computed in bfloat16 where the device multiplies it.
    """
    first, second, third = _COEFFICIENTS
    x = matrices.to(torch.bfloat16 if matrices.is_cuda or multiplies_bfloat16() else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = first * x + (second * gram + third * gram @ gram) @ x
    result: torch.Tensor = x.mT if tall else x
    return result.float()
