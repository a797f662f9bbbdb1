"""A smaller LoRA out of a larger one: of all updates, the singular values that change most for each stored number."""

from __future__ import annotations

from dataclasses import replace

import torch

from mova.errors import ConfigError
from mova.weights.lora.adapters import Lora, LoraLayer


def reduce_rank(lora: Lora, max_parameters: int) -> Lora:
    """Return a smaller LoRA: of the singular values of all updates, those that change most for each stored number.

    A layer keeps as many as fall to it, down to none: it is left out then. What is kept of a layer is the best
    approximation of its update at that rank.

    Args:
        lora: LoRA of any ranks.
        max_parameters: numbers in all matrices of the result.

    Raises:
        ConfigError: fewer parameters than one singular value takes.
    """
    parts = {
        (name, path): _split_update(layer) for name, layers in lora.layers.items() for path, layer in layers.items()
    }
    sizes = {key: up.shape[0] + down.shape[1] for key, (up, _, down) in parts.items()}
    ranked = [(float(value) ** 2 / sizes[key], key) for key, (_, values, _) in parts.items() for value in values]
    kept = dict.fromkeys(parts, 0)
    room = max_parameters
    for _, key in sorted(ranked, reverse=True):
        room -= sizes[key]
        if room < 0:
            break
        kept[key] += 1
    if not any(kept.values()):
        raise ConfigError(
            f"max_parameters must leave room for the first singular value, got {max_parameters}; nearest is "
            f"{sizes[max(ranked)[1]]}"
        )
    layers: dict[str, dict[str, LoraLayer]] = {}
    for (name, path), rank in kept.items():
        if rank:
            up, values, down = parts[name, path]
            root = values[:rank].sqrt()
            layer = LoraLayer(down=root[:, None] * down[:rank], up=up[:, :rank] * root, alpha=float(rank))
            layers.setdefault(name, {})[path] = layer
    return replace(lora, layers=layers)


def _split_update(layer: LoraLayer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the singular value decomposition of an update, which is not multiplied out: (out, r), (r,), (r, in)."""
    left, upper = torch.linalg.qr(layer.up.float())
    right, lower = torch.linalg.qr(layer.down.float().T)
    up, values, down = torch.linalg.svd((layer.alpha / layer.rank) * upper @ lower.T)
    return left @ up, values, down @ right.T
