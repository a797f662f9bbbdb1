"""Low-rank adapters as tensors: what a LoRA file holds, whether it fits a model, and which layers adapters belong on.

An adapter of a linear layer W (out, in) is W + scale * (alpha / rank) * up @ down with down (rank, in) and up
(out, rank). Rank and alpha belong to each layer; nothing is assumed of them beyond what its tensors say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch

from mova.errors import CheckpointError, ConfigError
from mova.models.weight_files import key_shape_md5

COMPONENTS: Final = ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")
UNNAMED: Final = ""
"""Stands for the component of a file whose keys name none: those of other tools hold one tower each."""

_ATTENTION = ("q", "k", "v", "o")
TOWER_TARGETS: Final = (
    *(f"self_attn.{name}" for name in _ATTENTION),
    *(f"cross_attn.{name}" for name in _ATTENTION),
    "ffn.0",
    "ffn.2",
)
BRIDGE_TARGETS: Final = tuple(f"inner.{name}" for name in _ATTENTION)
# Where adapters may be: every linear layer of the blocks and of the bridge's attentions. Embeddings, modulation and
# head are left alone, as in the official fine-tuning.
TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "video_dit": TOWER_TARGETS,
    "video_dit_2": TOWER_TARGETS,
    "audio_dit": TOWER_TARGETS,
    "dual_tower_bridge": BRIDGE_TARGETS,
}
_LISTED = 50

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class LoraLayer:
    """The adapter of one linear layer.

    Attributes:
        down: (rank, in), published by others as lora_A or lora_down.
        up: (out, rank), published by others as lora_B or lora_up.
        alpha: the update counts alpha / rank.
    """

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Width between the two matrices."""
        return self.down.shape[0]

    def update(self, device: torch.device | str = "cpu", rows: slice = slice(None)) -> torch.Tensor:
        """Return what is added to the layer's weight, or to some of its rows, at scale 1: (out, in) float32."""
        return (self.alpha / self.rank) * (self.up[rows].to(device).float() @ self.down.to(device).float())


@dataclass(frozen=True)
class LoraOrigin:
    """Where a LoRA comes from.

    Attributes:
        base_model: name of the model it was trained on; empty where it is not known.
        base_md5: fingerprint of names and shapes of each component that it was trained on.
        recipe_sha256: of the resolved training recipe; empty where it is not known.
    """

    base_model: str = ""
    base_md5: Mapping[str, str] = field(default_factory=dict)
    recipe_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Lora:
    """The content of a LoRA file.

    Attributes:
        layers: by component (`UNNAMED` where the file names none) and path of the linear layer in it.
        origin: where it comes from.
        style: key style that it was read from.
        strays: keys that are no part of an adapter.
        name: of the file, for errors.
        recommended: settings of sampling that it was made for, by their names in a pipeline's call; empty where any do.
    """

    layers: Mapping[str, Mapping[str, LoraLayer]]
    origin: LoraOrigin = LoraOrigin()
    style: str = "mova"
    strays: tuple[str, ...] = ()
    name: str = "LoRA"
    recommended: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def num_layers(self) -> int:
        """Number of adapted layers in all components."""
        return sum(len(layers) for layers in self.layers.values())

    def to(self, dtype: torch.dtype) -> Lora:
        """Return the same adapters with matrices of another dtype."""
        layers = {
            name: {path: replace(one, down=one.down.to(dtype), up=one.up.to(dtype)) for path, one in found.items()}
            for name, found in self.layers.items()
        }
        return replace(self, layers=layers)

    def assigned_to(self, components: Sequence[str]) -> Lora:
        """Return the same adapters for the named components; each gets all of them.

        Raises:
            ConfigError: an unknown component, or a file that names its components already.
        """
        unknown = [name for name in components if name not in COMPONENTS]
        if unknown or not components:
            raise ConfigError(f"component must be one of {', '.join(COMPONENTS)}; got {', '.join(unknown) or 'none'}")
        if set(self.layers) != {UNNAMED}:
            raise ConfigError(
                f"{self.name} names its components already ({', '.join(self.layers)}); leave component out"
            )
        return replace(self, layers=dict.fromkeys(components, self.layers[UNNAMED]))


@dataclass(frozen=True)
class LoraSummary:
    """What is true of all adapters in one component.

    Attributes:
        num_layers: adapted linear layers.
        ranks, alphas: all that occur, ascending.
        targets: last two parts of the layers' paths, such as self_attn.q, in the order of the file.
        num_parameters: values of all matrices.
    """

    num_layers: int
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    targets: tuple[str, ...]
    num_parameters: int


def summarise(layers: Mapping[str, LoraLayer]) -> LoraSummary:
    """Describe the adapters of one component from their tensors."""
    return LoraSummary(
        num_layers=len(layers),
        ranks=tuple(sorted({layer.rank for layer in layers.values()})),
        alphas=tuple(sorted({layer.alpha for layer in layers.values()})),
        targets=tuple(dict.fromkeys(".".join(path.split(".")[-2:]) for path in layers)),
        num_parameters=sum(layer.down.numel() + layer.up.numel() for layer in layers.values()),
    )


def reduce_rank(lora: Lora, max_parameters: int) -> Lora:
    """Return a smaller LoRA: of the singular values of all updates, those that change most for each stored number.

    A layer keeps as many as fall to it, down to none: it is left out then. What is kept of a layer is the best
    approximation of its update at that rank.

    Args:
        lora: of any ranks.
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


def select_layers(paths: Iterable[str], targets: Sequence[str]) -> list[str]:
    """Return the paths that a list of targets names: a target is a whole ending of a path, such as `self_attn.q`.

    Raises:
        ConfigError: a target that names nothing.
    """
    candidates = list(paths)
    chosen: dict[str, None] = {}
    for target in targets:
        matches = [path for path in candidates if path == target or path.endswith(f".{target}")]
        if not matches:
            raise ConfigError(f"target must name linear layers of the component, got {target!r}, which names none")
        chosen |= dict.fromkeys(matches)
    return [path for path in candidates if path in chosen]


def fit_lora(lora: Lora, shapes: Mapping[str, Shapes], component: str | Sequence[str] | None = None) -> Lora:
    """Check every adapter against a model and settle which components it is for.

    Args:
        lora: as read.
        shapes: of the state dict of each component that the model has.
        component: for a file that names none: one component or several; None finds the only one that fits.

    Returns:
        The LoRA with every component named.

    Raises:
        CheckpointError: keys that match nothing, matrices of the wrong shape, another base, or a file that would fit
            several components: all of them are listed, with counts.
        ConfigError: a component that the model has not, or that contradicts the file.
    """
    if component is not None:
        lora = lora.assigned_to([component] if isinstance(component, str) else component)
    elif set(lora.layers) == {UNNAMED}:
        lora = lora.assigned_to([_only_fit(lora, shapes)])
    faults = [(key, "unmatched", "no part of an adapter") for key in lora.strays]
    for name, layers in lora.layers.items():
        if name not in shapes:
            faults += [(f"{name}.{path}", "unmatched", f"the model has no {name or 'such part'}") for path in layers]
            continue
        faults += [(f"{name}.{path}", kind, text) for path, kind, text in _faults(layers, shapes[name])]
    if faults:
        raise CheckpointError(_describe(lora, faults))
    for name, made_for in lora.origin.base_md5.items():
        if name in lora.layers and (found := key_shape_md5(shapes[name])) != made_for:
            raise CheckpointError(
                f"{lora.name} was made for {lora.origin.base_model or 'another model'}, whose {name} has names and "
                f"shapes {made_for}; this one has {found}"
            )
    if not lora.num_layers:
        raise CheckpointError(f"{lora.name} must hold adapters, got none")
    return lora


def _only_fit(lora: Lora, shapes: Mapping[str, Shapes]) -> str:
    candidates = {name: _faults(lora.layers[UNNAMED], shapes[name]) for name in COMPONENTS if name in shapes}
    fitting = [name for name, faults in candidates.items() if not faults]
    if len(fitting) > 1:
        raise CheckpointError(
            f"the keys of {lora.name} name no component and fit {' and '.join(fitting)}; say which with component=, or "
            f"write it down: mova weights convert FILE NEW --lora-format mova --component {fitting[0]}"
        )
    # Where nothing fits, the component with the fewest faults is the one to complain about.
    return fitting[0] if fitting else min(candidates, key=lambda name: len(candidates[name]))


def _faults(layers: Mapping[str, LoraLayer], shapes: Shapes) -> list[tuple[str, str, str]]:
    faults = []
    for path, layer in layers.items():
        base = shapes.get(f"{path}.weight")
        found = (layer.up.shape[0], layer.down.shape[1])
        if base is None:
            faults.append((path, "unmatched", "the model has no such layer"))
        elif base != found:
            faults.append((path, "mis-shaped", f"for a weight of {list(found)}, the model's is {list(base)}"))
    return faults


def _describe(lora: Lora, faults: Sequence[tuple[str, str, str]]) -> str:
    counts = ", ".join(f"{sum(kind == each for _, kind, _ in faults)} {each}" for each in ("unmatched", "mis-shaped"))
    lines = [f"  {key}: {text}" for key, _, text in faults[:_LISTED]]
    if len(faults) > _LISTED:
        lines.append(f"  and {len(faults) - _LISTED} more")
    total = lora.num_layers + len(lora.strays)
    return "\n".join([f"{lora.name} must fit the model, got {counts} of {total} ({lora.style} keys):", *lines])
