"""Host memory that a GPU fetches from and writes to: pinned where it is, and used again without being pinned anew."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable

import torch

# Bytes of a page of host memory, and CUDA's flag for memory that is pinned for every context.
_PAGE, _PORTABLE = 4096, 1


def own_pages(num_bytes: int) -> torch.Tensor:
    """Return a buffer that shares no page of memory with another: pages are pinned as a whole, and once."""
    room = -(-num_bytes // _PAGE) * _PAGE
    buffer = torch.empty(room + _PAGE, dtype=torch.uint8)
    start = -buffer.data_ptr() % _PAGE
    return buffer[start : start + num_bytes]


def pin(buffer: torch.Tensor) -> Callable[[], object]:
    """Pin a buffer where it is; return what undoes it. torch's own pinned memory comes in powers of two bytes."""
    runtime = torch.cuda.cudart()
    torch.cuda.check_error(int(runtime.cudaHostRegister(buffer.data_ptr(), buffer.numel(), _PORTABLE)))
    return weakref.finalize(buffer, runtime.cudaHostUnregister, buffer.data_ptr())


class HostCopy:
    """A tensor in a buffer of `HostBuffers`, which goes back there when nobody has this object any more.

    Attributes:
        tensor: contiguous.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class HostBuffers:
    """Buffers of host memory for copies of one stream, pinned for a GPU, each used again for a tensor of its size.

    They never hold more bytes than were in use at once. What fills and reads them is queued on one stream, so a buffer
    may be taken again while the copy before is still under way.

    Args:
        device: the host's memory is pinned where it is a GPU.

    Attributes:
        num_made: buffers that were made so far.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[torch.Tensor] = []
        self._used = self._most = 0
        self.num_made = 0

    @property
    def num_bytes(self) -> int:
        """Bytes of all buffers, in use or free."""
        return self._used + sum(buffer.numel() for buffer in self._free)

    def take(self, shape: torch.Size, dtype: torch.dtype) -> HostCopy:
        """Return room for a tensor; what is in it is left over from before."""
        num_bytes = math.prod(shape) * dtype.itemsize
        buffer = self._taken(num_bytes)
        self._used += num_bytes
        self._most = max(self._most, self._used)
        self._trim()
        copy = HostCopy(buffer.view(dtype).view(shape))
        weakref.finalize(copy, self._give_back, buffer)
        return copy

    def _taken(self, num_bytes: int) -> torch.Tensor:
        # By place: whatever is given back meanwhile comes behind.
        for index in range(len(self._free)):
            if self._free[index].numel() == num_bytes:
                return self._free.pop(index)
        self.num_made += 1
        buffer = own_pages(num_bytes)
        if self._device.type == "cuda" and num_bytes:
            pin(buffer)
        return buffer

    def _give_back(self, buffer: torch.Tensor) -> None:
        self._used -= buffer.numel()
        self._free.append(buffer)

    def _trim(self) -> None:
        """Let go of what has waited longest, so far as there is more than was ever in use."""
        while self._free and self.num_bytes > self._most:
            if self._device.type == "cuda":
                # A copy that was queued may still write to it.
                torch.cuda.synchronize(self._device)
            self._free.pop(0)
