"""One step of a LoRA: resident, and with each setting that saves memory, next to what the plan says.

    .venv/bin/python benchmarks/bench_train_step.py --sizes small > benchmarks/results/train_step_<machine>_<yyyymm>.md

The model has random weights and is built in place, without a file; `--sizes full` is MOVA-360p (a GPU of 141 GB, or
`--layers 12` for a smaller one). The first row, all weights on the device and blocks recomputed as in
recipe `lora`, is what the others are compared with; it is measured again at the end. Compiled blocks are
measured on a GPU only. Prints a note in Markdown, each row as soon as it is there.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mova.geometry import ClipGeometry
    from mova.train.build.placement import Placement
    from mova.train.config import LoraConfig
    from mova.train.plan.memory import TrainingMemory
    from mova.train.steps.objective import Draws, TrainingBatch
    from mova.weights.dims import ModelDims

RECOMPUTED = {"checkpoint_activations": True}
STREAMED = RECOMPUTED | {"stream_blocks": True}
SETTINGS: dict[str, dict[str, Any]] = {
    "resident": RECOMPUTED,
    "resident, compiled": RECOMPUTED,
    "blocks streamed": STREAMED,
    "base in int8": RECOMPUTED | {"base_quantization": "int8"},
    "base in nf4": RECOMPUTED | {"base_quantization": "nf4"},
    "int8, streamed": STREAMED | {"base_quantization": "int8"},
    "nf4, streamed": STREAMED | {"base_quantization": "nf4"},
    "lora_low_vram": STREAMED | {"base_quantization": "nf4", "offload_activations": True, "one_expert": True},
    "resident, again": RECOMPUTED,
}
COMPILED = ("resident, compiled",)
CLIPS = {"tiny": ("64x64", 25), "small": ("128x128", 25), "full": ("640x352", 193)}
# Not in the configs: of the autoencoders and the text encoder, which no step needs.
NO_CODECS = {"text_encoder": 0, "video_vae": 0, "audio_vae": 0}


@dataclass(frozen=True)
class Row:
    """What one way to keep the weights gave.

    Attributes:
        seconds: seconds of each step.
        frozen_bytes: bytes of weights and slots on the device.
        peak_bytes: peak of the step; on a CPU what operations make in it, waiting inputs of blocks included.
        planned_frozen, planned_peak: the same by the plan.
        problem: why there is no figure.
    """

    seconds: tuple[float, ...] = ()
    frozen_bytes: int = 0
    peak_bytes: int = 0
    planned_frozen: int = 0
    planned_peak: int = 0
    problem: str = ""


def configs_of(sizes: str, layers: int | None) -> dict[str, dict[str, Any]]:
    """Return the configs of a model; `small` lies between `tiny` and what is published."""
    from mova.models.presets import mova_360p, tiny

    model = mova_360p() if sizes == "full" else tiny()
    if sizes == "small":
        video = {"dim": 768, "ffn_dim": 3072, "num_heads": 8, "num_layers": 8}
        audio = {"dim": 384, "ffn_dim": 1536, "num_heads": 4, "num_layers": 8}
        bridge = {"visual_hidden_dim": 768, "audio_hidden_dim": 384, "head_dim": 96}
        for name, changes in (("video_dit", video), ("video_dit_2", video), ("audio_dit", audio)):
            model[name] |= changes
        model["dual_tower_bridge"] |= bridge | {"visual_layers": 8, "audio_layers": 8}
    if layers:
        for name in ("video_dit", "video_dit_2", "audio_dit"):
            model[name]["num_layers"] = min(layers, model[name]["num_layers"])
        video_layers, audio_layers = (model[name]["num_layers"] for name in ("video_dit", "audio_dit"))
        model["dual_tower_bridge"] |= {"visual_layers": video_layers, "audio_layers": audio_layers}
    return model


def recipe(sizes: str, setting: str, rank: int, device: str) -> LoraConfig:
    """Return the recipe that the plan reads."""
    from mova.names import COMPONENTS
    from mova.train.config import LoraConfig

    (size, frames), memory = CLIPS[sizes], SETTINGS[setting]
    compiled = setting in COMPILED
    return LoraConfig.model_validate(
        {
            "stage": "lora",
            "model": "unused/model",
            "adapters": {name: {"rank": rank, "alpha": rank} for name in COMPONENTS},
            "data": {"source": "metadata", "path": "unused.json", "sizes": [size], "num_frames": frames},
            "run": {"max_steps": 1, "batch_size": 1, "device": device, "ema_decay": 0.0, "compile": compiled},
            "optimizer": {"lr": 1e-4, "name": "adamw8bit" if memory.get("one_expert") else "adamw"},
            "memory": memory,
        }
    )


def build(
    model: dict[str, dict[str, Any]], config: LoraConfig, device: torch.device
) -> tuple[dict[Any, nn.Module], list[nn.Module]]:
    """Return components with random weights where the recipe wants them, and their adapters on the device."""
    import torch

    from mova.names import COMPONENTS, published_class
    from mova.train.build.adapters import add_adapters
    from mova.train.build.placement import load_device
    from mova.train.plan.unit_memory import cast_weights
    from mova.weights.components import build_empty
    from mova.weights.quantize.layers import install_quantized_layers, quantize_weight

    memory, dtype = config.memory, torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    components: dict[Any, nn.Module] = {}
    for name in COMPONENTS:
        component = build_empty(published_class(name), model[name])
        quantized = (
            install_quantized_layers(component, memory.base_quantization) if memory.base_quantization != "none" else {}
        )
        cast_weights(component.requires_grad_(False), dtype)
        storage = load_device(name, memory, device)
        for path, module in component.named_modules():
            for key, parameter in list(module.named_parameters(recurse=False)):
                if path in quantized and key == "weight":
                    drawn = 0.02 * torch.randn(module.out_features, module.in_features, device=device, dtype=dtype)
                    weight, scales = quantize_weight(drawn, module.method)
                    module.scales = scales.to(storage)
                else:
                    # Gains of norms are the only weights with one axis.
                    is_gain = key == "weight" and parameter.ndim == 1
                    weight = torch.ones if is_gain else torch.randn
                    weight = weight(parameter.shape, device=device).mul_(1.0 if is_gain else 0.02).to(parameter.dtype)
                setattr(module, key, torch.nn.Parameter(weight.to(storage), requires_grad=False))
        components[name] = component.train()
    adapters = config.adapters.chosen()
    return components, [add_adapters(components[name], name, one).to(device) for name, one in adapters.items()]


def batch_of(dims: ModelDims, geometry: ClipGeometry, device: torch.device) -> tuple[TrainingBatch, Draws]:
    """Return one random clip with its noise, in latents."""
    import torch

    from mova.train.steps.objective import Draws, TrainingBatch
    from mova.types import LatentPair

    video, audio = (1, *geometry.video_latent_shape), (1, *geometry.audio_latent_shape)
    condition = (1, dims.video.in_dim - dims.video.out_dim, *video[2:])
    prompt = (1, dims.num_prompt_tokens, dims.video.text_dim)
    drawn = [torch.randn(shape, device=device) for shape in (video, audio, condition, prompt, video, audio)]
    level = torch.full((1,), 0.6, device=device)
    return TrainingBatch(LatentPair(*drawn[:2]), drawn[2], drawn[3]), Draws(LatentPair(*drawn[4:]), level, level)


def step_operations(dims: ModelDims, geometry: ClipGeometry) -> int:
    """Return the operations that a step needs: forward and gradients of inputs, which attention has twice as many of.

    What is computed again, and adapters, are left out.
    """
    from mova.plan.cost import forward_cost

    cost = forward_cost(dims, geometry)
    bridge = cost.bridge.audio_to_video_attention + cost.bridge.video_to_audio_attention
    return 2 * cost.total + cost.video.self_attention + cost.audio.self_attention + bridge


def measure(
    model: dict[str, dict[str, Any]], dims: ModelDims, config: LoraConfig, device: torch.device, steps: int
) -> Row:
    """Build a model, train it for some steps, and take it down again."""
    import torch

    from mova.train.plan.memory import plan_model

    plan = plan_model(config, model, dims, is_gpu=device.type == "cuda")
    try:
        return _measure(model, dims, config, device, steps, plan)
    except torch.cuda.OutOfMemoryError:
        planned = _planned(plan, device)
        return replace(planned, problem="does not fit")
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _planned(plan: TrainingMemory, device: torch.device) -> Row:
    on_device, kept = plan.device, plan.device.kept + plan.device.working + plan.device.latents
    # On a CPU nothing tells the device's memory from the host's.
    peak = on_device.total if device.type == "cuda" else kept + plan.host.activations
    return Row(planned_frozen=on_device.weights + on_device.slots, planned_peak=peak)


def _measure(
    model: dict[str, dict[str, Any]],
    dims: ModelDims,
    config: LoraConfig,
    device: torch.device,
    steps: int,
    plan: TrainingMemory,
) -> Row:
    import torch

    from mova.models.experts import pair_towers
    from mova.offload.residency import frozen_tensors
    from mova.train.build.placement import Placement
    from mova.train.loop.optimizer import OptimizerSet, ParameterGroup
    from mova.train.plan.allocations import Allocations
    from mova.train.steps.objective import joint_loss

    components, adapters = build(model, config, device)
    if config.run.compile:
        for component in components.values():
            component.compile_repeated_blocks(dynamic=False)  # type: ignore[operator]
    placement = Placement(components, config.memory, device)
    placement.use("high_noise")
    tower = pair_towers(components)["high_noise"]
    learned = [parameter for one in adapters for parameter in one.parameters()]
    optimizer = OptimizerSet([ParameterGroup("adapters", learned)], config.optimizer)
    batch, draws = batch_of(dims, plan.geometry, device)

    def forward(*inputs: torch.Tensor) -> Any:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            return tower(*inputs, frame_rate=24.0)

    def step() -> None:
        losses = joint_loss(forward, batch, draws)
        (losses.video.sum() + 0.2 * losses.audio.sum()).backward()
        optimizer.step(1.0)

    # On a CPU the seconds of the process itself: what else the machine does adds less to them.
    clock = time.perf_counter if device.type == "cuda" else time.process_time

    def once() -> float:
        start = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    once()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        seconds = tuple(once() for _ in range(steps))
        peak = torch.cuda.max_memory_allocated()
    else:
        seconds = tuple(once() for _ in range(steps))
        with Allocations() as allocations:
            step()
        peak = allocations.peak_bytes
    tensors = {id(one): one for part in components.values() for one in frozen_tensors(part)}
    frozen = _on_device(placement, tensors)
    return replace(_planned(plan, device), seconds=seconds, frozen_bytes=frozen, peak_bytes=peak)


def _on_device(placement: Placement, tensors: dict[int, torch.Tensor]) -> int:
    """Return the bytes of frozen weights on the device: of slots, and of what is outside streamed blocks."""
    from mova.offload.residency import frozen_tensors

    streamer, waiting = placement.streamer, set()
    if streamer:
        waiting |= {id(tensor) for block in streamer._blocks for tensor in block.tensors}
    if placement.experts:
        waiting |= {id(tensor) for tensor in frozen_tensors(placement.experts.modules["low_noise"])}
    resident = sum(one.numel() * one.element_size() for key, one in tensors.items() if key not in waiting)
    return resident + (streamer.slot_bytes() if streamer else 0)


HEAD = (
    "| | seconds per step | against resident | TFLOP/s | weights on the device, GB (plan) | peak, GB (plan) |",
    "| --- | --- | --- | --- | --- | --- |",
)


def line_of(name: str, row: Row, base: Row, operations: int) -> str:
    """Return one line of the table; `base` is what times are compared with."""
    if row.problem:
        planned = f"({row.planned_frozen / 1e9:.3f}) | ({row.planned_peak / 1e9:.3f})"
        return f"| {name} | {row.problem} | - | - | {planned} |"
    middle = statistics.median(row.seconds)
    ratio = f"{middle / statistics.median(base.seconds):.2f}" if base.seconds else "-"
    return (
        f"| {name} | {middle:.3f} ({min(row.seconds):.3f} to {max(row.seconds):.3f}) | {ratio} | "
        f"{operations / middle / 1e12:.3g} | {row.frozen_bytes / 1e9:.3f} ({row.planned_frozen / 1e9:.3f}) | "
        f"{row.peak_bytes / 1e9:.3f} ({row.planned_peak / 1e9:.3f}) |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=sorted(CLIPS), default="small")
    parser.add_argument("--layers", type=int, help="of each tower at most; all of them by default")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="measured ones; one more comes before")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="cuda where there is one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    import torch

    from mova.train.plan.memory import largest_geometry
    from mova.weights.dims import dims_from_configs

    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = configs_of(chosen.sizes, chosen.layers)
    dims = dims_from_configs(chosen.sizes, model, NO_CODECS, num_prompt_tokens=512 if chosen.sizes == "full" else 64)
    # The row that the others are compared with cannot be left out.
    names = list(dict.fromkeys(["resident", *chosen.settings]))
    if device.type == "cpu":
        names = [name for name in names if name not in COMPILED]
    configs = {name: recipe(chosen.sizes, name, chosen.rank, device.type) for name in names}
    geometry = largest_geometry(configs["resident"], dims)
    num_weights = sum(dims.parameters.values())
    operations = step_operations(dims, geometry)
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "peft", "bitsandbytes"))
    lines = [
        f"# A step of a LoRA, {chosen.sizes} model, on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {where}, threads: {chosen.threads}, {platform.system()}",
        f"- versions: {versions}",
        f"- command: `{' '.join([f'benchmarks/{Path(__file__).name}', *sys.argv[1:]])}`",
        f"- {num_weights / 1e6:,.0f} million weights, rank {chosen.rank}, one clip of "
        f"{geometry.width}x{geometry.height} and {geometry.num_frames} frames ({geometry.num_video_tokens:,} tokens)",
        f"- {operations / 1e12:.4g} TFLOP per step without what is computed again; median of {chosen.steps} steps"
        + ("" if device.type == "cuda" else ", in seconds of the process on the processor"),
        "",
        *HEAD,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    base = Row()
    for name, config in configs.items():
        row = measure(model, dims, config, device, chosen.steps)
        base = base if base.seconds else row
        sys.stdout.write(line_of(name, row, base, operations) + "\n")
        sys.stdout.flush()
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    sys.stdout.write(f"\nLoad of the machine at the end: {loads}.\n")


if __name__ == "__main__":
    main()
