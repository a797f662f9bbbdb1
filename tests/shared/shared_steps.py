"""What the processes of test_fsdp do by hand: optimiser steps of two experts that share sound and bridge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from mova.distributed.context_parallel import ContextParallel
from mova.distributed.fsdp import all_reduce_gradients, full_state, shard_model, whole
from mova.distributed.mesh import Parallel, start_parallel
from mova.models.dual_tower import DualTower
from mova.models.experts import Experts
from mova.models.tower import VideoTower
from mova.offload.activations import recompute_blocks
from mova.train.build.adapters import add_adapters
from mova.train.config import OptimizerConfig
from mova.train.config.joint import AdapterConfig
from mova.train.loop.optimizer import OptimizerSet, ParameterGroup
from shared_forward import AUDIO, VIDEO, make_model, parts

# Each with its own micro-batch.
LAYOUTS: dict[int, list[tuple[dict[str, int], int]]] = {
    2: [({"shard": 2}, 1), ({"ulysses": 2}, 2)],
    4: [({"replicate": 2, "shard": 2}, 1), ({"shard": 2, "ulysses": 2}, 2)],
}
BATCH, STEPS = 4, 3
States = dict[str, dict[str, torch.Tensor]]


class Run:
    """Both experts on this process's share of the samples, alone or among others."""

    def __init__(self, parallel: Parallel, *, base: torch.dtype | None = None) -> None:
        """Train all weights, or adapters on a frozen base of a dtype."""
        self.parallel, self.base = parallel, base
        first = make_model()
        second = DualTower(VideoTower(**VIDEO, num_layers=3), first.audio_tower, first.bridge)
        self.root = Experts({"high_noise": first, "low_noise": second})
        self.components: dict[str, nn.Module] = {**parts(first), "video_dit_2": second.video_tower}
        if base is not None:
            for name, component in self.components.items():
                target = "dual_tower_bridge" if name == "bridge" else name
                component.requires_grad_(False)
                cast_weights(component, base)
                for part in add_adapters(component, target, AdapterConfig(rank=2, alpha=2)).children():
                    # Zero, as adapters begin, would leave the other side without a gradient.
                    nn.init.normal_(part.up.weight, std=0.1)
        recompute_blocks(self.components.values())
        ContextParallel(self.components, parallel)
        shard_model(self.root, self.components, parallel)
        self.trained = [p for p in self.root.parameters() if p.requires_grad]

    def backward(self, step: int, *, micro: int) -> float:
        """Gather the gradients of a step; return its loss over all processes."""
        share = BATCH // self.parallel.data_size
        first = self.parallel.data_rank * share
        total = torch.zeros(())
        for start in range(first, first + share, micro):
            samples = [_sample(step, index) for index in range(start, min(start + micro, first + share))]
            video, audio, prompt = (torch.cat(tensors) for tensors in zip(*samples, strict=True))
            level = torch.full((len(samples),), 400.0 + 100 * step)
            expert = ("high_noise", "low_noise")[step % 2]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.base == torch.bfloat16):
                found = self.root(expert, video, audio, level, level, prompt, frame_rate=24.0, use_bridge=True)
            errors = found.video.square().mean((1, 2, 3, 4)) + (found.audio - 1).square().mean((1, 2))
            loss = errors.sum() / BATCH
            loss.backward()
            total += loss.detach()
        return float(self.parallel.sum_over_samples(total))


def steps(rank: int, _folder: Path) -> dict[str, dict[str, float]]:
    """Compare every layout with one process; the first process does, and holds the whole tensors for it."""
    found: dict[str, dict[str, float]] = {}
    losses, norms, weights = _trained(Run(Parallel()), micro=BATCH) if rank == 0 else ([], [], {})
    for layout, micro in LAYOUTS[torch.distributed.get_world_size()]:
        parallel = start_parallel(**layout)
        own_losses, own_norms, own_weights = _trained(Run(parallel), micro=micro)
        found[f"{layout}"] = {
            "losses": max((abs(a / b - 1) for a, b in zip(own_losses, losses, strict=False)), default=0.0),
            "norms": max((abs(a / b - 1) for a, b in zip(own_norms, norms, strict=False)), default=0.0),
            "weights": _largest(own_weights, weights),
        }
        found[f"{layout} main process only"] = {"missing": float(set(own_weights) != set(weights))}
        for base in (torch.float32, torch.bfloat16) if parallel.shard == parallel.world_size else (torch.float32,):
            expected = _gradients(Run(Parallel(), base=base)) if rank == 0 else {}
            gradients = _gradients(Run(parallel, base=base))
            scale = max((float(gradient.abs().max()) for gradient in expected.values()), default=1.0)
            far = [float((gradients[name] - expected[name]).abs().max()) / scale for name in expected]
            found[f"{layout} adapters on {base}"] = {"gradients": max(far, default=0.0)}
    found["copies"] = {"wrong": _added_up(start_parallel(replicate=torch.distributed.get_world_size()))}
    return found


def _added_up(parallel: Parallel) -> float:
    """Add up the gradients of copies, in more than one exchange; return how far they are from their sum."""
    layers = nn.Sequential(nn.Linear(5, 3, bias=False), nn.Linear(3, 2))
    shard_model(layers, {}, parallel)
    parameters = list(layers.parameters())
    assert not any(isinstance(parameter, DTensor) for parameter in parameters)
    for place, parameter in enumerate(parameters[:2]):
        parameter.grad = torch.full_like(parameter, float((place + 1) * (parallel.rank + 1)))
    with patch("mova.distributed.fsdp._BUCKET", 4):
        all_reduce_gradients(parameters, parallel)
    assert parameters[2].grad is None, "no process has it"
    total = sum(range(1, parallel.world_size + 1))
    return max(float((p.grad - (place + 1) * total).abs().max()) for place, p in enumerate(parameters[:2]))


def _trained(run: Run, *, micro: int) -> tuple[list[float], list[float], States]:
    settings = OptimizerConfig(lr=1e-3, weight_decay=0.01, clip_norm=0.1)
    optimizer = OptimizerSet([ParameterGroup("all", run.trained)], settings)
    losses, norms = [], []
    for step in range(STEPS):
        losses.append(run.backward(step, micro=micro))
        norms.append(float(optimizer.step(1.0)))
    if run.parallel.mesh is None:
        states = {name: part.state_dict() for name, part in run.components.items()}
    else:
        states = {name: full_state(part) for name, part in run.components.items()}
    return losses, norms, {name: state for name, state in states.items() if state}


def _gradients(run: Run) -> dict[str, torch.Tensor]:
    for step in range(2):
        run.backward(step, micro=2)
    return {name: whole(p.grad) for name, p in run.root.named_parameters() if p.requires_grad}


def cast_weights(component: nn.Module, dtype: torch.dtype) -> None:
    """Cast all weights but those that the model keeps in float32."""
    kept = component._keep_in_fp32_modules
    for name, parameter in component.named_parameters():
        if not any(part in name.split(".") for part in kept):
            parameter.data = parameter.data.to(dtype)


def _sample(step: int, index: int) -> Iterator[torch.Tensor]:
    """Draw a sample from its place in the whole batch alone."""
    generator = torch.Generator().manual_seed(1000 * step + index)
    shapes = [(1, VIDEO["in_dim"], 3, 10, 2), (1, AUDIO["in_dim"], 11), (1, 6, VIDEO["text_dim"])]
    return (torch.randn(shape, generator=generator) for shape in shapes)


def _largest(mine: States, theirs: States) -> float:
    """Return the largest distance of two weights, next to the largest weight of their component."""
    far = 0.0
    for name, state in theirs.items():
        scale = max(float(tensor.abs().max()) for tensor in state.values())
        assert set(mine[name]) == set(state)
        far = max(far, *(float((mine[name][key] - state[key]).abs().max()) / scale for key in state))
    return far
