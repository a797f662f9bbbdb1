"""The index of a training state, which torch.distributed.checkpoint writes as a pickle, read as plain data.

A pickle is a program. Here its few opcodes that an index needs only build records of names and values: no class is
looked up, nothing is called, and every size is held against the files that are really there. So a state of a stranger
may be damaged or refused, but it cannot act. An allow-list for `pickle.Unpickler` would not do: it still hashes keys of
any depth, which ends the process, and fills objects of the library with whatever it finds.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

from mova.files.json_file import shorten

# The index of 32 billion weights with two averages, spread over 64 processes, has some 100 MB.
_MOST_BYTES = 512 * 2**20
_MOST_DIMENSIONS = 16
_HERE = "torch.distributed.checkpoint.metadata."
_DTYPES: Final = {f"torch.{name}": one for name, one in vars(torch).items() if isinstance(one, torch.dtype)}
_KINDS: Final = frozenset(
    {
        *(f"{_HERE}{name}" for name in ("Metadata", "TensorStorageMetadata", "TensorProperties")),
        *(f"{_HERE}{name}" for name in ("ChunkStorageMetadata", "MetadataIndex", "StorageMeta")),
        f"{_HERE}_MEM_FORMAT_ENCODING",
        # How Python before 3.11.4 pickles a member of an enumeration; nothing is called here, it makes a record only.
        "builtins.getattr",
        "torch.distributed.checkpoint.filesystem._StorageInfo",
        "torch.serialization._get_layout",
        "torch.Size",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
        *_DTYPES,
    }
)


@dataclass(frozen=True)
class _Name:
    """A class or function that the pickle names; one of `_KINDS`."""

    text: str


@dataclass(eq=False)
class _Record:
    """What the pickle would have made an object of."""

    kind: str
    arguments: tuple[Any, ...]
    state: Any = None


def read_index(path: Path, files: Mapping[str, int]) -> Metadata:
    """Read the index of a state.

    Args:
        path: path of the index.
        files: bytes of every file that the tensors may be in, by plain name.

    Returns:
        What the library needs to load tensors, each of which is in the files as a whole.

    Raises:
        ValueError: it is no index, names something that no index needs, or does not fit the files.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{path.name} must have at most {_MOST_BYTES} bytes, got more")
    try:
        root = _Machine().run(content)
        return _Rebuilt(files, len(content)).metadata(root)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path.name} is no index of a state: {shorten(error)}") from error


class IndexedReader(FileSystemReader):
    """Loads tensors by an index that was read already; the library does not unpickle it again.

    Args:
        path: folder of the state.
        index: as `read_index` returned it.
    """

    def __init__(self, path: Path, index: Metadata) -> None:
        super().__init__(path)
        self._index = index

    def read_metadata(self, *_args: object, **_kwargs: object) -> Metadata:
        """Return the index."""
        self._index.storage_meta = StorageMeta(load_id=self.load_id)
        return self._index


def check_stored_plainly(path: Path, index: Metadata, names: frozenset[str]) -> None:
    """Refuse tensors that take more memory than they have bytes in the files: compressed ones.

    Args:
        path: folder of the state.
        index: index of the state.
        names: names of the tensors that are wanted.

    Raises:
        ValueError: a tensor is compressed, or no tensor of torch.
        OSError: a file cannot be read.
    """
    for place, stored in index.storage_data.items():
        if place.fqn not in names:
            continue
        with (path / stored.relative_path).open("rb") as file:
            try:
                with zipfile.ZipFile(_Window(file, stored.offset, stored.length)) as archive:
                    members = archive.infolist()
            except (zipfile.BadZipFile, NotImplementedError) as error:
                raise ValueError(f"{place.fqn} is no tensor of torch: {error}") from error
        held = sum(member.file_size for member in members)
        if held > stored.length or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError(f"{place.fqn} must be stored as it is, got it compressed")


class _Window(io.RawIOBase):
    """Some bytes of a file as a file of their own."""

    def __init__(self, file: io.BufferedReader, offset: int, length: int) -> None:
        self._file, self._offset, self._length, self._at = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._length - self._at)
        self._file.seek(self._offset + self._at)
        found = self._file.read(left if size is None or size < 0 else min(size, left))
        self._at += len(found)
        return found


class _Machine:
    """Runs the opcodes that an index needs; every other one is refused."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.run_one: dict[str, Callable[[Any], None]] = {
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "NONE": lambda _: self.stack.append(None),
            "NEWTRUE": lambda _: self.stack.append(True),
            "NEWFALSE": lambda _: self.stack.append(False),
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "TUPLE": lambda _: self.stack.append(tuple(self._since_mark())),
            "TUPLE1": lambda _: self.stack.append(tuple(self._last(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self._last(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self._last(3))),
            "MEMOIZE": lambda _: self.memo.__setitem__(len(self.memo), self.stack[-1]),
            "APPEND": lambda _: self._append(self._last(1)),
            "APPENDS": lambda _: self._append(self._since_mark()),
            "SETITEM": lambda _: self._set_items(self._last(2)),
            "SETITEMS": lambda _: self._set_items(self._since_mark()),
            "STACK_GLOBAL": lambda _: self._name(".".join(self._last(2))),
            "GLOBAL": lambda argument: self._name(argument.replace(" ", ".")),
            "NEWOBJ": lambda _: self._make(),
            "REDUCE": lambda _: self._make(),
            "BUILD": lambda _: self._build(),
        }
        for name in ("SHORT_BINUNICODE", "BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"):
            self.run_one[name] = self.stack.append
        for name in ("BINPUT", "LONG_BINPUT"):
            self.run_one[name] = lambda argument: self.memo.__setitem__(argument, self.stack[-1])
        for name in ("BINGET", "LONG_BINGET"):
            self.run_one[name] = lambda argument: self.stack.append(self.memo[argument])
        for name in ("PROTO", "FRAME"):
            self.run_one[name] = lambda _: None

    def run(self, content: bytes) -> Any:
        """Return what the pickle describes."""
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                (root,) = self.stack
                return root
            if opcode.name not in self.run_one:
                raise ValueError(f"its index has the opcode {opcode.name}, which no index needs")
            self.run_one[opcode.name](argument)
        raise ValueError("its index has no end")

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("its index takes more than it has")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def _append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("its index appends to what is no list")
        target.extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        # Hashing a tuple walks through all that is in it, however deep.
        if not isinstance(target, dict) or not all(isinstance(key, str | _Record) for key in values[::2]):
            raise ValueError("its index has keys that are no names")
        target.update(zip(values[::2], values[1::2], strict=True))

    def _name(self, text: str) -> None:
        if text not in _KINDS:
            raise ValueError(f"its index names {shorten(text)}, which no state needs")
        self.stack.append(_Name(text))

    def _make(self) -> None:
        kind, arguments = self._last(2)
        if not isinstance(kind, _Name) or not isinstance(arguments, tuple):
            raise ValueError("its index calls what has no name")
        self.stack.append(_Record(kind.text, arguments))

    def _build(self) -> None:
        record, state = self._last(2)
        if not isinstance(record, _Record):
            raise ValueError("its index fills what is no object")
        record.state = state
        self.stack.append(record)


class _Rebuilt:
    """Makes the library's own objects of records, each held against the files.

    Args:
        files: bytes by name.
        most_parts: more parts than this are not in an index of so many bytes, unless it names them again and again.
    """

    def __init__(self, files: Mapping[str, int], most_parts: int) -> None:
        self.files, self.left = files, most_parts

    def metadata(self, root: Any) -> Metadata:
        state = _state_of(root, "Metadata")
        stored = dict(self._stored(*pair) for pair in state["storage_data"].items())
        tensors = {
            str(name): self._tensor(str(name), one, stored) for name, one in state["state_dict_metadata"].items()
        }
        return Metadata(state_dict_metadata=dict(tensors), storage_data=stored)

    def _stored(self, place: Any, where: Any) -> tuple[MetadataIndex, _StorageInfo]:
        index, info = _state_of(place, "MetadataIndex"), _state_of(where, "_StorageInfo")
        name, offset, length = info["relative_path"], _count(info["offset"]), _count(info["length"])
        if info.get("transform_descriptors"):
            raise ValueError("its index wants files to be transformed, which no state needs")
        if not isinstance(name, str) or name not in self.files:
            raise ValueError(f"its index names {shorten(name)}, which is no file of the state")
        if offset + length > self.files[name]:
            raise ValueError(f"{name} has {self.files[name]} bytes, its index names {offset + length}")
        if not isinstance(index["fqn"], str):
            raise ValueError("its index has a tensor without a name")
        return MetadataIndex(index["fqn"], self._size(index["offset"])), _StorageInfo(name, offset, length)

    def _tensor(self, name: str, record: Any, stored: Mapping[MetadataIndex, _StorageInfo]) -> TensorStorageMetadata:
        state = _state_of(record, "TensorStorageMetadata")
        properties = _state_of(state["properties"], "TensorProperties")
        dtype = _DTYPES[properties[0].text]
        chunks = [self._chunk(chunk) for chunk in state["chunks"]]
        size = self._size(state["size"])
        if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
            raise ValueError(f"the parts of {name} do not make up {list(size)}")
        for chunk in chunks:
            held = stored[MetadataIndex(name, chunk.offsets)].length
            if math.prod(chunk.sizes) * dtype.itemsize > held:
                raise ValueError(f"a part of {name} of {list(chunk.sizes)} cannot be in {held} bytes")
        return TensorStorageMetadata(TensorProperties(dtype=dtype), size, chunks)

    def _chunk(self, record: Any) -> ChunkStorageMetadata:
        self.left -= 1
        if self.left < 0:
            raise ValueError("its index names the same parts again and again")
        state = _state_of(record, "ChunkStorageMetadata")
        return ChunkStorageMetadata(self._size(state["offsets"]), self._size(state["sizes"]))

    def _size(self, record: Any) -> torch.Size:
        if not isinstance(record, _Record) or record.kind != "torch.Size":
            raise ValueError("its index has a shape that is none")
        (values,) = record.arguments
        if not isinstance(values, tuple) or len(values) > _MOST_DIMENSIONS:
            raise ValueError("its index has a shape that is none")
        return torch.Size([_count(value) for value in values])


def _state_of(record: Any, kind: str) -> Any:
    """Return what a record of a kind is filled with."""
    if not isinstance(record, _Record) or record.kind.rpartition(".")[2] != kind:
        raise ValueError(f"its index lacks a {kind}")
    return record.state


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"its index has {shorten(value)} where a count must be")
    return value
