"""What the processes of test_spread do: the same clips alone and together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from mova.distributed.mesh import start_parallel
from mova.errors import StoppedError
from mova.models.bridge import CrossModalBridge
from mova.models.tower import AudioTower, VideoTower
from mova.names import COMPONENTS
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenNoise
from mova.pipeline.load import load_pipeline
from mova.pipeline.loop.control import Control
from mova.settings.sampling import GivenSettings
from mova.weights.components import write_component
from mova.weights.lora.adapters import TARGETS, Lora, LoraLayer, LoraOrigin, select_layers
from mova.weights.lora.file import write_lora

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
COMMON = {"ffn_dim": 64, "text_dim": 32, "freq_dim": 32}
PICTURE = np.random.default_rng(0).integers(0, 255, (80, 176, 3), np.uint8)
FILM = np.random.default_rng(1).integers(0, 255, (9, 80, 176, 3), np.uint8)
# 3 x 5 x 11 = 165 video tokens and 19 audio tokens: neither 2 nor 4 divides them; 2 x 5 x 11 = 110 and 11: nor does 3.
LONG = {"height": 80, "width": 176, "num_frames": 9, "num_inference_steps": 3, "seed": 4, "guidance_scale": 2.0}
SHORT = LONG | {"num_frames": 5}
REQUESTS: dict[str, dict[str, Any]] = {
    "long": LONG | {"image": PICTURE, "sampler": "unipc"},
    "short": SHORT | {"last_image": PICTURE},
    "two clips": LONG | {"prompt": ["a dog", "a cat"], "guidance_interval": (0.0, 0.95), "batch_branches": False},
    # Both experts are guided at their first step only: 1 of 3 steps has one branch, which another process waits for.
    "adaptive": LONG | {"modality_scale": 1.5, "adaptive_guidance": 1.0, "batch_branches": False},
    "dual": SHORT | {"modality_scale": 1.5, "batch_branches": False},
    "film": LONG | {"video": FILM},
    "sound": SHORT | {"audio": np.sin(np.arange(12_000) / 9).astype(np.float32)},
}
LORA = 0.7


def write_model(folder: Path) -> None:
    """Write the recorded model with towers of 4 and 2 heads, which a Ulysses degree of 2 divides."""
    shutil.copytree(CHECKPOINT, folder)
    torch.manual_seed(0)
    video = {"in_dim": 36, "out_dim": 16, "dim": 96, "num_heads": 4, "num_layers": 3, **COMMON}
    for name in ("video_dit", "video_dit_2"):
        write_component(VideoTower(**video), folder / name)
    audio = {"in_dim": 16, "out_dim": 16, "dim": 48, "num_heads": 2, "num_layers": 2, **COMMON}
    write_component(AudioTower(patch_size=(1,), **audio), folder / "audio_dit")
    widths = {"visual_hidden_dim": 96, "audio_hidden_dim": 48, "head_dim": 24}
    write_component(CrossModalBridge(visual_layers=3, audio_layers=2, **widths), folder / "dual_tower_bridge")


def write_adapters(folder: Path, target: Path) -> Path:
    """Write a LoRA for all components of a model: plain adapters, DoRA of rows and of columns, whole differences."""
    pipeline, generator = load_pipeline(folder), torch.Generator().manual_seed(3)

    def adapter(path: str, linear: torch.nn.Linear) -> LoraLayer:
        shapes = (3, linear.in_features), (linear.out_features, 3)
        down, up = (torch.randn(shape, generator=generator) / 9 for shape in shapes)
        axis = {"q": 1, "k": 0}.get(path.rpartition(".")[2])
        lengths = None if axis is None else linear.weight.detach().norm(dim=axis, keepdim=True)
        return LoraLayer(down, up, alpha=2.0, magnitude=lengths)

    layers, differences = {}, {}
    for component in COMPONENTS:
        module = getattr(pipeline, component)
        linears = {path: part for path, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
        layers[component] = {path: adapter(path, linears[path]) for path in select_layers(linears, TARGETS[component])}
        differences[component] = {
            key: torch.randn(value.shape, generator=generator) / 9
            for key, value in module.state_dict().items()
            if key.endswith(("modulation", "norm3.bias", "norm_q.weight", "self_attn.v.bias"))
        }
    return write_lora(Lora(layers, LoraOrigin(), differences=differences), target, "mova")[0]


def make(pipeline: Any, name: str, output_type: str = "latent") -> list[torch.Tensor] | None:
    """Make clips; return latents, or frames and sound, or None where there are none."""
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"prompt": "a dog", "negative_prompt": "a boat", "output_type": output_type} | REQUESTS[name]
    result = pipeline(**arguments)
    return None if result.frames is None else [result.frames, result.audio]


def distance(mine: list[torch.Tensor] | None, theirs: list[torch.Tensor]) -> float:
    """Return the largest difference next to the largest value of each stream; -1 where there is nothing."""
    if mine is None:
        return -1.0
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(mine, theirs, strict=True))


def expect(folder: Path) -> dict[str, list[torch.Tensor]]:
    """Make by one process what several are compared with, and keep it for them."""
    pipeline = load_pipeline(folder / "model")
    expected = {name: make(pipeline, name) for name in REQUESTS}
    expected |= {f"{name} decoded": make(pipeline, name, "pt") for name in ("long", "film", "sound")}
    adapted = load_pipeline(folder / "model", loras=[(folder / "lora.safetensors", LORA)])
    expected["adapted"] = make(adapted, "long")
    torch.save(expected, folder / "expected.pt")
    return expected


def _resume(pipeline: Any, rank: int) -> float:
    """Stop a clip that both processes make, go on from what rank 0 kept, and return 0 where all bits are equal."""
    pipeline.enable_parallelism(branches=2)
    made = make(pipeline, "adaptive")
    assert made is not None, "latents are everywhere"
    arguments = {"prompt": "a dog", "negative_prompt": "a boat", **REQUESTS["adaptive"]}
    seed = arguments.pop("seed")
    batch_branches = arguments.pop("batch_branches")
    texts = {name: arguments.pop(name) for name in ("prompt", "negative_prompt")}
    settings = pipeline.complete_settings(GivenSettings(**arguments))
    kept: list[bytes] = []
    seen: list[int] = []

    def run(control: Control) -> Any:
        noise = GivenNoise(seed=seed)
        inputs = CallInputs(**texts, noise=noise, batch_branches=batch_branches, output_type="latent", control=control)
        return pipeline.run(settings, inputs)

    stopped = None
    try:
        run(
            Control(
                on_step=lambda step: seen.append(step.done),
                is_stopped=lambda: seen[-1:] == [2],
                save_state=kept.append,
            )
        )
    except StoppedError as error:
        stopped = (error.done, error.total)
    again = run(Control(resume_from=kept[-1] if rank == 0 else b"", save_state=kept.append))
    assert stopped == (2, 3), stopped
    assert len(kept) == (1 if rank == 0 else 0), "rank 0 keeps states"
    return distance([again.frames, again.audio], made)


def together(rank: int, folder: Path) -> dict[str, float]:
    """Make the same clips in several layouts; return the distances."""
    shared, world = folder.parent, torch.distributed.get_world_size()
    expected = torch.load(shared / "expected.pt")
    pipeline = load_pipeline(shared / "model")
    layouts = {
        2: [
            ("long", {"ulysses": 2}),
            ("long", {"ring": 2}),
            ("two clips", {"branches": 2}),
            ("dual", {"branches": 2}),
            ("adaptive", {"branches": 2}),
        ],
        3: [("short", {"ring": 3}), ("dual", {"branches": 3})],
        4: [("long", {"ring": 2, "ulysses": 2}), ("two clips", {"branches": 2, "ulysses": 2})],
    }[world]
    found = {}
    for name, layout in layouts:
        pipeline.enable_parallelism(**layout)
        found[f"{name} {layout}"] = distance(make(pipeline, name), expected[name])
    if world == 2:
        found["resumed"] = _resume(pipeline, rank)
    for name in ("long", "film", "sound") if world == 2 else ("long",):
        found[f"{name} decoded"] = distance(make(pipeline, name, "pt"), expected[f"{name} decoded"])
    pipeline.disable_parallelism()
    found["alone again"] = distance(make(pipeline, "short"), expected["short"])
    return found


def sharded(_rank: int, folder: Path) -> dict[str, Any]:
    """Make clips with adapters by processes that share the weights."""
    shared, world = folder.parent, torch.distributed.get_world_size()
    expected = torch.load(shared / "expected.pt")
    layout = {2: {"ulysses": 2}, 4: {"replicate": 2, "ring": 2}}[world]
    pipeline = load_pipeline(
        shared / "model",
        loras=[(shared / "lora.safetensors", LORA)],
        parallel=start_parallel(**layout),
        shard_weights=True,
    )
    weights = [weight for name in COMPONENTS for weight in getattr(pipeline, name).parameters()]
    return {
        "distance": distance(make(pipeline, "long"), expected["adapted"]),
        "sharded": all(isinstance(weight, DTensor) for weight in weights),
        "held": sum(weight.to_local().numel() for weight in weights) / sum(weight.numel() for weight in weights),
        "has text encoder": pipeline.text_encoder is not None,
    }
