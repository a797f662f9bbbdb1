"""What the processes of test_context_parallel do: the joint forward and its gradients, alone and shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import shared_exchanges
from mova.distributed.collectives import gather_outputs, heads_for_tokens, part_lengths, take_part, tokens_for_heads
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.mesh import Parallel, start_parallel
from mova.errors import GeometryError
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.offload.activations import recompute_blocks

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


def parts(model: DualTower) -> dict[str, torch.nn.Module]:
    return {"video_dit": model.video_tower, "audio_dit": model.audio_tower, "bridge": model.bridge}


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
                    recompute_blocks(parts(model).values())
                shared = ContextParallel(parts(model), parallel)
                outputs, own = results(model, use_bridge)
                with torch.inference_mode():
                    velocities = model(*make_inputs(), frame_rate=24.0, use_bridge=use_bridge)
                shared.remove()
                again, _ = results(model, use_bridge)
                found[f"ring {ring} ulysses {ulysses} bridge {use_bridge} recomputed {recomputed}"] = {
                    "outputs": max(distance(a, b) for a, b in zip(outputs, expected, strict=True)),
                    "inference": max(distance(velocities.video, outputs[0]), distance(velocities.audio, outputs[1])),
                    "gradients": _sum_distance(own, gradients),
                    "removed": max(distance(a, b) for a, b in zip(again, expected, strict=True)),
                }
    found["two sizes"] = {"gradients": _two_sizes(parallel)}
    found["too few"] = {"refused": _too_few(parallel)}
    found["collectives"] = {"wrong": _collectives(rank, world)}
    found["exchanges"] = shared_exchanges.compare(rank, world)
    return found


def _sum_distance(own: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Return how far the sum of the processes' gradients is from what one process has, next to the largest of them."""
    assert set(own) <= set(expected)
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    far = 0.0
    for name, gradient in expected.items():
        total = own[name].clone() if name in own else torch.zeros_like(gradient)
        torch.distributed.all_reduce(total)
        far = max(far, float((total - gradient).abs().max()) / scale)
    return far


def _too_few(parallel: Parallel) -> float:
    model = make_model()
    ContextParallel(parts(model), parallel)
    video, audio, *others = make_inputs()
    try:
        model(video, audio[:, :, :1], *others, frame_rate=24.0)
    except GeometryError as error:
        text = f"audio must have a token for each of {parallel.context_size} processes, got 1"
        return float(str(error) == text)
    return 0.0


def _two_sizes(parallel: Parallel) -> float:
    """Two forwards of different lengths before one backward that computes both again; the bridge has no positions."""

    def gradients(shared: bool) -> dict[str, torch.Tensor]:
        model = make_model(apply_cross_rope=False)
        recompute_blocks(parts(model).values())
        if shared:
            ContextParallel(parts(model), parallel)
        video, audio, *others = make_inputs()
        loss = torch.zeros(())
        for frames, steps in ((3, 11), (2, 8)):
            velocities = model(video[:, :, :frames], audio[:, :, :steps], *others, frame_rate=24.0)
            loss = loss + velocities.video.square().mean() + (velocities.audio - 1).square().mean()
        loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    return _sum_distance(gradients(True), gradients(False))


def _collectives(rank: int, world: int) -> float:
    """Exchange there and back with parts of different lengths."""
    lengths = part_lengths(4 * world + 1, world)
    whole = torch.randn(2, sum(lengths), 2 * world, 3, generator=torch.Generator().manual_seed(2))
    group = torch.distributed.group.WORLD
    part = take_part(whole, lengths, rank).clone().requires_grad_()
    gathered = gather_outputs(part, lengths, group)
    (heads,) = heads_for_tokens([part], lengths, group)
    back = tokens_for_heads(heads, lengths, group, rank)
    (back.square().sum() + gathered.sum()).backward()
    errors = [gathered - whole, heads - whole[:, :, 2 * rank : 2 * rank + 2], back - part, part.grad - 2 * part - 1]
    return max(float(error.detach().abs().max()) for error in errors)
