"""The weight files of a component: which there are, what their headers say, and the one reader of safetensors files.

A component's weights are one safetensors file, or shards with an index that says which tensor is where. Other files
beside them (other variants, what an operating system puts there) are never read. No torch here.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from mova.errors import CheckpointError, MovaError
from mova.files.inside import check_plain_name
from mova.files.json_file import read_object, shorten_text

if TYPE_CHECKING:
    import torch

DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"
_STEMS = (DIFFUSERS_STEM, TRANSFORMERS_STEM)
MOST_HEADER_BYTES = 32 * 2**20
"""Largest header of a safetensors file that is read; the published models have 0.2 MB."""


_VARIANT: ContextVar[str | None] = ContextVar("variant", default=None)


@contextmanager
def use_variant(variant: str | None) -> Iterator[None]:
    """Read the files of a variant ("fp16": `diffusion_pytorch_model.fp16.safetensors`) of components that have it.

    Args:
        variant: letters, digits, dots and dashes; None is the plain files.

    Raises:
        CheckpointError: no name of a variant.
    """
    if variant is not None and not re.fullmatch(r"\w[\w.-]{0,40}", variant):
        raise CheckpointError(f"variant must be a word such as fp16, got {shorten_text(variant)!r}")
    before = _VARIANT.set(variant)
    try:
        yield
    finally:
        _VARIANT.reset(before)


def has_variant(directory: Path, variant: str) -> bool:
    """Say whether a component has weight files of a variant."""
    return any((directory / name).is_file() for stem in _STEMS for name in _names(stem, variant))


def _names(stem: str, variant: str | None) -> tuple[str, str]:
    """Return the names of the index and of the only weight file."""
    if variant is None:
        return f"{stem}.safetensors.index.json", f"{stem}.safetensors"
    return f"{stem}.safetensors.index.{variant}.json", f"{stem}.{variant}.safetensors"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a file's header describes it.

    Attributes:
        shape: shape of the tensor.
        dtype: safetensors' name, such as "BF16" or "F32".
        file: name of the file that holds it.
    """

    shape: tuple[int, ...]
    dtype: str
    file: str

    @property
    def num_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def key_shape_md5(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return the fingerprint of keys and shapes by which published checkpoints are recognised.

    The recipe is DiffSynth-Studio's: "name:dim_dim" and "name" for every tensor, sorted, joined by commas, MD5.
    """
    entries = [f"{key}:{'_'.join(str(size) for size in shape)}" for key, shape in shapes.items()]
    return hashlib.md5(",".join(sorted([*entries, *shapes])).encode(), usedforsecurity=False).hexdigest()


def inspect_component(directory: Path | str) -> dict[str, StoredTensor]:
    """List the tensors of a component from the headers of its files; no weights are read.

    Raises:
        CheckpointError: files are missing, damaged, cut short or do not agree with their index.
    """
    directory = Path(directory)
    index, files = weight_files(directory)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        for key, tensor in read_header(file).items():
            if key in tensors:
                raise CheckpointError(
                    f"tensor {shorten_text(key)!r} in {directory} must be stored once, found in "
                    f"{tensors[key].file} and {file.name}"
                )
            tensors[key] = tensor
    if index is not None:
        stored = {key: tensor.file for key, tensor in tensors.items()}
        wrong = [key for key in {**index, **stored} if index.get(key) != stored.get(key)]
        if wrong:
            key = min(wrong)
            raise CheckpointError(
                f"the index and the shards of {directory} must agree: first offending key {shorten_text(key)!r} should "
                f"be in {index.get(key, 'no file')} and is in {stored.get(key, 'no file')} ({len(wrong)} such keys)"
            )
    return tensors


def read_headers(directory: Path) -> dict[str, StoredTensor]:
    """List the tensors of a component as `inspect_component` does; a folder without weights gives an empty mapping."""
    return inspect_component(directory) if has_weights(directory) else {}


def has_weights(directory: Path) -> bool:
    """Say whether a folder has weight files, or an index of them."""
    variants = {None, _VARIANT.get()}
    return any(
        (directory / name).is_file() for stem in _STEMS for variant in variants for name in _names(stem, variant)
    )


def weight_files(directory: Path) -> tuple[dict[str, str] | None, list[Path]]:
    """Return the index of a component (None without shards), tensor to file name, and its weight files.

    Raises:
        CheckpointError: there are none, the index cannot be read, or names files that are missing.
    """
    variant = _VARIANT.get()
    variant = variant if variant is not None and has_variant(directory, variant) else None
    for stem in _STEMS:
        index_path, single = (directory / name for name in _names(stem, variant))
        if index_path.is_file():
            index = _read_index(index_path)
            if not index:
                raise CheckpointError(f"{index_path} must map tensors to files under weight_map, got none")
            files = [directory / name for name in sorted(set(index.values()))]
            absent = [file.name for file in files if not file.is_file()]
            if absent:
                raise CheckpointError(
                    f"{index_path} names {len(files)} shards, {len(absent)} missing: first {absent[0]}"
                )
            return index, files
        if single.is_file():
            return None, [single]
    raise CheckpointError(
        f"{directory} must hold {DIFFUSERS_STEM}.safetensors or {TRANSFORMERS_STEM}.safetensors (or shards and index)"
    )


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Read the header of one safetensors file: its tensors by name.

    Raises:
        CheckpointError: see `open_weights`.
    """
    with open_weights(file) as stored:
        return stored.header()


class OpenWeights:
    """A safetensors file that is open; tensors are read when they are asked for.

    Args:
        file: file that is open.
        handle: the library's handle of the file.
        error: class of the errors.
        advice: what follows each error.

    Attributes:
        keys: names of its tensors.
        metadata: texts of its header.
    """

    def __init__(self, file: Path, handle: Any, error: type[MovaError], advice: str) -> None:
        self.file, self._handle, self._error, self._advice = file, handle, error, advice
        self.keys: tuple[str, ...] = tuple(handle.keys())
        self.metadata: dict[str, str] = dict(handle.metadata() or {})

    def header(self) -> dict[str, StoredTensor]:
        """Return what the header says of each tensor."""
        with self._reading():
            slices = {key: self._handle.get_slice(key) for key in self.keys}
            return {
                key: StoredTensor(tuple(part.get_shape()), str(part.get_dtype()), self.file.name)
                for key, part in slices.items()
            }

    def tensor(self, key: str) -> torch.Tensor:
        """Return a tensor, which may be mapped from the file."""
        with self._reading(key):
            found: torch.Tensor = self._handle.get_tensor(key)
            return found

    def rows(self, key: str, rows: slice) -> torch.Tensor:
        """Return some rows of a tensor, start to stop of its first axis; nothing else of it is read."""
        with self._reading(key):
            part = self._handle.get_slice(key)
            # An empty range is no range to the library.
            found: torch.Tensor = part[rows] if rows.start < rows.stop else part[:1][:0]
            return found

    @contextmanager
    def _reading(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except (SafetensorError, OSError, ValueError, OverflowError) as error:
            raise _damaged(self.file, error, self._error, self._advice, key) from error


@contextmanager
def open_weights(
    file: Path,
    *,
    device: torch.device | str | None = None,
    error: type[MovaError] = CheckpointError,
    advice: str = "",
) -> Iterator[OpenWeights]:
    """Open a safetensors file: the one way of this package, with a bound on its header.

    Args:
        file: file to open.
        device: where tensors are read to; None where the header alone is wanted (no torch then).
        error: class of the errors, here and when a tensor is read.
        advice: what follows each error, such as "remove it and it is made again".

    Raises:
        MovaError: of the class `error`: missing, damaged, cut short, or a header beyond `MOST_HEADER_BYTES`; the text
            names the file, and the tensor if it is one that cannot be read.
    """
    try:
        _check_header_size(file, error)
        place = {"framework": "np"} if device is None else {"framework": "pt", "device": str(device)}
        handle = safe_open(file, **place)
    except (SafetensorError, OSError, ValueError, OverflowError) as failure:
        raise _damaged(file, failure, error, advice) from failure
    with handle as stored:
        yield OpenWeights(file, stored, error, advice)


def read_tensors(file: Path, device: torch.device | str) -> Iterator[tuple[str, torch.Tensor]]:
    """Read the tensors of a safetensors file one after the other; errors as `open_weights`."""
    with open_weights(file, device=device) as stored:
        for key in stored.keys:
            yield key, stored.tensor(key)


def _damaged(file: Path, failure: Exception, error: type[MovaError], advice: str, key: str = "") -> MovaError:
    size = file.stat().st_size if file.is_file() else 0
    tensor = f", tensor {shorten_text(key)!r}" if key else ""
    return error(
        f"{file} is damaged or cut short ({size} bytes){tensor}; it must be a whole safetensors file: "
        f"{shorten_text(str(failure))}{f'; {advice}' if advice else ''}"
    )


def _check_header_size(file: Path, error: type[MovaError]) -> None:
    if file.exists() and not file.is_file():  # to open a pipe would wait for its other end
        raise error(f"{file} must be a file, and is something else")
    with file.open("rb") as stream:
        size_bytes = int.from_bytes(stream.read(8), "little")
    if size_bytes > MOST_HEADER_BYTES:
        raise error(
            f"{file} must be a whole safetensors file with a header of at most {MOST_HEADER_BYTES:,} bytes, its first "
            f"8 bytes say {size_bytes:,}"
        )


def _read_index(path: Path) -> dict[str, str]:
    entries = read_object(path, error=CheckpointError).fields("weight_map")
    return {
        key: check_plain_name(entries.text(key), f"{entries.where}: {shorten_text(key)}", error=CheckpointError)
        for key in entries.values
    }
