"""Encoded clips for training: from a cache that is filled first, or encoded at every step for comparison."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mova.distributed.mesh import Parallel
from mova.errors import DataError, ReadError
from mova.train.batch import ClipFacts, LatentBatch
from mova.train.cache import LatentCache
from mova.train.checkpoint import ALONE
from mova.train.config.data import DataConfig, ToyDataConfig
from mova.train.config.run import Compute
from mova.train.encode import CLIP_PARTS, TEXT_PARTS, ClipEncoder, Encoding, TextEncoder, fingerprint, sample_rate_of
from mova.train.sources.base import ClipEntry, ClipSource, RawClip, Split, digest, fraction
from mova.train.sources.files import MediaSource
from mova.train.sources.toy import ToySource

logger = logging.getLogger(__name__)

# Called with (clips done, clips in all).
OnProgress = Callable[[int, int], None]
_ENCODED_AT_ONCE = 8
_FIELDS = ("video", "condition", "mask", "audio", "video_counted", "audio_counted")
# Bytes of clips, as they are stored, that are kept in memory; more are read when they are wanted.
_IN_MEMORY = 6 * 2**30


def open_source(data: DataConfig, split: Split, model: Path, memory: Path | None = None) -> ClipSource:
    """Return the clips of a split, at the rate of a model's audio autoencoder.

    Raises:
        DataError: the clips cannot be used.
        CheckpointError: the model has no audio autoencoder.
    """
    rate = sample_rate_of(model)
    return ToySource(data, split, rate) if isinstance(data, ToyDataConfig) else MediaSource(data, split, rate, memory)


def open_latents(
    data: DataConfig,
    split: Split,
    *,
    model: Path,
    cache: Path,
    device: torch.device,
    online: bool = False,
    compute: Compute = "auto",
    on_progress: OnProgress | None = None,
    parallel: Parallel = ALONE,
) -> CachedLatents | OnlineLatents:
    """Return the encoded clips of a split; what the cache lacks is encoded first, and the encoders are let go.

    Args:
        data: where the clips come from.
        split: of them.
        model: directory with autoencoders, text encoder and tokenizer; of a full cache only their files are read.
        cache: folder of encoded clips.
        device: that trains.
        compute: what the video autoencoder's products are computed in, as in `RunConfig`.
        online: encode at every step instead, with new random starts each time.
        on_progress: called while the cache is filled.
        parallel: this process among the others. The main one looks at the files and fills the cache; the others wait,
            are told what it found, and meet the errors that it meets.

    Raises:
        DataError: clips that cannot be used, or a cache of other weights or sizes that cannot be filled.
    """

    encoding = Encoding(model, device, compute)

    def scan() -> ClipSource:
        return open_source(data, split, model, cache / "files.json")

    def fill() -> tuple[_Plan, dict[int, str]]:
        plan = _Plan.of(scan(), model, LatentCache(cache))
        failed = plan.fill(encoding, data.workers, on_progress)
        _check_failures(data, len(plan.source.entries), failed)
        return plan, failed

    if online:
        return OnlineLatents(parallel.from_main(scan), encoding)
    plan, failed = parallel.from_main(fill)
    return CachedLatents(plan, device, left_out=failed)


@dataclass(frozen=True)
class _Plan:
    """Which key of the cache each clip and each text of a source has."""

    source: ClipSource
    cache: LatentCache
    settings: dict[str, Any]
    clip_keys: tuple[str, ...]
    text_keys: dict[str, str]
    white_keys: tuple[str, ...]

    @classmethod
    def of(cls, source: ClipSource, model: Path, cache: LatentCache) -> _Plan:
        weights, texts = fingerprint(model, CLIP_PARTS), fingerprint(model, TEXT_PARTS)
        settings = {
            "autoencoders": weights,
            "text encoder": texts,
            "sizes": [f"{width}x{height}" for height, width in source.sizes],
            "frames": source.num_frames,
            "frame rate": source.frame_rate,
        }
        if weights is None or texts is None:
            missing = [part for part in (*CLIP_PARTS, *TEXT_PARTS) if fingerprint(model, (part,)) is None]
            raise DataError(
                f"encoding needs {', '.join(missing)} in {model}, which has none; a cache is found by their weights too"
            )
        captions = {entry.caption for entry in source.entries} | {""}
        shape = (source.num_frames, source.frame_rate)
        return cls(
            source=source,
            cache=cache,
            settings=settings,
            clip_keys=tuple(digest("clip", entry.identity, entry.key, weights) for entry in source.entries),
            text_keys={text: digest("text", text, texts) for text in captions},
            white_keys=tuple(digest("white", size, *shape, weights) for size in source.sizes),
        )

    def missing(self) -> list[int]:
        """Return the clips that are not in the cache, or damaged in it (large caches are not read for this)."""
        there = [key for key in self.clip_keys if self.cache.has(key)]
        verify = bool(there) and self.cache.path(there[0]).stat().st_size * len(there) <= _IN_MEMORY
        sound = {key for key in there if not verify or self.cache.is_sound(key)}
        if len(sound) < len(there):
            logger.warning(
                "%d encoded clips in %s are damaged and made again", len(there) - len(sound), self.cache.folder
            )
        return [index for index, key in enumerate(self.clip_keys) if key not in sound]

    def fill(self, encoding: Encoding, workers: int, on_progress: OnProgress | None) -> dict[int, str]:
        """Encode what is missing; return the clips that could not be read, with the reason."""
        failed = self._fill_clips(encoding, workers, on_progress)
        texts = [text for text, key in self.text_keys.items() if not self.cache.is_sound(key)]
        if texts:
            encoder = TextEncoder(encoding.model, encoding.device)
            for start in range(0, len(texts), 64):
                part = texts[start : start + 64]
                for text, rows in zip(part, encoder.encode(part), strict=True):
                    self.cache.write(self.text_keys[text], {"prompt": rows}, text)
            del encoder
        self.cache.note(self.settings)
        _let_go(encoding.device)
        return failed

    def _fill_clips(self, encoding: Encoding, workers: int, on_progress: OnProgress | None) -> dict[int, str]:
        missing = self.missing()
        whites = [index for index, key in enumerate(self.white_keys) if not self.cache.is_sound(key)]
        if not missing and not whites:
            return {}
        self._say_what_differs()
        encoder = ClipEncoder(encoding)
        for index in whites:
            condition = encoder.white_condition(self.source.sizes[index], *self._length())
            self.cache.write(self.white_keys[index], {"condition": condition}, "a white first frame")
        failed: dict[int, str] = {}
        done = 0
        for indices in _groups(self.source.entries, missing):
            for part, clips in _loaded(self.source, indices, workers):
                failed |= {index: clip for index, clip in zip(part, clips, strict=True) if isinstance(clip, str)}
                whole = {index: clip for index, clip in zip(part, clips, strict=True) if isinstance(clip, RawClip)}
                self._encode(encoder, whole)
                done += len(part)
                if on_progress:
                    on_progress(done, len(missing))
        return failed

    def _encode(self, encoder: ClipEncoder, clips: dict[int, RawClip]) -> None:
        if not clips:
            return
        entries = [self.source.entries[index] for index in clips]
        encoded = encoder.encode(list(clips.values()), [entry.key for entry in entries])
        for index, entry, tensors in zip(clips, entries, encoded, strict=True):
            self.cache.write(self.clip_keys[index], {name: getattr(tensors, name) for name in _FIELDS}, entry.key)

    def _say_what_differs(self) -> None:
        """Encoding everything anew may be a surprise: say which setting is not that of an earlier filling."""
        earlier = self.cache.settings()
        if earlier and self.settings not in earlier:
            nearest = max(earlier, key=lambda one: sum(one.get(name) == value for name, value in self.settings.items()))
            changed = [name for name, value in self.settings.items() if nearest.get(name) != value]
            logger.warning(
                "%s was filled with other %s; clips are encoded anew beside those",
                self.cache.folder,
                ", ".join(changed),
            )

    def _length(self) -> tuple[int, float]:
        return self.source.num_frames, self.source.frame_rate


class CachedLatents:
    """A `LatentSource` that reads what has been encoded; no encoder is in memory.

    Small sets are kept in memory as they are stored, larger ones are read when they are wanted. Every clip is checked
    against its checksum when it is read first.
    """

    def __init__(self, plan: _Plan, device: torch.device, left_out: Sequence[int] | dict[int, str] = ()) -> None:
        self.device, self.cache = device, plan.cache
        kept = [index for index in range(len(plan.clip_keys)) if index not in left_out]
        entries = [plan.source.entries[index] for index in kept]
        self.frame_rate = plan.source.frame_rate
        self.facts: Sequence[ClipFacts] = [_facts(entry) for entry in entries]
        self._keys = [plan.clip_keys[index] for index in kept]
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float16
        self._texts, self._text_rows = self._read_texts([plan.text_keys[entry.caption] for entry in entries])
        self.null_prompt = self._place(self.cache.read(plan.text_keys[""])["prompt"])
        self._white = [self._place(self.cache.read(key)["condition"]) for key in plan.white_keys]
        size = self.cache.path(self._keys[0]).stat().st_size if self._keys else 0
        self._held = self._read_all() if size * len(self._keys) <= _IN_MEMORY else None

    def batch(self, indices: Sequence[int], step: int = 0) -> LatentBatch:  # noqa: ARG002 (what is stored is stored)
        """Return clips of one bucket, float32 on the device; see `LatentSource`."""
        if self._held is not None:
            bucket, rows = self._held[self.facts[indices[0]].bucket], [self._places[index] for index in indices]
            where = torch.tensor(rows, device=self.device)
            fields = {name: bucket[name].index_select(0, where).float() for name in _FIELDS}
        else:
            read = [self.cache.read(self._keys[index]) for index in indices]
            fields = {name: self._place(torch.stack([clip[name] for clip in read])).float() for name in _FIELDS}
        texts = torch.tensor([self._text_rows[index] for index in indices], device=self.device)
        prompts = self._texts.index_select(0, texts)
        keys = tuple(self.facts[index].key for index in indices)
        return LatentBatch(keys, self.facts[indices[0]].bucket, prompts=prompts.float(), **fields)

    def white_condition(self, bucket: int) -> torch.Tensor:
        """Return (C, T, h, w), the condition of a white first frame."""
        return self._white[bucket].float()

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self._dtype)

    def _read_texts(self, keys: Sequence[str]) -> tuple[torch.Tensor, list[int]]:
        rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
        texts = [self.cache.read(key)["prompt"] for key in rows]
        return self._place(torch.stack(texts)), [rows[key] for key in keys]

    def _read_all(self) -> dict[int, dict[str, torch.Tensor]]:
        held: dict[int, dict[str, torch.Tensor]] = {}
        self._places: dict[int, int] = {}
        for bucket in sorted({fact.bucket for fact in self.facts}):
            members = [index for index, fact in enumerate(self.facts) if fact.bucket == bucket]
            self._places |= {index: place for place, index in enumerate(members)}
            read = [self.cache.read(self._keys[index]) for index in members]
            held[bucket] = {name: self._place(torch.stack([clip[name] for clip in read])) for name in _FIELDS}
        return held


class OnlineLatents:
    """A `LatentSource` that decodes and encodes at every step, with a new random start each time.

    A clip that cannot be read gives its place to the next one of its size, and is reported.
    """

    def __init__(self, source: ClipSource, encoding: Encoding) -> None:
        self.source, self.device = source, (device := encoding.device)
        self.frame_rate = source.frame_rate
        self.facts: Sequence[ClipFacts] = [_facts(entry) for entry in source.entries]
        self.clips, self.text = ClipEncoder(encoding), TextEncoder(encoding.model, device)
        self.null_prompt = self.text.encode([""])[0].to(device).float()
        self._white = [
            self.clips.white_condition(size, source.num_frames, source.frame_rate).to(device).float()
            for size in source.sizes
        ]

    def batch(self, indices: Sequence[int], step: int = 0) -> LatentBatch:
        """Return clips of one bucket, float32 on the device; see `LatentSource`."""
        loaded = [self._load(index, step) for index in indices]
        entries = [self.source.entries[index] for index, _ in loaded]
        encoded = self.clips.encode([clip for _, clip in loaded], [entry.key for entry in entries])
        fields = {
            name: torch.stack([getattr(clip, name) for clip in encoded]).to(self.device).float() for name in _FIELDS
        }
        prompts = torch.stack(self.text.encode([entry.caption for entry in entries])).to(self.device).float()
        return LatentBatch(tuple(entry.key for entry in entries), entries[0].bucket, prompts=prompts, **fields)

    def white_condition(self, bucket: int) -> torch.Tensor:
        """Return (C, T, h, w), the condition of a white first frame."""
        return self._white[bucket]

    def _load(self, index: int, step: int) -> tuple[int, RawClip]:
        alike = [place for place, fact in enumerate(self.facts) if fact.bucket == self.facts[index].bucket]
        first = alike.index(index)
        for candidate in (*alike[first:], *alike[:first]):
            start_s = self.source.random_start(candidate, fraction(self.facts[candidate].key, step))
            try:
                return candidate, self.source.load(candidate, start_s)
            except ReadError as error:
                logger.warning("%s is left out: %s", self.facts[candidate].key, error)
        raise DataError(f"no clip of the size of {self.facts[index].key} can be read")


def _facts(entry: ClipEntry) -> ClipFacts:
    return ClipFacts(
        entry.key, entry.bucket, entry.has_video, entry.has_audio, content=entry.identity, caption=entry.caption
    )


def _groups(entries: Sequence[ClipEntry], indices: Sequence[int]) -> list[list[int]]:
    buckets = sorted({entries[index].bucket for index in indices})
    return [[index for index in indices if entries[index].bucket == bucket] for bucket in buckets]


def _loaded(
    source: ClipSource, indices: Sequence[int], workers: int
) -> Iterator[tuple[Sequence[int], list[RawClip | str]]]:
    """Yield clips in parts that are encoded together; the next ones are decoded meanwhile, by other processes."""
    parts = [indices[start : start + _ENCODED_AT_ONCE] for start in range(0, len(indices), _ENCODED_AT_ONCE)]
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(parts) == 1:
        for part in parts:
            yield part, [_load(source, index) for index in part]
        return
    # spawn: a forked child of a process that runs torch threads can hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _adopt, (source,)) as pool:
        waiting = iter(parts)
        ahead = [(part, _submit(pool, part)) for part in islice(waiting, 2 * workers)]
        while ahead:
            part, jobs = ahead.pop(0)
            ahead += [(later, _submit(pool, later)) for later in islice(waiting, 1)]
            yield part, [job.result() for job in jobs]


_adopted: list[ClipSource] = []


def _adopt(source: ClipSource) -> None:
    _adopted[:] = [source]


def _submit(pool: Executor, part: Sequence[int]) -> list[Future[RawClip | str]]:
    return [pool.submit(_load_adopted, index) for index in part]


def _load_adopted(index: int) -> RawClip | str:
    return _load(_adopted[0], index)


def _load(source: ClipSource, index: int) -> RawClip | str:
    try:
        return source.load(index)
    except ReadError as error:
        return str(error)


def _check_failures(data: DataConfig, total: int, failed: dict[int, str]) -> None:
    if not failed:
        return
    examples = "; ".join(list(failed.values())[:3])
    text = f"{len(failed)} of {total} clips could not be decoded: {examples}"
    limit = 0.0 if isinstance(data, ToyDataConfig) else data.max_skipped_share
    if len(failed) > limit * total:
        raise DataError(f"{text}; at most {limit:.0%} may be (data.max_skipped_share)")
    logger.warning("%s; they are left out", text)


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
