"""Encoded clips on disk, found by what they were made from: content, span, size and weights.

One file per clip and one per text, written whole or not at all, with a checksum. Many may be brought to the disk
together, which takes hardly longer than for one. One process at a time fills a cache; any number may read it.
`index.json` says in words with which settings a cache was filled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from mova.errors import DataError
from mova.files.json_file import read_json
from mova.weights.files import open_weights

IN_MEMORY = 6 * 2**30
"""Bytes of encoded clips and captions, as stored, that are kept in host memory; more are read when they are wanted."""
_INDEX = "index.json"
_CHECKSUM = "sha256"


class LatentCache:
    """A folder of tensors by key.

    Args:
        folder: made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return where the tensors of a key (a hexadecimal hash) are."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        """Return whether a key is there; its content is checked when it is read."""
        return self.path(key).is_file()

    def write(self, key: str, tensors: Mapping[str, torch.Tensor], about: str) -> None:
        """Write the tensors of a key.

        Raises:
            DataError: the folder cannot be written, or a tensor is not finite, which a file here never is.
        """
        self.settle([self.begin(key, tensors, about)])

    def begin(self, key: str, tensors: Mapping[str, torch.Tensor], about: str) -> tuple[Path, Path]:
        """Write the tensors of a key beside their place, for `settle` to put them there; errors as in `write`.

        Returns:
            The file as it is now, and its place.
        """
        path = self.path(key)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        held = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        if not is_finite(held):
            raise DataError(f"what is encoded must be finite numbers, got others for {about}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _store(partial, held, {"about": about, _CHECKSUM: checksum(held)})
        except (OSError, SafetensorError) as error:
            raise self._unwritable(error, [partial]) from error
        return partial, path

    def settle(self, begun: Sequence[tuple[Path, Path]]) -> None:
        """Put files in their places that `begin` wrote, once all of them are on the disk.

        Raises:
            DataError: the folder cannot be written.
        """
        try:
            for partial, _ in begun:
                _flush(partial)
            for partial, path in begun:
                partial.replace(path)
        except OSError as error:
            raise self._unwritable(error, [partial for partial, _ in begun]) from error

    def _unwritable(self, error: Exception, partials: Iterable[Path]) -> DataError:
        for partial in partials:
            with contextlib.suppress(OSError):
                partial.unlink()
        return DataError(f"encoded clips must be writable to {self.folder}: {error}")

    def read(self, key: str, *, check: bool = True) -> dict[str, torch.Tensor]:
        """Return the tensors of a key.

        Args:
            key: key of the tensors.
            check: whether to compute the checksum and look for numbers that are not finite.

        Raises:
            DataError: they are missing, cut short, changed or not finite; the text names the file.
        """
        path = self.path(key)
        advice = "remove it and it is made again"
        with open_weights(path, device="cpu", error=DataError, advice=advice) as stored:
            tensors = {name: stored.tensor(name) for name in stored.keys}
            expected = stored.metadata.get(_CHECKSUM)
        if check and expected != checksum(tensors):
            raise DataError(f"{path} is not what was written; remove it and it is made again")
        if check and not is_finite(tensors):
            raise DataError(f"{path} must hold finite numbers, and does not; remove it and it is made again")
        return tensors

    def size(self, key: str) -> int:
        """Return the bytes of a key on disk; 0 where it is not there."""
        try:
            return self.path(key).stat().st_size
        except OSError:
            return 0

    def fit_in_memory(self, keys: Iterable[str], besides: int = 0) -> bool:
        """Say whether some keys are few enough to be kept in host memory, beside other bytes."""
        return besides + sum(map(self.size, keys)) <= IN_MEMORY

    def sweep(self) -> None:
        """Remove what killed processes left half-written."""
        for partial in self.folder.glob("**/*.partial"):
            writer = partial.suffixes[-2].removeprefix(".") if len(partial.suffixes) > 1 else ""
            if writer.isdecimal() and not psutil.pid_exists(int(writer)):
                with contextlib.suppress(OSError):
                    partial.unlink()

    def free_bytes(self) -> int:
        """Return the free space of the disk that the folder is on, or will be."""
        place = next((place for place in (self.folder, *self.folder.absolute().parents) if place.exists()), Path.cwd())
        return shutil.disk_usage(place).free

    def is_sound(self, key: str) -> bool:
        """Return whether a key can be read and is what was written."""
        try:
            self.read(key)
        except DataError:
            return False
        return True

    def settings(self) -> list[dict[str, object]]:
        """Return the settings that the cache was filled with, in words, oldest first."""
        try:
            noted = read_json(self.folder / _INDEX, error=DataError)
        except DataError:
            return []
        return [settings for settings in noted if isinstance(settings, dict)] if isinstance(noted, list) else []

    def note(self, settings: Mapping[str, object]) -> None:
        """Add settings to the index, once."""
        present = self.settings()
        if dict(settings) in present:
            return
        partial = self.folder / f"{_INDEX}.{os.getpid()}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps([*present, dict(settings)], indent=1), encoding="utf-8")
            partial.replace(self.folder / _INDEX)
        except OSError as error:
            raise self._unwritable(error, [partial]) from error


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a SHA-256 over names, types, shapes and values of tensors on the CPU, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def is_finite(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Say whether tensors hold neither NaN nor infinity."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point())


def _store(path: Path, tensors: dict[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; the same tensors give the same bytes, which the library's own metadata do not."""
    stored = save(tensors)
    begin = 8 + int.from_bytes(stored[:8], "little")
    header = json.dumps({"__metadata__": metadata, **json.loads(stored[8:begin])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.write(memoryview(stored)[begin:])


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
