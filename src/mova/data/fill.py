"""Clips into a cache as a pipeline: processes decode, one thread feeds the device, one encodes, one writes.

The order of the clips and how many are encoded together follow from the clips alone, and what is missing of a batch is
filled up with zeros; so every file is the same whatever the number of workers, and whenever the filling was begun.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch

from mova.codecs.video_beginnings import Beginning
from mova.data.cache import is_finite
from mova.data.cache_writer import CacheWriter
from mova.data.decoding import Decoded, DecodedClips
from mova.data.encode import ClipEncoder, ClipTensors, PlacedClips
from mova.data.known import FrameTask
from mova.data.sources.base import ClipSource

# Called with (clips done, clips in all).
OnProgress = Callable[[int, int], None]
FIELDS = ("video", "condition", "mask", "audio", "video_counted", "audio_counted")
_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class FillReport:
    """What became of some clips.

    Attributes:
        num_clips: clips that were to be encoded.
        failed: why some of them could not be, by index.
        seconds: from the first clip that was there to be encoded to the end of the last one.
        waited_s: seconds of those in which the encoder had no clip.
    """

    num_clips: int
    failed: Mapping[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    waited_s: float = 0.0

    def __str__(self) -> str:
        per_minute = 60.0 * (self.num_clips - len(self.failed)) / max(self.seconds, 1e-9)
        share = 100.0 * self.waited_s / max(self.seconds, 1e-9)
        advice = "; more of them (data.workers) may help" if share > 10 else ""
        return f"{per_minute:.3g} clips per minute; the encoder waited for workers {share:.0f} % of the time{advice}"


@dataclass(frozen=True)
class CacheFiles:
    """The keys of a cache under which clips are kept.

    Attributes:
        clips: of each entry of a source.
        known: by task, of what is known of each entry for that task.
        there: those that are there already.
    """

    clips: Sequence[str]
    known: Mapping[FrameTask, Sequence[str]] = field(default_factory=dict)
    there: frozenset[str] = frozenset()

    def of(self, index: int) -> list[str]:
        """Return the keys of an entry."""
        return [self.clips[index], *(keys[index] for keys in self.known.values())]

    def missing(self, index: int) -> list[str]:
        """Return those of an entry that are not there."""
        return [key for key in self.of(index) if key not in self.there]


@dataclass(frozen=True)
class _Batch:
    indices: Sequence[int]
    clips: PlacedClips | None
    problems: dict[int, str]


def fill_clips(
    source: ClipSource,
    files: CacheFiles,
    indices: Sequence[int],
    encoder: ClipEncoder,
    writer: CacheWriter,
    workers: int,
    on_progress: OnProgress | None = None,
) -> FillReport:
    """Encode clips and hand them to the writer of a cache.

    Args:
        source: source of the clips.
        files: cache keys of its entries.
        indices: entries that are to be encoded.
        encoder: encodes them.
        writer: writes them.
        workers: processes that decode; 0 takes one per core, 1 is a thread of this process.
        on_progress: called in this thread, before the first clip and after each batch.

    Raises:
        DataError: what is encoded cannot be written, or a worker was ended by somebody else.
    """
    total = len(indices)
    if not indices:
        return FillReport(total)
    if on_progress:
        on_progress(0, total)
    failed: dict[int, str] = {}
    done, waited_s, begun_s, ended_s = 0, 0.0, 0.0, 0.0
    for members in _alike(source, indices):
        size = source.sizes[source.entries[members[0]].bucket]
        at_once = encoder.at_once(size, source.num_frames)
        with DecodedClips(source, members, workers, at_once) as decoded, _Placed(encoder, decoded, at_once) as placed:
            asked_s = time.perf_counter()
            for batch in placed:
                now_s = time.perf_counter()
                waited_s += now_s - asked_s if begun_s else 0.0
                begun_s = begun_s or now_s
                failed |= batch.problems | _encode(source, files, batch, encoder, writer)
                done += len(batch.indices) + len(batch.problems)
                if on_progress:
                    on_progress(done, total)
                asked_s = ended_s = time.perf_counter()
    return FillReport(total, failed, ended_s - begun_s, waited_s)


def _encode(
    source: ClipSource, files: CacheFiles, batch: _Batch, encoder: ClipEncoder, writer: CacheWriter
) -> dict[int, str]:
    if batch.clips is None:
        return {}
    failed = {}
    encoded = _encoded(source, files, batch.indices, batch.clips, encoder)
    for index, made in zip(batch.indices, encoded, strict=True):
        name = source.entries[index].key
        if all(map(is_finite, made.values())):
            for key in files.missing(index):
                writer.put(key, made[key], name)
        else:
            failed[index] = f"{name} gives latents that are not finite numbers"
    return failed


def _encoded(
    source: ClipSource, files: CacheFiles, indices: Sequence[int], clips: PlacedClips, encoder: ClipEncoder
) -> list[dict[str, dict[str, torch.Tensor]]]:
    """Return what is made of each clip by its keys: all that one of them lacks, for all of them."""
    contents = [source.entries[index].content for index in indices]
    missing = {key for index in indices for key in files.missing(index)}
    tasks = [task for task, keys in files.known.items() if any(keys[index] in missing for index in indices)]
    made: list[dict[str, dict[str, torch.Tensor]]] = [{} for _ in indices]
    beginning = Beginning()
    if any(files.clips[index] in missing for index in indices):
        shared = (beginning,) if tasks else ()
        encoded: list[ClipTensors] = encoder.encode_placed(clips, contents, *shared)
        for index, tensors, clip in zip(indices, made, encoded, strict=True):
            tensors[files.clips[index]] = {name: getattr(clip, name) for name in FIELDS}
    if tasks:
        for index, tensors, known in zip(
            indices, made, encoder.encode_known(clips, contents, tasks, beginning), strict=True
        ):
            tensors |= {files.known[task][index]: known[task] for task in tasks}
    return made


class _Placed:
    """Batches on the device, brought there by a thread while the one before is encoded."""

    def __init__(self, encoder: ClipEncoder, decoded: DecodedClips, at_once: int) -> None:
        self._encoder, self._decoded, self._at_once = encoder, decoded, at_once
        self._ready: queue.Queue[_Batch | BaseException | None] = queue.Queue(1)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clips to the device", daemon=True)

    def __enter__(self) -> Iterator[_Batch]:
        self._thread.start()
        return iter(self._next, None)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over.set()
        if kind is None:
            self._thread.join()

    def _next(self) -> _Batch | None:
        # An interrupt is heard between two looks: one long wait would end only with what it waits for.
        while True:
            try:
                found = self._ready.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            return found

    def _work(self) -> None:
        try:
            for batch in self._batches():
                if not self._hand_over(batch):
                    return
            self._hand_over(None)
        except BaseException as error:
            self._hand_over(error)

    def _hand_over(self, found: _Batch | BaseException | None) -> bool:
        while not self._is_over.is_set():
            try:
                self._ready.put(found, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def _batches(self) -> Iterator[_Batch]:
        held: list[Decoded] = []
        problems: dict[int, str] = {}
        for one in self._decoded:
            if one.clip is None:
                problems[one.index] = one.problem
            else:
                held.append(one)
            if len(held) == self._at_once:
                yield self._placed(held, problems)
                held, problems = [], {}
        if held or problems:
            yield self._placed(held, problems)

    def _placed(self, held: Sequence[Decoded], problems: dict[int, str]) -> _Batch:
        clips = [one.clip for one in held if one.clip is not None]
        placed = self._encoder.place(clips, self._at_once) if clips else None
        for one in held:
            one.release()
        return _Batch([one.index for one in held], placed, problems)


def _alike(source: ClipSource, indices: Sequence[int]) -> list[list[int]]:
    """Return the indices of each size."""
    buckets = sorted({source.entries[index].bucket for index in indices})
    return [[index for index in indices if source.entries[index].bucket == bucket] for bucket in buckets]
