"""What the processes of test_context_parallel do: the joint forward and its gradients, alone and shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mova.distributed.collectives import gather_outputs, heads_for_tokens, part_lengths, take_part, tokens_for_heads
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.mesh import start_parallel
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower

VIDEO = {"in_dim": 36, "ffn_dim": 64, "out_dim": 16, "text_dim": 24, "freq_dim": 32, "num_heads": 4, "dim": 96}
AUDIO = {"in_dim": 8, "ffn_dim": 48, "out_dim": 8, "text_dim": 24, "freq_dim": 32, "num_heads": 2, "dim": 48}


def make_model(**bridge: Any) -> DualTower:
    torch.manual_seed(0)
    return DualTower(
        VideoTower(**VIDEO, num_layers=3),
        AudioTower(**AUDIO, patch_size=(1,), num_layers=2),
        CrossModalBridge(
            visual_layers=3, audio_layers=2, visual_hidden_dim=96, audio_hidden_dim=48, head_dim=24, **bridge
        ),
    )


def make_inputs() -> list[torch.Tensor]:
    """3 x 5 x 1 = 15 video tokens and 11 audio tokens: nothing divides by 2, 4 (or 11 by 3)."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, 36, 3, 10, 2), (2, 8, 11)]
    video, audio = (torch.randn(shape, generator=generator) for shape in shapes)
    times = [torch.tensor([900.0, 120.0]), torch.tensor([300.0, 870.0])]
    return [video, audio, *times, torch.randn(2, 6, 24, generator=generator)]


def results(model: DualTower, use_bridge: bool) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    model.zero_grad()
    velocities = model(*make_inputs(), frame_rate=24.0, use_bridge=use_bridge)
    loss = velocities.video.square().mean() + 0.3 * (velocities.audio - 1).square().mean()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return [velocities.video.detach(), velocities.audio.detach()], gradients


def distance(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((mine - theirs).abs().max() / theirs.abs().max().clamp_min(1e-12))


def shared_job(rank: int, _folder: Path) -> dict[str, dict[str, float]]:
    """Return the largest relative distances of outputs and gradients from one process, for each layout."""
    world = torch.distributed.get_world_size()
    layouts = {2: [(1, 2), (2, 1)], 3: [(3, 1)], 4: [(2, 2)]}[world]
    found: dict[str, dict[str, float]] = {}
    for ring, ulysses in layouts:
        parallel = start_parallel(ring=ring, ulysses=ulysses)
        for use_bridge in (True, False):
            for recomputed in (False, True):
                model = make_model()
                expected, gradients = results(model, use_bridge)
                if recomputed:
                    model.video_tower.enable_gradient_checkpointing()
                    model.audio_tower.enable_gradient_checkpointing()
                parts = {"video_dit": model.video_tower, "audio_dit": model.audio_tower, "bridge": model.bridge}
                shared = ContextParallel(parts, parallel)
                outputs, own = results(model, use_bridge)
                shared.remove()
                for name, gradient in gradients.items():
                    own.setdefault(name, torch.zeros_like(gradient))
                for gradient in own.values():
                    torch.distributed.all_reduce(gradient)
                again, _ = results(model, use_bridge)
                scale = max(float(gradient.abs().max()) for gradient in gradients.values())
                found[f"ring {ring} ulysses {ulysses} bridge {use_bridge} recomputed {recomputed}"] = {
                    "outputs": max(distance(a, b) for a, b in zip(outputs, expected, strict=True)),
                    "gradients": max(float((own[n] - gradients[n]).abs().max()) / scale for n in gradients),
                    "removed": max(distance(a, b) for a, b in zip(again, expected, strict=True)),
                    "same names": float(set(own) == set(gradients)),
                }
    found["collectives"] = {"wrong": _collectives(rank, world)}
    return found


def _collectives(rank: int, world: int) -> float:
    """Exchange there and back with parts of different lengths."""
    lengths = part_lengths(4 * world + 1, world)
    whole = torch.randn(2, sum(lengths), 2 * world, 3, generator=torch.Generator().manual_seed(2))
    group = torch.distributed.group.WORLD
    part = take_part(whole, lengths, rank).clone().requires_grad_()
    gathered = gather_outputs(part, lengths, group)
    heads = heads_for_tokens(part, lengths, group)
    back = tokens_for_heads(heads, lengths, group, rank)
    (back.square().sum() + gathered.sum()).backward()
    errors = [gathered - whole, heads - whole[:, :, 2 * rank : 2 * rank + 2], back - part, part.grad - 2 * part - 1]
    return max(float(error.detach().abs().max()) for error in errors)
