"""Encoded clips to a cache by a thread of its own, brought to the disk in groups."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import torch

from mova.data.cache import LatentCache
from mova.errors import DataError

GROUP_FILES: Final = 16
"""Files that are brought to the disk together; a run that is killed loses at most these, and those that wait."""
_GROUP_S: Final = 2.0
_WAITING: Final = 8


class CacheWriter:
    """Writes to a cache while the block goes on; when it ends, however it does, all that was given is on the disk.

    Args:
        cache: what is written to.
    """

    def __init__(self, cache: LatentCache) -> None:
        self._cache = cache
        self._given: queue.Queue[tuple[str, Mapping[str, torch.Tensor], str] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="cache writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def put(self, key: str, tensors: Mapping[str, torch.Tensor], about: str) -> None:
        """Hand over the tensors of a key; waits where the disk is slower than what encodes.

        Raises:
            DataError: something that was given before cannot be written, see `LatentCache.write`.
        """
        if self._error is not None:
            raise self._error
        self._given.put((key, tensors, about))

    def _work(self) -> None:
        begun: list[tuple[Path, Path]] = []
        since = time.monotonic()
        is_over = False
        while not is_over:
            try:
                given = self._given.get(timeout=max(0.0, since + _GROUP_S - time.monotonic()) if begun else None)
                is_over = given is None
            except queue.Empty:
                given = None
            if self._error is not None:
                continue
            try:
                if given is not None:
                    since = since if begun else time.monotonic()
                    begun.append(self._cache.begin(*given))
                if begun and (given is None or len(begun) >= GROUP_FILES or time.monotonic() - since >= _GROUP_S):
                    self._cache.settle(begun)
                    begun = []
            except BaseException as error:
                self._error = error
                # What was written before is whole; where it cannot be settled either, nothing is left of it.
                with contextlib.suppress(DataError):
                    self._cache.settle([pair for pair in begun if pair[0].exists()])
                begun = []
