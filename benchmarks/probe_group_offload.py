"""What diffusers' group offload does with two towers and a bridge, beside the streaming of blocks here.

    .venv/bin/python benchmarks/probe_group_offload.py

Figures of docs/decisions/0005-block-streaming.md. Small components with random weights; the device is the CPU, so what
counts is what is computed and which bytes are written, not time. Weights that have left the device are filled with
NaN: whatever reads them shows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from diffusers.hooks.group_offloading import (
    GroupOffloadingConfig,
    GroupOffloadingType,
    ModuleGroup,
    _apply_lazy_group_offloading_hook,
)
from torch import nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.offload.activations import recompute_blocks
from mova.offload.streaming import BlockStreamer, block_sequences

CPU = torch.device("cpu")
SHARED = {"text_dim": 32, "freq_dim": 32, "num_layers": 4}
# Velocities of the video, and the gradient of the latents that entered.
Found = tuple[torch.Tensor, torch.Tensor | None]


def make_model() -> DualTower:
    """Return frozen towers and a bridge of 4 layers, always the same."""
    torch.manual_seed(0)
    model = DualTower(
        VideoTower(dim=96, in_dim=36, ffn_dim=192, out_dim=16, num_heads=4, **SHARED),
        AudioTower(dim=48, in_dim=8, ffn_dim=96, out_dim=8, num_heads=2, **SHARED),
        CrossModalBridge(4, 4, visual_hidden_dim=96, audio_hidden_dim=48, head_dim=24),
    )
    return model.requires_grad_(False)


def components(model: DualTower) -> list[nn.Module]:
    return [model.video_tower, model.audio_tower, model.bridge]


def run(model: DualTower, *, backward: bool = False) -> Found:
    """Call the joint forward once, with a loss and its gradients if they are wanted."""
    generator = torch.Generator().manual_seed(1)
    video, audio = torch.randn(1, 36, 3, 4, 6, generator=generator), torch.randn(1, 8, 25, generator=generator)
    times, texts = torch.tensor([500.0]), torch.randn(1, 5, 32, generator=generator)
    video.requires_grad_(backward)
    with torch.set_grad_enabled(backward):
        velocities = model(video, audio, times, times, texts, frame_rate=24.0)
        if backward:
            (velocities.video.square().mean() + velocities.audio.square().mean()).backward()
    return velocities.video.detach(), video.grad


def compared(found: Found) -> str:
    """Return the largest differences from what resident weights give, relative to the largest value."""
    backward = found[1] is not None
    expected = run(make_model(), backward=backward)
    pairs = zip(("velocities", "gradient"), found, expected, strict=True)
    return ", ".join(
        f"{name} off by {float((one - other).abs().max() / other.abs().max()):.0e}"
        for name, one, other in pairs
        if one is not None and other is not None
    )


@contextmanager
def spoiled() -> Iterator[None]:
    """Fill what diffusers leaves in the place of offloaded weights with NaN instead of whatever was in that memory."""
    offload = ModuleGroup.offload_

    def offload_and_spoil(group: ModuleGroup) -> None:
        offload(group)
        for tensor in group.tensor_to_key:
            tensor.data.fill_(float("nan"))

    ModuleGroup.offload_ = offload_and_spoil
    try:
        yield
    finally:
        ModuleGroup.offload_ = offload


def offloaded(model: DualTower, folder: str, offload_type: str = "block_level") -> DualTower:
    """Let diffusers offload all components to files, block by block or layer by layer."""
    for number, component in enumerate(components(model)):
        component.enable_group_offload(
            onload_device=CPU,
            offload_device=CPU,
            offload_type=offload_type,
            num_blocks_per_group=1 if offload_type == "block_level" else None,
            offload_to_disk_path=str(Path(folder) / str(number)),
        )
    return model


def forward(folder: str) -> str:
    said = compared(run(offloaded(make_model(), folder)))
    written = sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in make_model().parameters())
    return f"{said}; {written / weights:.0%} of the bytes of all weights written to files of its own"


def backward(folder: str) -> str:
    return compared(run(offloaded(make_model(), folder), backward=True))


def recomputed_inside(folder: str) -> str:
    model = make_model()
    recompute_blocks(components(model))
    return compared(run(offloaded(model, folder), backward=True))


def recomputed_outside(folder: str, *, early_stop: bool) -> str:
    model = offloaded(make_model(), folder)
    for component in components(model):
        for block in [block for lane in block_sequences(component) for block in lane]:
            # The hooks are inside of what is computed again.
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    with set_checkpoint_early_stop(early_stop):
        found = run(model, backward=True)
    left = sum(not torch.isnan(block.modulation).any() for block in model.video_tower.blocks)
    return f"{compared(found)}; {left} of {len(model.video_tower.blocks)} video blocks still on the device"


def trained(folder: str) -> str:
    model = offloaded(make_model(), folder)
    before = run(model)[0]
    for block in model.video_tower.blocks:
        block.self_attn.norm_q.weight.data.fill_(3.0)
    return "lost" if torch.equal(run(model)[0], before) else "kept"


def prefetched(folder: str) -> str:
    """Count layers that know which follows, with the hook that `use_stream=True` adds; streams need a GPU."""
    counts = []
    for joint in (False, True):
        model = offloaded(make_model(), f"{folder}/{joint}", offload_type="leaf_level")
        tower = model.video_tower
        rest = ModuleGroup([], CPU, CPU, tower, tower, offload_to_disk_path=folder, group_id="rest")
        config = GroupOffloadingConfig(CPU, CPU, GroupOffloadingType.LEAF_LEVEL, False, False, False)
        _apply_lazy_group_offloading_hook(tower, rest, config=config)
        if joint:
            run(model)
        else:
            tower(torch.zeros(1, 36, 3, 4, 6), torch.zeros(1), torch.zeros(1, 5, 32))
        registries = [part._diffusers_hook for part in tower.modules() if hasattr(part, "_diffusers_hook")]
        hooks = [one.get_hook("group_offloading") for one in registries]
        counts.append(sum(hook is not None and hook.next_group is not None for hook in hooks))
    return f"layers that send for the next one: {counts[0]} if the tower is called, {counts[1]} in the joint forward"


def streamed(_: str) -> str:
    model = make_model()
    recompute_blocks(components(model))
    BlockStreamer(components(model), CPU)
    return compared(run(model, backward=True))


def two_experts(_: str) -> str:
    model, other = make_model(), make_model().video_tower
    one = BlockStreamer(components(model), CPU).slot_bytes()
    both = BlockStreamer([*components(make_model()), other], CPU).slot_bytes()
    return f"device bytes of slots with two experts / with one: {both / one:.2f}"


ATTEMPTS: dict[str, Callable[[str], str]] = {
    "group offload, files: forward": forward,
    "group offload, files: backward": backward,
    "the same, blocks recompute their inside": recomputed_inside,
    "the same, checkpoints around the hooks": partial(recomputed_outside, early_stop=False),
    "the same, checkpoints stop early (torch's default)": partial(recomputed_outside, early_stop=True),
    "group offload, files: a weight that was changed between two forwards": trained,
    "group offload, streams: prefetch": prefetched,
    "BlockStreamer: backward": streamed,
    "BlockStreamer: experts": two_experts,
}


def main() -> None:
    sys.stdout.write("| attempt | what came of it |\n| --- | --- |\n")
    for name, attempt in ATTEMPTS.items():
        with tempfile.TemporaryDirectory() as folder, spoiled():
            try:
                said = attempt(folder)
            except Exception as error:
                said = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"
        sys.stdout.write(f"| {name} | {said} |\n")


if __name__ == "__main__":
    main()
