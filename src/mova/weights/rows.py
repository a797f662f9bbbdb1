"""Rows of a component's stored tensors, for a process that holds a part of it only."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from mova.errors import CheckpointError
from mova.weights.components import verify_component
from mova.weights.files import inspect_component
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
        tensor = self.tensors[name]
        file = self.directory / tensor.file
        try:
            # Opened each time: what a file that stays open has read counts as this process's memory.
            with safe_open(file, framework="pt") as stored:
                part = stored.get_slice(name)
                if rows == slice(None):
                    whole: torch.Tensor = stored.get_tensor(name).clone()
                    return whole
                # An empty range is no range to the library.
                found: torch.Tensor = (part[rows] if rows.start < rows.stop else part[:1][:0]).clone()
                return found
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}") from error


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
