"""Complete training states on disk, through torch.distributed.checkpoint: all of a state or nothing of it.

A state is a flat mapping of tensors (plain ones, or sharded ones of FSDP2, of which every process writes its part) and
a JSON object for everything else. It is written under a temporary name, flushed and renamed; a manifest holds the
SHA-256 of every file. The layout of the files does not depend on the number of processes that read them.

The library's index of a state is a pickle. It is read as plain data (`state_index`): nothing of a state is unpickled,
whatever its manifest says, and no file outside of its folder is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_sharded
from torch.distributed.checkpoint.state_dict_saver import save as save_sharded

from mova.distributed.mesh import ALONE, Parallel
from mova.errors import CheckpointError
from mova.files.json_file import Fields, read_object, shorten
from mova.train.loop.state_index import IndexedReader, check_stored_plainly, read_index

_NAME = re.compile(r"step_\d{8,}")
_MANIFEST = "state.json"
_INDEX = ".metadata"
_PARTIAL = ".partial"
_FORMER_FILE = "state.pt"
_BLOCK = 2**20
# Reading everything again takes too long beyond this many bytes; sizes are compared then.
_MAX_HASHED = 16 * 2**30


def save_state(
    folder: Path,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    values: Mapping[str, object],
    *,
    keep: int,
    parallel: Parallel = ALONE,
) -> Path:
    """Write a state as `folder/step_NNNNNNNN`; a crash at any point leaves every complete state intact.

    Every process calls this with its own tensors; what several of them hold under one name is written once. A step
    that is already there is not written again: the same run makes the same state.

    Args:
        folder: folder of the run's checkpoints.
        step: optimiser steps done.
        tensors: tensors by name.
        values: what JSON can hold; rank 0's are kept.
        keep: how many of the newest states stay.
        parallel: this process among the others.

    Returns:
        The state's folder.

    Raises:
        CheckpointError: there is no room, or the folder cannot be written; earlier states are as they were.
    """
    target = folder / f"step_{step:08d}"
    partial = target.with_name(target.name + _PARTIAL)
    if parallel.broadcast_flag(_is_complete(target), _device_of(tensors)):
        return target
    needed = sum(_local_bytes(tensor) for tensor in tensors.values()) * parallel.world_size
    try:
        if parallel.is_main:
            _clear(partial)
            partial.mkdir(parents=True)
            _check_room(folder, needed)
        parallel.barrier()
        with _alone_is_meant():
            save_sharded(dict(tensors), storage_writer=FileSystemWriter(partial), no_dist=parallel.mesh is None)
        if parallel.is_main:
            _finish(partial, target, {"step": step, "values": dict(values)})
            _prune(folder, keep)
        parallel.barrier()
    except (OSError, CheckpointException, RuntimeError) as error:
        if parallel.is_main:
            shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"{target} could not be written: {_reason(error)}; it needs {needed / 1e6:.1f} MB and "
            f"{_free(folder) / 1e6:.1f} MB are free; earlier states are intact"
        ) from error
    return target


def list_states(folder: Path) -> list[Path]:
    """Return the complete states below `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and _is_complete(path)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step_")))


def newest_values(folder: Path) -> Fields | None:
    """Return the values of the newest complete state without a look at its tensors; None where there is none.

    Raises:
        CheckpointError: its manifest is damaged.
    """
    states = list_states(folder)
    if not states:
        return None
    try:
        return read_object(states[-1] / _MANIFEST, error=CheckpointError).fields("values")
    except CheckpointError as error:
        raise _damaged(states[-1], error) from error


class StoredState:
    """A state on disk, checked against its manifest.

    Args:
        path: its folder.

    Raises:
        CheckpointError: a file is missing, cut short, changed, or none of a state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            manifest = read_object(path / _MANIFEST, error=CheckpointError)
            self.step, self.values = manifest.integer("step", least=0), manifest.fields("values").values
            sizes = _check_files(path, manifest.fields("files"))
            self._index = read_index(path / _INDEX, sizes)
        except (OSError, ValueError, CheckpointError) as error:
            raise _damaged(self.path, error) from error
        self.tensors = {
            name: (tuple(entry.size), entry.properties.dtype)
            for name, entry in self._index.state_dict_metadata.items()
            if isinstance(entry, TensorStorageMetadata)
        }

    def read_into(self, tensors: Mapping[str, torch.Tensor], parallel: Parallel = ALONE) -> None:
        """Fill tensors of the stored names and shapes, in place; sharded ones get their part.

        Raises:
            CheckpointError: a name that is not stored, another shape, or a file that cannot be read.
        """
        for name, tensor in tensors.items():
            shape = self.tensors.get(name, (None, None))[0]
            if shape != tuple(tensor.shape):
                held = "nothing of that name" if shape is None else f"one of {list(shape)}"
                raise CheckpointError(f"{self.path} must hold {name} of {list(tensor.shape)}, it holds {held}")
        try:
            check_stored_plainly(self.path, self._index, frozenset(tensors))
            with _alone_is_meant():
                reader = IndexedReader(self.path, self._index)
                load_sharded(dict(tensors), storage_reader=reader, no_dist=parallel.mesh is None)
        except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError, CheckpointException) as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, error: BaseException) -> CheckpointError:
    former = [state for state in list_states(path.parent) if state != path]
    fall_back = f"fall back to {former[-1].name}" if former else "begin anew"
    return CheckpointError(f"{path} cannot be read ({_reason(error)}); remove it to {fall_back}")


def newest_state(folder: Path) -> StoredState | None:
    """Return the newest complete state below `folder`, or None where there is none.

    Raises:
        CheckpointError: it is damaged, or the folder holds states of a former format only.
    """
    states = list_states(folder)
    if not states:
        former = sorted(folder.glob(f"step_*/{_FORMER_FILE}")) if folder.is_dir() else []
        if former:
            raise CheckpointError(f"{former[-1].parent} is a state of a former format, which this release cannot read")
        return None
    return StoredState(states[-1])


@contextmanager
def _alone_is_meant() -> Iterator[None]:
    """Keep the library from warning that there is no process group where none is wanted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        yield


def _is_complete(path: Path) -> bool:
    # The folder takes this name only when all files are there, see `_finish`.
    return (path / _MANIFEST).is_file()


def _finish(partial: Path, target: Path, manifest: dict[str, Any]) -> None:
    written = sorted(partial.iterdir())
    hashed = sum(file.stat().st_size for file in written) <= _MAX_HASHED
    files = {
        file.name: {
            "bytes": file.stat().st_size,
            "sha256": _sha256(file) if hashed or file.name == _INDEX else None,
        }
        for file in written
    }
    text = json.dumps(manifest | {"files": files}, indent=1)
    with (partial / _MANIFEST).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(partial)
    # Only what a crash in the middle of pruning left can stand in the way.
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _sync_folder(target.parent)


def _check_files(path: Path, listed: Fields) -> dict[str, int]:
    """Hold the files of a state against its manifest; return their bytes by name.

    Raises:
        ValueError: one is not what was written, or not named by its manifest.
        OSError: one cannot be read.
    """
    if _INDEX not in listed:
        raise ValueError(f"{_INDEX} is not in its manifest")
    # Only what the folder has is opened: a name of the manifest is no path. Other files beside them do not matter.
    present = {file.name for file in path.iterdir()}
    sizes: dict[str, int] = {}
    for name in listed.values:
        if name not in present:
            raise ValueError(f"{shorten(name)} is missing")
        file, entry = path / name, listed.fields(name)
        sizes[name] = entry.integer("bytes", least=0)
        # A link leads to what may be of any size, or never end.
        if file.is_symlink() or not file.is_file() or file.stat().st_size != sizes[name]:
            raise ValueError(f"{name} is not what was written")
        if entry.values.get("sha256") is not None and _sha256(file) != entry.text("sha256"):
            raise ValueError(f"{name} is not what was written")
    return sizes


def _prune(folder: Path, keep: int) -> None:
    kept = list_states(folder)[-keep:]
    for old in list(folder.iterdir()):
        name = old.name.removesuffix(_PARTIAL)
        if _NAME.fullmatch(name) and old not in kept:
            if old.name == name:
                # Under the temporary name first: a state that is half removed must not count as one.
                old = old.rename(old.with_name(name + _PARTIAL))
            shutil.rmtree(old)


def _clear(partial: Path) -> None:
    if partial.exists():
        shutil.rmtree(partial)


def _check_room(folder: Path, needed: int) -> None:
    if _free(folder) < needed:
        raise OSError("no room")


def _free(folder: Path) -> int:
    present = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    return shutil.disk_usage(present).free


def _local_bytes(tensor: torch.Tensor) -> int:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.numel() * local.element_size()


def _device_of(tensors: Mapping[str, torch.Tensor]) -> torch.device:
    return next((tensor.device for tensor in tensors.values()), torch.device("cpu"))


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # The library wraps what a process met and puts it last.
    return lines[-1] if isinstance(error, CheckpointException) else lines[0]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
