"""How strong an adapter is: alpha from its tensor, from PEFT's settings, or from what kohya's tools write."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from mova.errors import CheckpointError
from mova.files.json_file import Fields, as_fields, parse_json, read_object, shorten, shorten_text
from mova.weights.lora.keys import LoraKey

_LARGEST = 1e6
_MOST_MATCHES: Final = 2e8
_MOST_CONFIG_BYTES = 2**24
# Settings of PEFT with which the update is another than alpha / rank * up @ down on the base as it is published.
_REFUSED: Final = (
    "fan_in_fan_out",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
)
_CHANGES_THE_BASE: Final = ("pissa", "olora", "corda", "loftq", "lora_ga")


class AdapterConfig:
    """PEFT's settings of the adapters of one file or of one component in it.

    Args:
        fields: fields of PEFT's `LoraConfig`, as JSON.

    Attributes:
        has_dora: whether the adapters are said to have magnitudes.

    Raises:
        CheckpointError: a value of the wrong type, or a setting that is not applied.
    """

    def __init__(self, fields: Fields) -> None:
        for name in ("r", "lora_alpha"):
            if name in fields and fields.values[name] is None:
                raise CheckpointError(f"{fields.where}: {name} must be a number, got null; leave it out if unset")
        # PEFT writes null where nothing is set.
        fields = Fields(
            {key: value for key, value in fields.values.items() if value is not None}, fields.where, fields.error
        )
        self._where = fields.where
        kind = fields.text("peft_type", "LORA")
        if kind.upper() != "LORA":
            raise CheckpointError(f"{fields.where}: peft_type must be LORA, got {shorten(kind)}, which is not read")
        for name in _REFUSED:
            if fields.values.get(name):
                raise CheckpointError(
                    f"{fields.where}: {name} must not be set, got {shorten(fields.values[name])}: the adapters would "
                    "act otherwise than PEFT lets them act"
                )
        bias = fields.values.get("bias", "none")
        if bias not in ("none", False):
            raise CheckpointError(
                f"{fields.where}: bias must be 'none', got {shorten(bias)}: trained biases are not read"
            )
        start = fields.values.get("init_lora_weights", True)
        if isinstance(start, str) and start.lower().startswith(_CHANGES_THE_BASE):
            raise CheckpointError(
                f"{fields.where}: init_lora_weights must leave the base as it is, got {shorten(start)}, which changes "
                "it; let PEFT write the adapter as one for the plain base"
            )
        self.has_dora = fields.flag("use_dora", False)
        self._rank = fields.integer("r", least=1) if "r" in fields else None
        self._alpha = fields.number("lora_alpha", least=-_LARGEST, most=_LARGEST) if "lora_alpha" in fields else None
        self._is_rank_stabilised = fields.flag("use_rslora", False)
        self._ranks, self._alphas = (_Patterns(fields, name) for name in ("rank_pattern", "alpha_pattern"))

    def alpha(self, key: LoraKey, rank: int, num_layers: int) -> float | None:
        """Return a layer's alpha, where `alpha / rank` is what counts; None where the settings say nothing.

        Args:
            key: key of one of the layer's matrices.
            rank: rank of its matrices.
            num_layers: in the file, by which the work on patterns is bounded.

        Raises:
            CheckpointError: another rank than that of the matrices.
        """
        names = (key.module, f"{key.scope}.{key.module}")
        wanted = self._ranks.find(names, num_layers)
        wanted = self._rank if wanted is None else wanted
        if wanted is not None and wanted != rank:
            raise CheckpointError(
                f"{self._where}: rank of {key.module} must be that of its matrices, {rank}, got {wanted:g}"
            )
        alpha = self._alphas.find(names, num_layers)
        alpha = self._alpha if alpha is None else alpha
        if alpha is None:
            return None
        # Rank-stabilised: alpha / sqrt(rank).
        return alpha * math.sqrt(rank) if self._is_rank_stabilised else alpha


class _Patterns:
    """Values by PEFT's patterns: regular expressions for the end of a layer's name, the first one counts."""

    def __init__(self, fields: Fields, key: str) -> None:
        found = fields.fields(key) if key in fields else Fields({}, fields.where, fields.error)
        self._where, self._work = f"{fields.where}: {key}", 0.0
        self._patterns: list[tuple[re.Pattern[str], float]] = []
        for pattern in found.values:
            value = found.number(pattern, least=-_LARGEST, most=_LARGEST)
            if key == "rank_pattern":
                value = found.integer(pattern, least=1)
            self._work += _cost(pattern)
            try:
                self._patterns.append((re.compile(rf"(.*\.)?({pattern})$"), value))
            except (re.error, OverflowError, RecursionError) as error:
                raise CheckpointError(
                    f"{self._where} must hold regular expressions, got {shorten(pattern)}: {error}"
                ) from error

    def find(self, names: Sequence[str], num_layers: int) -> float | None:
        """Return the value of the first pattern that fits any of the names."""
        if self._work * num_layers > _MOST_MATCHES:
            raise CheckpointError(
                f"{self._where} must hold patterns that are quick to match: layers by name, few wildcards"
            )
        return next(
            (value for pattern, value in self._patterns if any(pattern.match(name[:400]) for name in names)), None
        )


def _cost(pattern: str) -> float:
    """Return a bound for the steps of matching a pattern with a name; without one for repeated groups."""
    if re.search(r"\)[*+{]|\\[1-9]|\(\?[P(<]", pattern) or len(pattern) > 2000:
        return math.inf
    steps = 1.0
    for segment in re.split(r"\(", pattern):
        steps *= (1 + segment.count("|")) * 2.0 ** min(segment.count("?"), 100)
        steps *= 120.0 ** min(len(re.findall(r"(?<!\\)[*+{]", segment)), 20)
    return steps


class AlphaSources:
    """Everything that a LoRA says of its alphas besides the `.alpha` tensors.

    Args:
        file: for errors.
        metadata: metadata of the file's header.
        config: PEFT's `adapter_config.json` beside it, or what else holds the same settings.
        scopes: components that the file's keys name in their own words; empty text where a key names none.
        has_tensors: whether any layer has an `.alpha` tensor.

    Raises:
        CheckpointError: values of the wrong type, or a setting that is not applied.
    """

    def __init__(
        self,
        file: Path,
        metadata: Mapping[str, str],
        config: Fields | None,
        *,
        scopes: Collection[str],
        has_tensors: bool,
    ) -> None:
        self.file = file
        self._scoped = _scoped_configs(file, metadata)
        # Keys that were renamed, and settings that were not, are still of one component.
        is_renamed = bool(self._scoped) and not {*scopes, ""} & set(self._scoped)
        if is_renamed and len(self._scoped) > 1:
            raise CheckpointError(
                f"lora_adapter_metadata in the header of {file} must name the components as the keys do, got "
                f"{shorten_text(', '.join(self._scoped))}"
            )
        self._renamed = next(iter(self._scoped.values())) if is_renamed else None
        self._whole = {
            fields.where: AdapterConfig(fields) for fields in (config, _training_config(file, metadata)) if fields
        }
        self._kohya = None if has_tensors else _kohya_settings(file, metadata)

    def alpha(self, key: LoraKey, rank: int, tensor: torch.Tensor | None, num_layers: int) -> float:
        """Return a layer's alpha; its rank where nothing says one.

        Args:
            key: key of one of the layer's matrices.
            rank: rank of its matrices.
            tensor: what stands as its `.alpha` in the file.
            num_layers: in the file.

        Raises:
            CheckpointError: a tensor of other than one finite value, or sources that contradict each other.
        """
        found: dict[str, float] = {}
        if tensor is not None:
            found[f"{key.module}.alpha"] = _single(self.file, key, tensor)
        configs = dict(self._whole)
        if (scoped := self._for(key)) is not None:
            configs["lora_adapter_metadata"] = scoped
        for source, config in configs.items():
            value = config.alpha(key, rank, num_layers)
            if value is not None:
                found[source] = value
        if not found and self._kohya is not None:
            found["ss_network_alpha"] = self._kohya_alpha(key, rank)
        values = list(found.values())
        if any(not math.isclose(value, values[0], rel_tol=1e-6) for value in values):
            said = " and ".join(f"{value:g} in {source}" for source, value in found.items())
            raise CheckpointError(f"{self.file} must give one alpha to {key.module}, got {said}")
        return values[0] if values else float(rank)

    def wants_dora(self, key: LoraKey) -> bool:
        """Say whether PEFT's settings say that a layer has a magnitude."""
        scoped = self._for(key)
        return any(config.has_dora for config in (*self._whole.values(), *([scoped] if scoped else [])))

    def _for(self, key: LoraKey) -> AdapterConfig | None:
        return self._scoped.get(key.scope) or self._scoped.get("") or self._renamed

    def _kohya_alpha(self, key: LoraKey, rank: int) -> float:
        alpha, dim = self._kohya or (float(rank), None)
        if dim is not None and dim != rank:
            raise CheckpointError(
                f"{self.file} must say the alpha of {key.module}: its rank is {rank}, and ss_network_alpha {alpha:g} "
                f"is for ss_network_dim {dim:g}"
            )
        return alpha


def read_adapter_config(path: Path) -> Fields:
    """Read PEFT's `adapter_config.json`.

    Raises:
        CheckpointError: missing, damaged or no object.
    """
    return read_object(path, error=CheckpointError, most_bytes=_MOST_CONFIG_BYTES)


def _single(file: Path, key: LoraKey, tensor: torch.Tensor) -> float:
    if tensor.numel() != 1 or tensor.is_complex() or tensor.dtype == torch.bool:
        raise CheckpointError(
            f"{file} must hold one number as alpha of {key.module}, got shape {list(tensor.shape)}, {tensor.dtype}"
        )
    value = float(tensor)
    if not abs(value) <= _LARGEST:
        raise CheckpointError(
            f"{file} must hold a finite alpha of at most {_LARGEST:g} for {key.module}, got {value}; its rank is usual"
        )
    return value


def _scoped_configs(file: Path, metadata: Mapping[str, str]) -> dict[str, AdapterConfig]:
    """Return diffusers' settings by component: it writes "transformer.r", or "r" alone for a file of one component."""
    name = "lora_adapter_metadata"
    if name not in metadata:
        return {}
    where = f"{name} in the header of {file}"
    parsed = as_fields(parse_json(metadata[name], where, error=CheckpointError), where, error=CheckpointError)
    scopes: dict[str, dict[str, Any]] = {}
    for key, value in parsed.values.items():
        scope, _, field = key.rpartition(".")
        scopes.setdefault(scope, {})[field] = value
    return {
        scope: AdapterConfig(Fields(values, f"{where}: {scope}" if scope else where, CheckpointError))
        for scope, values in scopes.items()
        if not scope.startswith("text_encoder")
    }


def _training_config(file: Path, metadata: Mapping[str, str]) -> Fields | None:
    """Return what finetrainers writes, where it is JSON with alpha or rank."""
    where = f"lora_config in the header of {file}"
    if "lora_config" not in metadata:
        return None
    found = as_fields(parse_json(metadata["lora_config"], where, error=CheckpointError), where, error=CheckpointError)
    return found if "lora_alpha" in found or "r" in found else None


def _kohya_settings(file: Path, metadata: Mapping[str, str]) -> tuple[float, float | None] | None:
    alpha, dim = (_kohya_number(file, metadata, f"ss_network_{name}") for name in ("alpha", "dim"))
    return None if alpha is None else (alpha, dim)


def _kohya_number(file: Path, metadata: Mapping[str, str], name: str) -> float | None:
    text = metadata.get(name, "None").strip()
    # "Dynamic" stands in resized files, whose layers have tensors for it.
    if text in ("", "None", "null", "Dynamic"):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise CheckpointError(f"{file}: {name} in the header must be a finite number, got {shorten(text)}")
    return value
