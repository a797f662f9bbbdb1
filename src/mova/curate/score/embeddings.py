"""Embeddings of all clips of a run: one file of half-precision rows for each space, beside the table of clips.

A row of 1024 numbers takes 2 KiB, more than all else that is known of a clip, so the table of clips has none of them.
The files are arrays of numpy, which are mapped and not read: what is looked at is in memory, and any row is found at
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from mova.curate.folder import OutputFolder
from mova.errors import DataError

if TYPE_CHECKING:
    from types import TracebackType

_KIND: Final = np.dtype("<f2")
_PIECE: Final = 16_384
_HEAD: Final = 128
"""Bytes before the rows; the format leaves room in them for any number of rows."""


def to_half(vector: np.ndarray) -> bytes:
    """Return a vector as half-precision bytes, the lowest first; b"" where it has no direction, or is not finite.

    Args:
        vector: (width,) of any precision.
    """
    with np.errstate(over="ignore"):
        half = np.asarray(vector, dtype=_KIND).reshape(-1)
    return half.tobytes() if np.isfinite(half).all() and half.any() else b""


def from_halves(halves: Sequence[bytes]) -> np.ndarray:
    """Return vectors as they were given: (N, width) float16.

    Args:
        halves: N of them, of one width.
    """
    return np.frombuffer(b"".join(halves), _KIND).reshape(len(halves), -1)


def space_file(table: Path, name: str) -> Path:
    """Return the file of the embeddings in a space.

    Args:
        table: of all clips after they were scored.
        name: of the space.
    """
    return table.parent / "embeddings" / f"{name}.npy"


def open_space(table: Path, name: str, count: int) -> np.ndarray | None:
    """Return the embeddings of all clips: (N, width) float16, mapped; zeros where a clip has none. None without a file.

    Args:
        table: of all clips after they were scored.
        name: of the space.
        count: rows of the table.

    Raises:
        DataError: the file is damaged, or of other clips.
    """
    path = space_file(table, name)
    if not path.exists():
        return None
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be an array of this run, and cannot be read: {error}") from error
    if rows.dtype != _KIND or rows.ndim != 2 or len(rows) != count:
        raise DataError(f"{path} must have {count} rows of {_KIND}, got {rows.shape} of {rows.dtype}; run it again")
    return np.asarray(rows)


def has_vector(rows: np.ndarray) -> np.ndarray:
    """Return which rows (N, width) have a vector: (N,) bool."""
    found = np.zeros(len(rows), bool)
    for start in range(0, len(rows), _PIECE):
        found[start : start + _PIECE] = rows[start : start + _PIECE].any(axis=1)
    return found


class SpaceWriter:
    """Writes the files of all spaces row by row; they take their names when the block ends well.

    Args:
        folder: of the run.
        table: of all clips, beside which they lie; files of spaces that no clip has are removed.
    """

    def __init__(self, folder: OutputFolder, table: Path) -> None:
        self._folder = folder
        self._table = table
        self._files: dict[str, tuple[IO[bytes], int]] = {}
        self._open = ExitStack()
        self._rows = 0

    def __enter__(self) -> SpaceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            for file, width in self._files.values():
                file.truncate(_HEAD + self._rows * width * _KIND.itemsize)
                file.seek(0)
                shape = (self._rows, width)
                np.lib.format.write_array_header_1_0(file, {"descr": _KIND.str, "fortran_order": False, "shape": shape})
                if file.tell() != _HEAD:
                    raise AssertionError("the head of an array must have the length that was left for it")
            folder = space_file(self._table, "").parent
            for path in folder.glob("*.npy") if folder.is_dir() else ():
                if path.stem not in self._files:
                    path.unlink()
        self._open.__exit__(kind, error, at)

    def add(self, embeddings: Mapping[str, tuple[np.ndarray, np.ndarray]], count: int) -> None:
        """Take the embeddings of further clips.

        Args:
            embeddings: by name of the space, places (M,) among the clips, and vectors (M, width) float16.
            count: of clips.

        Raises:
            DataError: a space has vectors of two widths.
        """
        for name, (places, vectors) in embeddings.items():
            file, width = self._file(name, vectors.shape[1])
            if vectors.shape[1] != width:
                raise DataError(f"embeddings in {name} must have {width} numbers each, got {vectors.shape[1]}")
            rows = np.zeros((count, width), _KIND)
            rows[places] = vectors
            file.seek(_HEAD + self._rows * width * _KIND.itemsize)
            file.write(rows.tobytes())
        self._rows += count

    def _file(self, name: str, width: int) -> tuple[IO[bytes], int]:
        if name not in self._files:
            partial: Any = self._open.enter_context(self._folder.replacing(space_file(self._table, name)))
            self._files[name] = self._open.enter_context(partial.open("wb")), width
        return self._files[name]
