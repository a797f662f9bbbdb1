"""Counts the bytes of tensors that operations make and that are still alive, of real tensors or of fake ones.

A step can be run on tensors that have shapes and dtypes but no memory (torch's `FakeTensorMode`): what it would take is
then counted in a moment, whatever its size, with the same code that trains.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Within `with`: keeps count of every storage that an operation makes, once, until it is gone.

    What is made before is not counted, nor what a kernel takes and gives back inside.

    Attributes:
        alive_bytes: bytes of storages made here that exist now.
        peak_bytes: most of them at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive_bytes = 0
        self.peak_bytes = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, _types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {id(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if _has_memory(one)}
        result = func(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if _has_memory(one):
                storage = one.untyped_storage()
                # A view, or what was changed in place, is no new memory.
                if id(storage) not in given and id(storage) not in self._known:
                    self._add(storage)
        return result

    def _add(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        self._known[key] = size
        self.alive_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.alive_bytes)
        weakref.finalize(storage, self._remove, key).atexit = False

    def _remove(self, key: int) -> None:
        self.alive_bytes -= self._known.pop(key)


def _has_memory(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and value.device.type != "meta"
