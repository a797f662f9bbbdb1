"""Rows of a component's stored tensors, for a process that holds a part of it only."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mova.weights.components import verify_component
from mova.weights.files import inspect_component, open_weights
from mova.weights.quantize.codes import is_quantized


class StoredRows:
    """The tensors of a component on disk, read by their first axis.

    Args:
        directory: with config.json and safetensors files.

    Raises:
        CheckpointError: files are missing, damaged or do not agree with their index.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tensors = inspect_component(directory)

    def read(self, name: str, rows: slice) -> torch.Tensor:
        """Return some rows of a tensor, or with `slice(None)` all of it, as stored; nothing else of it is read.

        Raises:
            CheckpointError: the file cannot be read.
        """
        # Opened each time: what a file that stays open has read counts as this process's memory.
        with open_weights(self.directory / self.tensors[name].file, device="cpu") as stored:
            found = stored.tensor(name) if rows == slice(None) else stored.rows(name, rows)
            return found.clone()


def empty_component(directory: Path, expected_class: str, dtype: torch.dtype) -> nn.Module:
    """Return a stored component on the meta device, in the dtypes that `load_component` would give it.

    Args:
        directory: with config.json and safetensors files.
        expected_class: published name that the config must carry.
        dtype: dtype of floating-point weights. Parts that a class keeps in float32 are float32; quantised ones are as
            stored.

    Raises:
        CheckpointError: as `verify_component`.
    """
    component = verify_component(directory, expected_class)
    kept = set(getattr(component, "_keep_in_fp32_modules", None) or ())
    for name, parameter in component.named_parameters():
        if is_quantized(parameter):
            continue
        parameter.data = parameter.data.to(torch.float32 if kept & set(name.split(".")) else dtype)
    return component
