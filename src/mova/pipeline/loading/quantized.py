"""Towers and bridge with quantised weights: rounded while a pipeline is loaded, LoRAs first, or read as stored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from mova.errors import CheckpointError
from mova.kernels.techniques import Technique, check_together
from mova.weights.components import component_class, kept_in_float32, load_component, read_config, stored_quantization
from mova.weights.lora.adapters import Lora
from mova.weights.lora.merge import MergeWhileReading
from mova.weights.quantize.codes import require_method
from mova.weights.quantize.layers import Quantizer, summarise_errors
from mova.weights.quantize.layout import Method, check_method, storage_method

logger = logging.getLogger(__name__)


def plan_quantization(
    folders: Mapping[str, Path], wanted: str | None, *, has_loras: bool = False, shard_weights: bool = False
) -> dict[str, Method]:
    """Settle how the weights of towers and bridge are quantised, from their configs alone.

    Args:
        folders: of the components, by name.
        wanted: one of the methods; None takes every component as it is stored.
        has_loras: LoRAs are to be merged, which is not possible into weights that are quantised already.
        shard_weights: processes are to hold rows of the weights, which quantised ones do not have.

    Returns:
        The method by component; those with plain weights are left out.

    Raises:
        ConfigError: an unknown method, or quantised weights that are to be shared by rows.
        CheckpointError: a component is stored quantised in another way than wanted, or LoRAs cannot be merged.
        MissingExtraError: a method needs bitsandbytes, which is not installed.
    """
    method = None if wanted is None else check_method(wanted)
    if method:
        require_method(method)
    methods: dict[str, Method] = {}
    for name, folder in folders.items():
        stored = stored_quantization(read_config(folder))
        if stored and has_loras:
            raise CheckpointError(
                f"LoRAs are merged before weights are quantised, got {name} stored in {stored}; give them with "
                f"the plain model and --quantize {stored}"
            )
        if stored and method and storage_method(method) != stored:
            raise CheckpointError(
                f"{name} in {folder.parent} is stored in {stored} and cannot be loaded in {method}; leave --quantize "
                f"out, or take the plain model"
            )
        chosen = method or stored
        if chosen:
            require_method(chosen)
            methods[name] = chosen
    if methods and shard_weights:
        given = ", ".join(sorted(set(methods.values())))
        check_together({Technique.QUANTISED: given, Technique.SHARDED: "shard_weights"})
    return methods


def load_quantized(
    folder: Path,
    method: Method,
    *,
    expected_class: str,
    dtype: torch.dtype,
    device: torch.device | str,
    loras: Sequence[tuple[Lora, float]] = (),
    is_resting: bool = False,
) -> nn.Module:
    """Load a tower or the bridge with quantised weights, one tensor after the other; the errors go to the log.

    Args:
        folder: of the component, which names it.
        method: as `plan_quantization` settled it.
        expected_class: published name that its config must carry.
        dtype: of what is not quantised. Parts that the class keeps in float32 are float32.
        device: where the weights go, and are quantised.
        loras: fitted adapters and their scales, merged before quantisation.
        is_resting: leave everything on the host, what is not quantised as it is stored; the device only quantises.

    Raises:
        CheckpointError: as `load_component`.
    """
    quantizer = Quantizer(method, torch.device(device) if is_resting else None)
    kept = kept_in_float32(component_class(expected_class), dtype)
    component = load_component(
        folder,
        expected_class=expected_class,
        dtype=None if is_resting else dtype,
        device="cpu" if is_resting else device,
        quantizer=quantizer,
        merge=MergeWhileReading(loras, folder.name, dtype, kept) if loras else None,
    )
    logger.info(
        "%s in %s: %s", folder.name, method, summarise_errors(quantizer.errors) if quantizer.errors else "as stored"
    )
    return component
