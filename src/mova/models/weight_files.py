"""The weight files of a component: which there are, and what their headers say; no weights are read.

A component's weights are one safetensors file, or shards with an index that says which tensor is where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from mova.errors import CheckpointError

DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a file's header describes it.

    Attributes:
        shape: of the tensor.
        dtype: safetensors' name, such as "BF16" or "F32".
        file: name of the file that holds it.
    """

    shape: tuple[int, ...]
    dtype: str
    file: str


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
        for key, tensor in _read_header(file).items():
            if key in tensors:
                raise CheckpointError(
                    f"tensor {key!r} must be stored once, found in {tensors[key].file} and {file.name}"
                )
            tensors[key] = tensor
    if index is not None:
        stored = {key: tensor.file for key, tensor in tensors.items()}
        wrong = [key for key in {**index, **stored} if index.get(key) != stored.get(key)]
        if wrong:
            key = min(wrong)
            raise CheckpointError(
                f"the index and the shards of {directory} must agree: first offending key {key!r} should be in "
                f"{index.get(key, 'no file')} and is in {stored.get(key, 'no file')} ({len(wrong)} such keys)"
            )
    return tensors


def weight_files(directory: Path) -> tuple[dict[str, str] | None, list[Path]]:
    """Return the index of a component (None without shards), tensor to file name, and its weight files.

    Raises:
        CheckpointError: there are none, the index cannot be read, or names files that are missing.
    """
    for stem in (DIFFUSERS_STEM, TRANSFORMERS_STEM):
        index_path = directory / f"{stem}.safetensors.index.json"
        single = directory / f"{stem}.safetensors"
        if index_path.is_file():
            index = _read_index(index_path)
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


def _read_index(path: Path) -> dict[str, str]:
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {str(key): str(Path(name).name) for key, name in weight_map.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} must map tensors to files under weight_map: {error!r}") from error


def _read_header(file: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(file, framework="pt") as stored:
            slices = {key: stored.get_slice(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
            return {
                key: StoredTensor(tuple(part.get_shape()), str(part.get_dtype()), file.name)
                for key, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise CheckpointError(f"{file} is damaged or cut short ({size} bytes): {error}") from error
