"""The change of the two video experts, or of other components, as a LoRA file of at most so many bytes; or as a model.

    BASE=src/mova/assets/mova-tiny
    STAGES=src/mova/assets/recipes/train/tiny_conditions
    .venv/bin/python benchmarks/expert_lora.py --base $BASE --model runs/tiny_conditions/model --out lora.safetensors \
        --recipes $STAGES/tiny_conditions_10_high.yaml $STAGES/tiny_conditions_9_low.yaml --cache CACHE
    .venv/bin/python benchmarks/expert_lora.py --base $BASE --model runs/tiny_conditions/mova-tiny \
        --mix 0.6 0.5 --out mixed
    .venv/bin/python benchmarks/expert_lora.py --base $BASE --model runs/tiny_wordings/model --parts audio_dit \
        --most-bytes 1.5e6 --out lora.safetensors

Of every matrix those directions are kept that say most for their bytes. With `--recipes` (of the high-noise and of the
low-noise expert, whose clips and conditions they name) that is how much the loss would change: what enters a layer and
the gradient of what leaves it weigh its change (K-FAC's approximation of the Fisher matrix); without, all weights count
alike. Factors are stored in 8 bits (float8_e4m3: its error is far below what is left out), vectors whole, in bfloat16.
With `--mix` a copy of the model goes to OUT that has so much of the change of each expert.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mova.names import COMPONENTS, EXPERTS
from mova.train.config import load_recipe
from mova.train.stages.joint import JointStage

_FILE = "diffusion_pytorch_model.safetensors"
# The largest number of float8_e4m3fn is 448.
_LARGEST = 440.0
_DAMPING = 0.2
_EXPERT_OF = {str(part): str(expert) for expert, part in EXPERTS.items()}


@dataclass
class Weighing:
    """What is known of a linear layer of N tokens: (in, in) products of inputs, (out, out) of gradients of outputs."""

    inputs: torch.Tensor
    gradients: torch.Tensor
    tokens: int = 0


def weigh(model: Path, recipe: Path, part: str, cache: Path, steps: int) -> dict[str, Weighing]:
    """Return what enters and leaves each linear layer of an expert, over some steps of a recipe."""
    starts = [f"start.{name}={model / name if (model / name).is_dir() else 'mova-tiny'}" for name in COMPONENTS]
    config = load_recipe(recipe, [*starts, "teacher=null", f"expert_cycle=[{_EXPERT_OF[part]}]", f"trainable=[{part}]"])
    stage = JointStage(config, cache)
    found: dict[str, Weighing] = {}
    for name, layer in stage.components[part].named_modules():
        if isinstance(layer, nn.Linear):
            rows, columns = layer.weight.shape
            found[f"{part}.{name}"] = one = Weighing(torch.zeros(columns, columns), torch.zeros(rows, rows))
            layer.register_forward_hook(partial(_take_input, one))
            layer.register_full_backward_hook(partial(_take_gradient, one))
    for step in range(steps):
        for losses in stage.losses(step, 0.0):
            losses["loss"].backward()
        for parameter in stage.components[part].parameters():
            parameter.grad = None
    return found


def _take_input(one: Weighing, _layer: nn.Module, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> None:
    tokens = inputs[0].detach().float().flatten(0, -2)
    one.inputs += tokens.T @ tokens
    one.tokens += len(tokens)


def _take_gradient(one: Weighing, _layer: nn.Module, _given: Any, gradients: tuple[torch.Tensor, ...]) -> None:
    tokens = gradients[0].detach().float().flatten(0, -2)
    one.gradients += tokens.T @ tokens


def roots(one: Weighing | None, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the square roots of the weights of a layer's outputs and inputs."""
    if one is None or not one.tokens:
        return torch.eye(shape[0]), torch.eye(shape[1])

    def root(products: torch.Tensor) -> torch.Tensor:
        # A fifth of the mean counts everywhere: what rarely matters would else be given up for good, and the factors
        # become so large there that eight bits round away what does matter (at a hundredth all of it).
        damped = products + _DAMPING * products.diagonal().mean() * torch.eye(len(products))
        values, vectors = torch.linalg.eigh(damped.double())
        return ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).float()

    return root(one.gradients), root(one.inputs / one.tokens)


def as_lora(
    base: Path, model: Path, names: Sequence[str], most_bytes: float, weighed: Mapping[str, Weighing]
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return the tensors of the file, and which share of what each component's change does it keeps."""
    made: dict[str, torch.Tensor] = {}
    parts, energy, candidates = {}, dict[str, float](), []
    for part in names:
        before, after = load_file(base / part / _FILE), load_file(model / part / _FILE)
        found: list[tuple[float, str, int, int]] = []
        for key, value in before.items():
            change = after[key].float() - value.float()
            name, _, kind = f"{part}.{key}".rpartition(".")
            if change.ndim == 2 and kind == "weight" and min(change.shape) > 1:
                left, right = roots(weighed.get(name), change.shape)
                parts[name] = (*torch.linalg.svd(left @ change @ right, full_matrices=False), left, right)
                length = sum(change.shape)  # bytes of one direction's vectors
                found += [(float(one) ** 2 / length, name, rank, length) for rank, one in enumerate(parts[name][1])]
            else:
                ending = {"weight": f"{name}.diff", "bias": f"{name}.diff_b"}.get(kind, f"{part}.{key}.diff")
                made[ending] = change.to(torch.bfloat16)
        energy[part] = sum(gain * length for gain, _, _, length in found)
        # By the share of its component's change: the one that changed less is no less needed.
        candidates += [(gain / energy[part], name, rank, length) for gain, name, rank, length in found]
    size, ranks = sum(2 * one.numel() for one in made.values()), dict[str, int]()
    for _, name, rank, length in sorted(candidates, reverse=True):
        if size + length > most_bytes:
            break
        size, ranks[name] = size + length, max(ranks.get(name, 0), rank + 1)
    kept = dict.fromkeys(energy, 0.0)
    for name, rank in ranks.items():
        outer, values, inner, left, right = parts[name]
        kept[name.partition(".")[0]] += float((values[:rank] ** 2).sum())
        weighty = (outer[:, :rank] * values[:rank]) @ inner[:rank]
        update = torch.linalg.solve(left, weighty) @ torch.linalg.inv(right)
        made |= factors(name, update, rank)
    return made, {part: kept[part] / energy[part] for part in energy}


def factors(name: str, update: torch.Tensor, rank: int) -> dict[str, torch.Tensor]:
    """Return an update of a rank as the tensors of a LoRA, in 8 bits."""
    outer, values, inner = torch.linalg.svd(update, full_matrices=False)
    root = values[:rank].sqrt()
    up, down = outer[:, :rank] * root, root[:, None] * inner[:rank]
    scale = _LARGEST / max(float(up.abs().max()), float(down.abs().max()))
    return {
        f"{name}.lora_B.weight": (scale * up).to(torch.float8_e4m3fn).contiguous(),
        f"{name}.lora_A.weight": (scale * down).to(torch.float8_e4m3fn).contiguous(),
        # The update counts alpha / rank: what the factors were multiplied by is undone.
        f"{name}.alpha": torch.tensor(rank / scale**2),
    }


def mix(base: Path, model: Path, shares: list[float], out: Path) -> None:
    """Write a copy of a model with a share of the change of each expert."""
    shutil.copytree(model, out)
    for part, share in zip(EXPERTS.values(), shares, strict=True):
        before, after = load_file(base / part / _FILE), load_file(model / part / _FILE)
        mixed = {key: torch.lerp(before[key].float(), one.float(), share).to(one.dtype) for key, one in after.items()}
        save_file(mixed, out / part / _FILE, metadata={"format": "pt"})


def main() -> None:
    """Write the file or the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=list(EXPERTS.values()), choices=COMPONENTS)
    parser.add_argument("--most-bytes", type=float, default=4.85e6)
    parser.add_argument("--mix", type=float, nargs=2, metavar=("HIGH", "LOW"))
    parser.add_argument("--recipes", type=Path, nargs=2, metavar=("HIGH", "LOW"))
    parser.add_argument("--cache", type=Path, help="Encoded clips of the recipes.")
    parser.add_argument("--steps", type=int, default=30, help="Of each recipe.")
    options = parser.parse_args()
    if bool(options.recipes) != bool(options.cache):
        parser.error("--recipes and --cache belong together")
    if options.mix:
        mix(options.base, options.model, options.mix, options.out)
        return
    weighed: dict[str, Weighing] = {}
    for part, recipe in zip(EXPERTS.values(), options.recipes or (), strict=False):
        weighed |= weigh(options.model.resolve(), recipe, part, options.cache, options.steps)
    tensors, kept = as_lora(options.base, options.model, options.parts, options.most_bytes, weighed)
    save_file(tensors, options.out, metadata={"base_model": "mova-tiny", "format": "pt"})
    shares = ", ".join(f"{share:.3f} of the change of {part}" for part, share in kept.items())
    sys.stdout.write(f"{options.out}: {options.out.stat().st_size} bytes, {shares}\n")


if __name__ == "__main__":
    main()
