"""Names, shapes and dtypes in a safetensors file, read from its header without torch and without its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from mova.errors import CheckpointError


@dataclass(frozen=True)
class TensorHeader:
    """One tensor of a file.

    Attributes:
        shape: of the tensor.
        dtype: in the words of safetensors, such as BF16.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def num_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, TensorHeader]:
    """Read the header of one file.

    Raises:
        CheckpointError: missing, damaged or cut short.
    """
    try:
        with safe_open(file, framework="np") as stored:
            slices = {key: stored.get_slice(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
            return {key: TensorHeader(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} must be a whole safetensors file: {error}") from error


def read_headers(folder: Path) -> dict[str, TensorHeader]:
    """Read the headers of all weight files of a component; a folder without any gives an empty mapping."""
    return {key: header for file in sorted(folder.glob("*.safetensors")) for key, header in read_header(file).items()}
