"""Pickled LoRAs of trainers that write no safetensors, read without running anything of them."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from mova.errors import CheckpointError
from mova.files.json_file import Fields, shorten, shorten_text
from mova.weights.lora.adapters import Lora
from mova.weights.lora.alpha import read_adapter_config
from mova.weights.lora.file import make_lora
from mova.weights.lora.source import find_lora

MOST_BYTES: Final = 32 * 2**30
"""Largest pickled file that is read; adapters of rank 128 for all layers of the published model have 10 GB."""

_MOST_PICKLE_BYTES: Final = 16 * 2**20
_MOST_RECORDS: Final = 200_000
_STORAGES: Final = frozenset(
    f"torch {name}Storage" for name in ("Float", "Half", "BFloat16", "Double", "Byte", "Char", "Int", "Long", "Bool")
)
# All that a dictionary of tensors needs. Not even what PyTorch admits besides: bytearray takes any amount of memory.
_ADMITTED: Final = _STORAGES | {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch.storage UntypedStorage",
    "torch float8_e4m3fn",
    "torch float8_e5m2",
    "torch._utils _rebuild_tensor_v3",
}
_OFFICIAL_CONFIG = "lora_config.pt"


def read_pickled_lora(path: Path) -> Lora:
    """Read a LoRA that was pickled by PyTorch; no code of the file runs, and only tensors are taken from it.

    The official trainers of MOVA write two layouts: `lora_weights.pt` as one dictionary of tensors beside a
    `lora_config.pt`, or with tensors under `lora_state_dict` beside rank and alpha.

    Args:
        path: a file, or a folder with one.

    Raises:
        CheckpointError: another kind of file, one that asks for more than tensors, is larger than `MOST_BYTES` or
            promises more than it holds, or as `read_lora`.
    """
    source = find_lora(path)
    content = _load(source.weights)
    settings: dict[str, Any] = {}
    if isinstance(content.get("lora_state_dict"), dict):
        tensors = content["lora_state_dict"]
        said = {"r": content.get("rank"), "lora_alpha": content.get("alpha")}
        settings = {name: value for name, value in said.items() if value is not None}
    elif isinstance(content.get("state_dict"), dict):
        tensors = content["state_dict"]
    else:
        tensors = content
        settings = _official_settings(source.weights, tensors)
    _check_tensors(source.weights, tensors)
    config = Fields(settings, f"{source.weights}", CheckpointError) if settings else None
    if source.config is not None:
        config = read_adapter_config(source.config)
    return make_lora(source.weights, tensors, {}, config)


def _load(file: Path) -> dict[Any, Any]:
    _check_archive(file)
    try:
        # Mapped: the tensors stay on disk until they are written.
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what PyTorch raises on damaged files is of any class
        raise CheckpointError(f"{file} cannot be read without running its code: {_first_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} must hold a dictionary of tensors, got {type(content).__name__}")
    return content


def _check_archive(file: Path) -> None:
    """Refuse what `torch.load` should not see at all: too large, compressed, or naming more than tensors."""
    size = file.stat().st_size if file.is_file() else 0
    if size > MOST_BYTES:
        raise CheckpointError(f"{file} must have at most {MOST_BYTES} bytes, got {size}")
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            # Stored records have their size in the file; compressed ones could take any amount of memory.
            if len(records) > _MOST_RECORDS or any(one.compress_type != zipfile.ZIP_STORED for one in records):
                raise CheckpointError(f"{file} must hold at most {_MOST_RECORDS} records, none of them compressed")
            pickles = [one for one in records if one.filename.endswith("data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
                raise CheckpointError(f"{file} must hold one data.pkl of at most {_MOST_PICKLE_BYTES} bytes")
            code = archive.read(pickles[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise CheckpointError(
            f"{file} must be a file of torch.save as PyTorch 1.6 and later write it: {_first_line(error)}"
        ) from error
    for named in _globals(file, code):
        if named not in _ADMITTED:
            raise CheckpointError(
                f"{file} must hold tensors in dictionaries and nothing else, it asks for "
                f"{shorten(named.replace(' ', '.'))}; nothing of it was run"
            )


def _globals(file: Path, code: bytes) -> list[str]:
    """Return every name that a pickle looks up; those made up while it runs are refused by `torch.load` itself."""
    found = []
    try:
        for opcode, argument, _ in pickletools.genops(code):
            if opcode.name in ("GLOBAL", "INST"):
                found.append(str(argument))
            elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
                found.append(opcode.name)
    except (ValueError, UnicodeDecodeError, IndexError, OverflowError) as error:
        raise CheckpointError(f"{file} must hold a whole pickle: {_first_line(error)}") from error
    return found


def _check_tensors(file: Path, tensors: Mapping[Any, Any]) -> None:
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"{file} must hold tensors by name and nothing else, got {type(value).__name__} as {shorten(key)}"
            )
        # A tensor of one number can pretend to have a billion.
        if value.layout is not torch.strided or value.nbytes > value.untyped_storage().nbytes():
            raise CheckpointError(f"{file} must hold every number of {shorten(key)}, got fewer than its shape says")


def _official_settings(file: Path, tensors: Mapping[Any, Any]) -> dict[str, Any]:
    """Return rank and alpha from the official trainer's `lora_config.pt`.

    It writes the name of a class or 16 as the rank, whatever was trained: such a file says nothing.
    """
    config = file.with_name(_OFFICIAL_CONFIG)
    if file.name != "lora_weights.pt" or not config.is_file():
        return {}
    said = _load(config)
    downs = [value for key, value in tensors.items() if "lora_A" in str(key)]
    ranks = {value.shape[0] for value in downs if isinstance(value, torch.Tensor) and value.ndim}
    rank = said.get("rank")
    if isinstance(rank, bool) or not isinstance(rank, int) or ranks != {rank}:
        return {}
    alpha = said.get("alpha")
    return {"r": rank} if alpha is None else {"r": rank, "lora_alpha": alpha}


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return shorten_text(text.splitlines()[0] if text else type(error).__name__)
