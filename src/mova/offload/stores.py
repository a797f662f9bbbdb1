"""Backing stores of offloaded blocks: pinned host memory, or the files that the weights are mapped from."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import torch

from mova.offload.mapped_pages import MappedFiles
from mova.offload.pinned import own_pages, pin
from mova.offload.readers import WeightReaders

StoreKind = Literal["host", "files"]

# Tensors begin at multiples of this many bytes: enough for every dtype and for wide loads on a GPU.
_ALIGNMENT = 256


def layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Return where pieces of so many bytes begin, and the bytes of all."""
    places, total = [], 0
    for size in sizes:
        places.append(total)
        total += -(-size // _ALIGNMENT) * _ALIGNMENT
    return places, total


class Pieces:
    """Tensors one after the other in a piece of memory.

    Args:
        shapes, dtypes: one per tensor.

    Attributes:
        places: byte at which each begins.
        total: bytes of all.
    """

    def __init__(self, shapes: Sequence[torch.Size], dtypes: Sequence[torch.dtype]) -> None:
        self.shapes, self.dtypes = list(shapes), list(dtypes)
        self._sizes = [shape.numel() * dtype.itemsize for shape, dtype in zip(shapes, dtypes, strict=True)]
        self.places, self.total = layout(self._sizes)

    def views(self, buffer: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensors in a buffer (bytes)."""
        return [
            buffer[place : place + size].view(dtype).view(shape)
            for place, size, dtype, shape in zip(self.places, self._sizes, self.dtypes, self.shapes, strict=True)
        ]


class HostStore:
    """Backing store in one piece of host memory, pinned where a GPU fetches from it.

    On a CPU weights keep the smaller of the two dtypes, the one that they come in and the one that is computed in.

    Args:
        tensors: weights of a block as they are now; they are copied.
        pieces: layout of the same weights in a slot.
        device: device that computes.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], pieces: Pieces, device: torch.device) -> None:
        dtypes = list(pieces.dtypes)
        if device.type != "cuda":
            pairs = zip(dtypes, tensors, strict=True)
            dtypes = [min(wanted, tensor.dtype, key=lambda dtype: dtype.itemsize) for wanted, tensor in pairs]
        self._pieces, self._slot_pieces = Pieces(pieces.shapes, dtypes), pieces
        self.buffer = own_pages(self._pieces.total)
        self._unpin = pin(self.buffer) if device.type == "cuda" else None
        self._stored = self._pieces.views(self.buffer)
        mapped = MappedFiles()
        for view, tensor in zip(self._stored, tensors, strict=True):
            view.copy_(tensor)
            mapped.forget([tensor])

    @property
    def num_bytes(self) -> int:
        """Bytes of host memory in use."""
        return self.buffer.numel()

    def tensors(self) -> list[torch.Tensor]:
        """Return the tensors in the backing store."""
        return self._stored

    def fill(self, buffer: torch.Tensor) -> None:
        """Copy the tensors into the buffer of a slot, on the current stream."""
        if self._pieces.dtypes == self._slot_pieces.dtypes:
            buffer[: self._pieces.total].copy_(self.buffer, non_blocking=True)
            return
        for view, tensor in zip(self._slot_pieces.views(buffer), self.tensors(), strict=True):
            view.copy_(tensor)

    def make_writable(self, index: int) -> None:
        """Nothing to do: what is here is a copy already."""

    def close(self) -> None:
        """Give pinned memory back to the system as plain memory; the weights stay in it."""
        if self._unpin:
            self._unpin()


class FileStore:
    """Backing store of weights that stay in the files they were mapped from, and are read each time they are needed.

    Args:
        tensors: weights of a block as they are now; not copied. Whatever lies in no file stays in its memory.
        pieces: layout of the same weights in a slot.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], pieces: Pieces) -> None:
        self._tensors, self._pieces = list(tensors), pieces
        mapped = MappedFiles()
        self._files = [mapped.find(tensor) for tensor in self._tensors]

    @property
    def num_bytes(self) -> int:
        """Bytes of host memory in use: those of tensors that lie in no file."""
        pairs = zip(self._tensors, self._files, strict=True)
        return sum(tensor.numel() * tensor.element_size() for tensor, file in pairs if file is None)

    def tensors(self) -> list[torch.Tensor]:
        """Return the tensors in the backing store."""
        return self._tensors

    def fill(self, buffer: torch.Tensor, readers: WeightReaders) -> None:
        """Read the tensors into a buffer on the host, by several threads."""
        readers.fill(zip(self._pieces.views(buffer), self._tensors, self._files, strict=True))

    def make_writable(self, index: int) -> None:
        """Give a tensor memory of its own, in the dtype that is computed in, to be changed."""
        if self._files[index]:
            self._tensors[index] = self._tensors[index].to(self._pieces.dtypes[index], copy=True)
            self._files[index] = None

    def close(self) -> None:
        """Nothing is held."""


def make_store(
    kind: StoreKind, tensors: Sequence[torch.Tensor], pieces: Pieces, device: torch.device
) -> HostStore | FileStore:
    """Return a backing store of the kind that is asked for; see the classes."""
    return HostStore(tensors, pieces, device) if kind == "host" else FileStore(tensors, pieces)


class Reader:
    """Prefetches blocks from files while others compute, one after the other, through buffers that are pinned on CUDA.

    A thread keeps the order; several read the parts of the block whose turn it is (see `WeightReaders`).

    Args:
        stream: CUDA stream of the copies to the device; None on a CPU, where files are read into the slot itself.
        num_bytes: bytes of the largest block.
    """

    def __init__(self, stream: Any, num_bytes: int) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._readers = WeightReaders()
        self._stream = stream
        self._staging = [torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True) for _ in range(2 if stream else 0)]
        self._sent = [torch.cuda.Event() for _ in self._staging]
        self._turn = 0

    def read(
        self, store: FileStore, buffer: torch.Tensor, num_bytes: int, left: object, arrived: object
    ) -> Future[None]:
        """Begin to fill a slot's buffer; return a future.

        Args:
            store: backing store of the block.
            buffer: buffer of the slot.
            num_bytes: bytes of the block in the buffer.
            left: event of the computing stream after which the buffer is free.
            arrived: event that is recorded when the copy is under way.
        """
        if self._stream is None:
            return self._thread.submit(store.fill, buffer, self._readers)
        return self._thread.submit(self._send, store, buffer, num_bytes, left, arrived)

    def close(self) -> None:
        """End the threads; what was begun is finished first."""
        self._thread.shutdown()
        self._readers.close()

    def _send(self, store: FileStore, buffer: torch.Tensor, num_bytes: int, left: Any, arrived: Any) -> None:
        turn, self._turn = self._turn, 1 - self._turn
        # The copy that used this buffer last must have left it.
        self._sent[turn].synchronize()
        store.fill(self._staging[turn], self._readers)
        self._stream.wait_event(left)
        with torch.cuda.stream(self._stream):
            buffer[:num_bytes].copy_(self._staging[turn][:num_bytes], non_blocking=True)
            self._sent[turn].record(self._stream)
            arrived.record(self._stream)
