"""Low-rank adapters as tensors: what a LoRA file holds, whether it fits a model, and which layers adapters belong on.

An adapter of a linear layer W (out, in) is W + scale * (alpha / rank) * up @ down with down (rank, in) and up
(out, rank). Rank and alpha belong to each layer; nothing is assumed of them beyond what its tensors say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten_text
from mova.names import BRIDGE, COMPONENTS
from mova.weights.files import key_shape_md5

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
    name: BRIDGE_TARGETS if name == BRIDGE else TOWER_TARGETS for name in COMPONENTS
}
_LISTED = 50

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class LoraLayer:
    """The adapter of one linear layer.

    Attributes:
        down: (rank, in), published by others as lora_A or lora_down; (rank, in, ...) for a convolution.
        up: (out, rank), published by others as lora_B or lora_up; (out, rank, 1, ...) for a convolution.
        alpha: the update counts alpha / rank.
        magnitude: DoRA's lengths that the rows, (out, 1), or the columns, (1, in), of the changed weight get;
            None for a plain adapter.
    """

    down: torch.Tensor
    up: torch.Tensor
    alpha: float
    magnitude: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        """Width between the two matrices."""
        return self.down.shape[0]

    @property
    def has_row_magnitude(self) -> bool:
        """Whether DoRA's lengths are those of rows rather than of columns."""
        if self.magnitude is None or self.magnitude.shape[0] != self.up.shape[0]:
            return False
        return all(size == 1 for size in self.magnitude.shape[1:])

    def update(self, device: torch.device | str = "cpu", rows: slice = slice(None)) -> torch.Tensor:
        """Return what a plain adapter adds to the layer's weight, or to some of its rows, at scale 1.

        Returns:
            (out, in) float32; of a convolution with all axes but the first in one.
        """
        up, down = self.up[rows].flatten(1).to(device).float(), self.down.flatten(1).to(device).float()
        return (self.alpha / self.rank) * (up @ down)


@dataclass(frozen=True)
class LoraOrigin:
    """Where a LoRA comes from.

    Attributes:
        base_model: name of the model it was trained on; empty where it is not known.
        base_md5: fingerprint of names and shapes of each component that it was trained on.
        recipe_sha256: SHA-256 of the resolved training recipe; empty where it is not known.
    """

    base_model: str = ""
    base_md5: Mapping[str, str] = field(default_factory=dict)
    recipe_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Lora:
    """The content of a LoRA file.

    Attributes:
        layers: layers by component (`UNNAMED` where the file names none) and path of the linear layer in it.
        origin: where it comes from.
        style: key style that it was read from.
        strays: keys that are no part of an adapter.
        name: name of the file, for errors.
        recommended: settings of sampling that it was made for, by their names in a pipeline's call; empty where any do.
        differences: by component and tensor name in it, such as blocks.0.norm3.weight: what is added to the tensor as a
            whole. Of the tensor's shape.
    """

    layers: Mapping[str, Mapping[str, LoraLayer]]
    origin: LoraOrigin = LoraOrigin()
    style: str = "mova"
    strays: tuple[str, ...] = ()
    name: str = "LoRA"
    recommended: Mapping[str, float | str] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of what it changes."""
        return tuple(dict.fromkeys((*self.layers, *self.differences)))

    @property
    def num_layers(self) -> int:
        """Number of adapted layers in all components."""
        return sum(len(layers) for layers in self.layers.values())

    @property
    def num_differences(self) -> int:
        """Number of tensors to which something is added as a whole."""
        return sum(len(tensors) for tensors in self.differences.values())

    def changes(self, component: str) -> dict[str, None]:
        """Return which tensors of a component it changes, by their names in its state dict."""
        weights = [f"{path}.weight" for path in self.layers.get(component, {})]
        return dict.fromkeys((*weights, *self.differences.get(component, {})))

    def to(self, dtype: torch.dtype) -> Lora:
        """Return the same adapters with matrices of another dtype."""
        layers = {
            name: {path: replace(one, down=one.down.to(dtype), up=one.up.to(dtype)) for path, one in found.items()}
            for name, found in self.layers.items()
        }
        differences = {
            name: {key: tensor.to(dtype) for key, tensor in found.items()} for name, found in self.differences.items()
        }
        return replace(self, layers=layers, differences=differences)

    def assigned_to(self, components: Sequence[str]) -> Lora:
        """Return the same adapters for the named components; each gets all of them.

        Raises:
            ConfigError: an unknown component, or a file that names its components already.
        """
        unknown = [name for name in components if name not in COMPONENTS]
        if unknown or not components:
            raise ConfigError(f"component must be one of {', '.join(COMPONENTS)}; got {', '.join(unknown) or 'none'}")
        if set(self.components) != {UNNAMED}:
            raise ConfigError(
                f"{self.name} names its components already ({', '.join(self.components)}); leave component out"
            )
        return replace(
            self,
            layers=dict.fromkeys(components, self.layers[UNNAMED]) if UNNAMED in self.layers else {},
            differences=dict.fromkeys(components, self.differences[UNNAMED]) if UNNAMED in self.differences else {},
        )


@dataclass(frozen=True)
class LoraSummary:
    """What is true of all adapters in one component.

    Attributes:
        num_layers: adapted linear layers.
        ranks, alphas: all that occur, ascending.
        targets: last two parts of the layers' paths, such as self_attn.q, in the order of the file.
        num_parameters: values of all matrices, magnitudes and differences.
        num_dora: layers among them with a magnitude.
        num_differences: tensors to which something is added as a whole.
    """

    num_layers: int
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    targets: tuple[str, ...]
    num_parameters: int
    num_dora: int = 0
    num_differences: int = 0


def summarise(lora: Lora, component: str) -> LoraSummary:
    """Describe what is adapted in one component, from the tensors."""
    layers, differences = lora.layers.get(component, {}), lora.differences.get(component, {})
    magnitudes = [layer.magnitude for layer in layers.values() if layer.magnitude is not None]
    return LoraSummary(
        num_layers=len(layers),
        ranks=tuple(sorted({layer.rank for layer in layers.values()})),
        alphas=tuple(sorted({layer.alpha for layer in layers.values()})),
        targets=tuple(dict.fromkeys(".".join(path.split(".")[-2:]) for path in layers)),
        num_parameters=sum(layer.down.numel() + layer.up.numel() for layer in layers.values())
        + sum(tensor.numel() for tensor in (*magnitudes, *differences.values())),
        num_dora=len(magnitudes),
        num_differences=len(differences),
    )


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
        shapes: shapes of the state dict of each component that the model has.
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
    elif set(lora.components) == {UNNAMED}:
        lora = lora.assigned_to([_only_fit(lora, shapes)])
    faults = [(key, "unmatched", "no part of an adapter") for key in lora.strays]
    for name in lora.components:
        if name not in shapes:
            absent = f"the model has no {name or 'such part'}"
            faults += [(f"{name}.{key.removesuffix('.weight')}", "unmatched", absent) for key in lora.changes(name)]
            continue
        faults += [(f"{name}.{path}", kind, text) for path, kind, text in _faults(lora, name, shapes[name])]
    if faults:
        raise CheckpointError(_describe(lora, faults))
    for name, made_for in lora.origin.base_md5.items():
        if name in lora.components and (found := key_shape_md5(shapes[name])) != made_for:
            raise CheckpointError(
                f"{lora.name} was made for {lora.origin.base_model or 'another model'}, whose {name} has names and "
                f"shapes {made_for}; this one has {found}"
            )
    if not lora.num_layers and not lora.num_differences:
        raise CheckpointError(f"{lora.name} must hold adapters, got none")
    return lora


def _only_fit(lora: Lora, shapes: Mapping[str, Shapes]) -> str:
    candidates = {name: _faults(lora, UNNAMED, shapes[name]) for name in COMPONENTS if name in shapes}
    fitting = [name for name, faults in candidates.items() if not faults]
    if len(fitting) > 1:
        raise CheckpointError(
            f"the keys of {lora.name} name no component and fit {' and '.join(fitting)}; say which with component=, or "
            f"write it down: mova weights convert FILE NEW --lora-format mova --component {fitting[0]}"
        )
    # Where nothing fits, the component with the fewest faults is the one to complain about.
    return fitting[0] if fitting else min(candidates, key=lambda name: len(candidates[name]))


def _faults(lora: Lora, component: str, shapes: Shapes) -> list[tuple[str, str, str]]:
    faults = []
    for path, layer in lora.layers.get(component, {}).items():
        base = shapes.get(f"{path}.weight")
        down = tuple(layer.down.shape[1:])
        found = (layer.up.shape[0], *down)
        if base is None:
            faults.append((path, "unmatched", "the model has no such layer"))
        elif base != found and not (len(down) == 1 and (base[0], math.prod(base[1:])) == found):
            faults.append((path, "mis-shaped", f"for a weight of {list(found)}, the model's is {list(base)}"))
        elif layer.magnitude is not None and not _is_magnitude(layer.magnitude, base):
            shape = list(layer.magnitude.shape)
            faults.append((path, "mis-shaped", f"a DoRA magnitude of {shape} for a weight of {list(base)}"))
    for key, difference in lora.differences.get(component, {}).items():
        base, size = shapes.get(key), list(difference.shape)
        if base is None:
            faults.append((key, "unmatched", "the model has no such tensor"))
        elif list(base) != size:
            faults.append((key, "mis-shaped", f"a difference of {size}, the model's tensor is {list(base)}"))
    return faults


def _is_magnitude(magnitude: torch.Tensor, base: tuple[int, ...]) -> bool:
    return tuple(magnitude.shape) in ((base[0], *(1 for _ in base[1:])), (1, base[1], *(1 for _ in base[2:])))


def _describe(lora: Lora, faults: Sequence[tuple[str, str, str]]) -> str:
    counts = ", ".join(f"{sum(kind == each for _, kind, _ in faults)} {each}" for each in ("unmatched", "mis-shaped"))
    lines = [f"  {shorten_text(key)}: {text}" for key, _, text in faults[:_LISTED]]
    if len(faults) > _LISTED:
        lines.append(f"  and {len(faults) - _LISTED} more")
    total = lora.num_layers + lora.num_differences + len(lora.strays)
    return "\n".join([f"{lora.name} must fit the model, got {counts} of {total} ({lora.style} keys):", *lines])
