"""Clips of a source in a given order, decoded ahead by other processes, in bounded memory."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import active_children
from types import TracebackType
from typing import Self

import numpy as np
import psutil

from mova.cores import num_cores
from mova.data.shared_memory import SharedBlocks
from mova.data.sources.base import ClipSource, RawClip
from mova.data.workers import Workers, result_of
from mova.errors import MediaError
from mova.geometry import num_samples
from mova.media import media_file

MOST_BYTES_AHEAD = 4 * 2**30
"""Bytes of decoded clips that may wait at once; less where less memory is free."""
_ALIGNED = 64


@dataclass(frozen=True)
class Decoded:
    """A clip, or the reason why there is none.

    Attributes:
        index: index of the entry.
        clip: pixels and samples, to be read before `release` is called; None where they could not be read.
        problem: names the entry and what is wrong with it; empty where nothing is.
        release: gives the clip's memory to the next one.
    """

    index: int
    clip: RawClip | None
    problem: str = ""
    release: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class _Written:
    """Where in a block a clip was written, and what else is known of it."""

    frames: tuple[int, ...]
    waveform: tuple[int, ...]
    own_frames: int
    own_samples: tuple[tuple[int, int], ...]


class DecodedClips:
    """Gives clips in order; others are decoded meanwhile. Ends its processes with the block, at once.

    One worker is a thread of this process, and for a few clips there is no other: starting a process takes longer.

    Args:
        source: source of the clips.
        indices: entries, in the order in which they are wanted.
        workers: processes that decode; 0 takes one per core.
        at_once: clips that the caller holds together before it releases them.
    """

    def __init__(self, source: ClipSource, indices: Sequence[int], workers: int, at_once: int) -> None:
        self._source, self._indices = source, indices
        workers = workers or num_cores()
        self._size = max((_clip_bytes(source, index) for index in indices), default=1)
        room = min(MOST_BYTES_AHEAD, psutil.virtual_memory().available // 4) // self._size
        self._most = max(at_once + 1, min(at_once + 2 * workers, room))
        self._waiting: deque[tuple[int, int, Future[RawClip | _Written | str]]] = deque()
        self._blocks: SharedBlocks | None = None
        self._told: SharedBlocks | None = None
        self._others = set(active_children())
        self._pool: Executor
        if workers == 1 or len(indices) <= at_once or not SharedBlocks.is_available():
            self._pool = ThreadPoolExecutor(1, "decoder")
        else:
            self._blocks = SharedBlocks(self._most, self._size)
            threads = max(1, num_cores() // workers)
            # What a process is started with, it reads when it has begun; until then, more than a pipe holds would wait.
            self._told = SharedBlocks.of(pickle.dumps(source))
            self._pool = Workers(workers, _adopt, (self._told, self._blocks, threads))
        self._free = deque(range(self._most))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Work that nobody wants any more would be done to its end.
            for process in set(active_children()) - self._others:
                process.kill()
        self._pool.shutdown(wait=self._blocks is not None, cancel_futures=True)
        for blocks in (self._blocks, self._told):
            if blocks is not None:
                blocks.close()

    def __iter__(self) -> Iterator[Decoded]:
        ahead = iter(self._indices)
        for _ in self._indices:
            while self._free and (following := next(ahead, None)) is not None:
                self._submit(following)
            yield self._next()

    def _submit(self, index: int) -> None:
        number = self._free.popleft()
        job: Future[RawClip | _Written | str]
        if self._blocks is None:
            job = self._pool.submit(_load, self._source, index)
        else:
            job = self._pool.submit(_write_adopted, index, number)
        self._waiting.append((index, number, job))

    def _next(self) -> Decoded:
        index, number, job = self._waiting.popleft()
        found = result_of(job, "decode clips", f"near {self._source.entries[index].key}")
        if isinstance(found, str):
            self._free.append(number)
            return Decoded(index, None, found)
        if isinstance(found, _Written):
            assert self._blocks is not None, "only processes write into blocks"
            found = _clip_in(self._blocks.block(number), found)
        return Decoded(index, found, release=lambda: self._free.append(number))


def _clip_bytes(source: ClipSource, index: int) -> int:
    height, width = source.sizes[source.entries[index].bucket]
    samples = num_samples(source.num_frames, source.frame_rate, source.sample_rate)
    return _aligned(source.num_frames * height * width * 3) + _aligned(4 * samples)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _load(source: ClipSource, index: int) -> RawClip | str:
    try:
        return source.load(index)
    except (MediaError, OSError, EOFError) as error:
        return f"{source.entries[index].key}: {error}"


# Of a worker process: what it decodes, and where to.
_adopted: list[tuple[ClipSource, SharedBlocks]] = []


def _adopt(told: SharedBlocks, blocks: SharedBlocks, threads: int) -> None:
    _adopted[:] = [(pickle.loads(told.block(0).data), blocks)]
    media_file.use_threads(threads)


def _write_adopted(index: int, number: int) -> _Written | RawClip | str:
    source, blocks = _adopted[0]
    clip = _load(source, index)
    if isinstance(clip, str):
        return clip
    if _aligned(clip.frames.nbytes) + clip.waveform.nbytes > blocks.size or clip.waveform.dtype != np.float32:
        # A source that gives other clips than it says: they are sent as they are.
        return clip
    written = _Written(clip.frames.shape, clip.waveform.shape, clip.own_frames, clip.own_samples)
    there = _clip_in(blocks.block(number), written)
    there.frames[:], there.waveform[:] = clip.frames, clip.waveform
    return written


def _clip_in(block: np.ndarray, written: _Written) -> RawClip:
    frames_bytes, samples_bytes = int(np.prod(written.frames)), 4 * int(np.prod(written.waveform))
    begin = _aligned(frames_bytes)
    return RawClip(
        block[:frames_bytes].reshape(written.frames),
        block[begin : begin + samples_bytes].view(np.float32).reshape(written.waveform),
        written.own_frames,
        written.own_samples,
    )
