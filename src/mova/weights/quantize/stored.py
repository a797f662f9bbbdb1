"""A stored component quantised into another one, tensor by tensor: no more than one shard is in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from mova.weights.components import verify_component, write_component
from mova.weights.quantize.layers import Quantizer, quantized_tensors
from mova.weights.quantize.layout import Method
from mova.weights.rows import StoredRows


def quantize_stored(
    source: Path,
    target: Path,
    method: Method,
    *,
    max_shard_size: int | str = "10GB",
    dtype: torch.dtype | None = None,
) -> dict[str, float]:
    """Write a tower or the bridge with quantised weights.

    In memory are the quantised tensors of one shard and one plain weight.

    Args:
        source: folder of the plain component.
        target: folder that appears when all its files are complete.
        method: float8, int8 or nf4.
        max_shard_size: in bytes, or as "16MB".
        dtype: dtype of what is not quantised; as stored if not given.

    Returns:
        The relative error of each quantised weight, by key.

    Raises:
        CheckpointError: the source is at fault, or the target cannot be written.
        MissingExtraError: the method needs bitsandbytes, which is not installed.
    """
    quantizer = Quantizer(method)
    component = verify_component(source)
    stored = StoredRows(source)
    for key, parameter in component.named_parameters():
        parameter.data = parameter.data.to(dtype or stored.read(key, slice(0, 0)).dtype)
    write_streamed(
        component, lambda key: stored.read(key, slice(None)), target, quantizer, max_shard_size=max_shard_size
    )
    return quantizer.errors


def write_streamed(
    component: nn.Module,
    read: Callable[[str], torch.Tensor],
    target: Path,
    quantizer: Quantizer | None = None,
    *,
    max_shard_size: int | str = "10GB",
) -> None:
    """Write a component whose tensors are read when their turn comes.

    Args:
        component: on the meta device, plain, in the dtypes that are to be written.
        read: returns the value of a key; asked once for each.
        target: folder that appears when all its files are complete.
        quantizer: quantises the large weights.
        max_shard_size: in bytes, or as "16MB".

    Raises:
        CheckpointError: the target cannot be written.
    """
    component = quantizer.prepare(component) if quantizer else component
    quantized_keys = set(quantized_tensors(component))
    dtypes = {key: tensor.dtype for key, tensor in component.state_dict().items()}
    # A weight and its scales are made together and may be asked for one after the other, or for two shards.
    waiting: dict[str, torch.Tensor] = {}

    def read_quantized(key: str) -> torch.Tensor:
        if key not in quantized_keys:
            return read(key).to(dtypes[key])
        if key not in waiting:
            weight_key = f"{key.rpartition('.')[0]}.weight"
            quantized = quantizer.quantize(weight_key, read(weight_key)) if quantizer else None
            assert quantized is not None, "every quantised key belongs to a layer that the quantizer prepared"
            waiting.update(quantized)
        return waiting.pop(key)

    write_component(component, target, max_shard_size=max_shard_size, read=read_quantized)
