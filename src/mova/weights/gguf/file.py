"""GGUF files: names, shapes and formats from the header, tensors one at a time.

The layout is that of ggml's documentation (versions 2 and 3, little-endian): a header, metadata by key, a description
of every tensor, then their bytes. Sizes are stored from the last axis to the first. Tools for image and video models
note the true shape of a tensor that they had to reshape under `comfy.gguf.orig_shape.<name>`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from mova.errors import CheckpointError
from mova.files.json_file import shorten, shorten_text
from mova.weights.gguf.blocks import BLOCK_TYPES, BlockType, decode_blocks

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MAX_AXES = 8
_MOST_HEADER_BYTES = 32 * 2**20
_MOST_ENTRIES, _MOST_VALUES, _MOST_TEXT_BYTES, _MOST_ALIGNMENT = 2**17, 2**20, 2**20, 2**20
"""Of a header: entries of metadata and tensors, values of a list, bytes of a text, alignment. All are hundreds of times
what video models have; a tokenizer's list has 262,144 values."""
# By number of the value type; strings are 8 and arrays 9.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_SHAPE_KEY = "comfy.gguf.orig_shape."
_PREFIXES = ("model.diffusion_model.", "diffusion_model.")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor as the header describes it.

    Attributes:
        shape: shape of the tensor, first axis first.
        kind: format of its blocks.
        offset: offset of its bytes in the file.
        num_bytes: bytes of its blocks.
    """

    shape: tuple[int, ...]
    kind: BlockType
    offset: int
    num_bytes: int


class GgufFile:
    """A file whose header has been read and checked.

    Args:
        path: path of the file.

    Attributes:
        metadata: numbers, texts and lists by key.
        tensors: tensors by name, without the prefix that tools put before the names of a diffusion model.

    Raises:
        CheckpointError: it is missing, no GGUF file, damaged or cut short, or holds a format that is not known here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.exists() and not path.is_file():  # to open a pipe would wait for its other end
                raise ValueError("it is no file")
            with path.open("rb") as stream:
                header = _Header(stream, path.stat().st_size)
                self.metadata, described = header.read()
                start = header.data_start(self.metadata)
        except (OSError, struct.error, UnicodeDecodeError, OverflowError, ValueError) as error:
            raise CheckpointError(f"{path} must be a whole GGUF file: {shorten_text(str(error))}") from error
        size_bytes = path.stat().st_size
        self.tensors: dict[str, GgufTensor] = {}
        for name, (sizes, number, offset) in described.items():
            tensor = self._describe(name, sizes, number, start + offset)
            if tensor.offset + tensor.num_bytes > size_bytes:
                raise CheckpointError(
                    f"{path} is cut short: {shorten_text(name)!r} ends at byte "
                    f"{tensor.offset + tensor.num_bytes:,} of {size_bytes:,}"
                )
            key = next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
            if key in self.tensors:
                raise CheckpointError(f"{path} must hold each tensor once, got {shorten_text(key)!r} twice")
            self.tensors[key] = tensor

    def read(self, name: str, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return a tensor.

        Args:
            name: one of `tensors`.
            dtype: dtype of the numbers; as stored if not given, bfloat16 where they are stored in few bits.

        Raises:
            CheckpointError: the file cannot be read.
        """
        tensor = self.tensors[name]
        try:
            with self.path.open("rb") as stream:
                stream.seek(tensor.offset)
                data = bytearray(stream.read(tensor.num_bytes))
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {error}") from error
        if len(data) != tensor.num_bytes:
            raise CheckpointError(f"{self.path} is cut short: {name!r} has {len(data):,} of {tensor.num_bytes:,} bytes")
        return decode_blocks(torch.frombuffer(data, dtype=torch.uint8), tensor.kind, dtype).view(tensor.shape)

    def _describe(self, name: str, sizes: tuple[int, ...], number: int, offset: int) -> GgufTensor:
        quoted, kind = repr(shorten_text(name)), BLOCK_TYPES.get(number)
        if kind is None:
            known = ", ".join(known.name for known in BLOCK_TYPES.values())
            raise CheckpointError(f"{self.path}: blocks must be {known}, got ggml type {number} of {quoted}")
        shape = tuple(reversed(sizes))
        if 0 in shape:
            raise CheckpointError(f"{self.path}: sizes must be 1 or more, got {list(shape)} of {quoted}")
        if math.prod(shape) % kind.num_values or (shape and shape[-1] % kind.num_values):
            raise CheckpointError(
                f"{self.path}: rows of {kind.name} must be a multiple of {kind.num_values} long, got {list(shape)} of "
                f"{quoted}"
            )
        key = _SHAPE_KEY + name
        if key in self.metadata:
            true_shape = self.metadata[key]
            if not (isinstance(true_shape, list) and all(_is_size(size) for size in true_shape)):
                raise CheckpointError(
                    f"{self.path}: {shorten_text(key)} must be a list of sizes of 1 or more, got {shorten(true_shape)}"
                )
            if math.prod(true_shape) != math.prod(shape):
                raise CheckpointError(
                    f"{self.path}: {quoted} must have as many values as its true shape {shorten(true_shape)}, got "
                    f"{list(shape)}"
                )
            shape = tuple(true_shape)
        return GgufTensor(shape, kind, offset, math.prod(shape) // kind.num_values * kind.num_bytes)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class _Header:
    """Reads what comes before the tensors' bytes; raises `ValueError` for what cannot be true."""

    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self.stream, self.size_bytes = stream, size_bytes

    def read(self) -> tuple[dict[str, Any], dict[str, tuple[tuple[int, ...], int, int]]]:
        """Return the metadata, and by name: sizes (last axis first), number of the format, offset of the bytes."""
        if self.stream.read(4) != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        (version,) = self._numbers("I")
        if version not in _VERSIONS:
            raise ValueError(f"version must be 2 or 3, got {version}")
        num_tensors, num_keys = self._numbers("QQ")
        metadata = {}
        for _ in range(self._plausible(num_keys)):
            key = self._text()
            metadata[key] = self._value(self._numbers("I")[0])
        tensors = {}
        for _ in range(self._plausible(num_tensors)):
            name = self._text()
            (num_axes,) = self._numbers("I")
            if num_axes > _MAX_AXES or name in tensors:
                raise ValueError(f"tensor {shorten_text(name)!r} has {num_axes} axes or is there twice")
            sizes = self._numbers(f"{num_axes}Q")
            number, offset = self._numbers("IQ")
            tensors[name] = (sizes, number, offset)
        return metadata, tensors

    def data_start(self, metadata: dict[str, Any]) -> int:
        """Return where the tensors' bytes begin, after `read`."""
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if not _is_size(alignment) or alignment > _MOST_ALIGNMENT:
            raise ValueError(f"general.alignment must be 1 to {_MOST_ALIGNMENT}, got {shorten(alignment)}")
        return -(-self.stream.tell() // int(alignment)) * int(alignment)

    def _numbers(self, form: str) -> tuple[Any, ...]:
        layout = struct.Struct(f"<{form}")
        return layout.unpack(self.stream.read(layout.size))

    def _plausible(self, count: int, most: int = _MOST_ENTRIES) -> int:
        # Each takes a byte at least: a damaged count must not make anyone wait, or fill the memory.
        if count > min(self.size_bytes, most):
            raise ValueError(f"{count:,} entries cannot be in {self.size_bytes:,} bytes, or are more than {most:,}")
        if self.stream.tell() > _MOST_HEADER_BYTES:
            raise ValueError(f"its header must have at most {_MOST_HEADER_BYTES:,} bytes, got more")
        return count

    def _text(self) -> str:
        length = self._plausible(self._numbers("Q")[0], _MOST_TEXT_BYTES)
        return self.stream.read(length).decode("utf-8")

    def _value(self, kind: int, *, nested: bool = False) -> Any:
        if kind in _NUMBERS:
            return self._numbers(_NUMBERS[kind])[0]
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY and not nested:
            element, count = self._numbers("IQ")
            self._plausible(count, _MOST_VALUES)
            if element in _NUMBERS:
                return list(self._numbers(f"{count}{_NUMBERS[element]}"))
            return [self._value(element, nested=True) for _ in range(count)]
        raise ValueError(f"metadata of type {kind} is not known")
