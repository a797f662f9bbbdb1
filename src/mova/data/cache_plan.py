"""What a cache of encoded clips must hold for a source of clips: which files, what is missing, and how it is filled."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from mova.data.cache import LatentCache
from mova.data.cache_size import EncodedSizes, sizes_from_directory
from mova.data.cache_writer import CacheWriter
from mova.data.encode import CLIP_PARTS, TEXT_PARTS, ClipEncoder, Encoding, TextEncoder, fingerprint
from mova.data.fill import CacheFiles, OnProgress, fill_clips
from mova.data.known import FrameTask
from mova.data.sources.base import ClipEntry, ClipSource, Split, digest
from mova.device import Resolved, usual_precision, warn_of_slow_bfloat16
from mova.errors import CheckpointError, DataError
from mova.files.lock import lock_folder

logger = logging.getLogger(__name__)

_WORTH_SAYING_S = 60.0
_OTHER: Final[dict[Resolved, Resolved]] = {"float32": "bfloat16", "bfloat16": "float32"}


@dataclass(frozen=True)
class Missing:
    """What is to be encoded.

    Attributes:
        clips: one index of the source for each clip of which a file is missing.
        whites: indices of sizes whose white first frame is missing.
        texts: captions.
        there: keys of files of these clips that are not missing.
    """

    clips: Sequence[int]
    whites: Sequence[int]
    texts: Sequence[str]
    there: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.clips or self.whites or self.texts)


@dataclass(frozen=True)
class CachePlan:
    """Which key of a cache each clip and each text of a source has.

    Attributes:
        source: source of the clips.
        cache: cache that holds them, or will.
        settings: what it is filled with, in words.
        clip_keys: keys of the source's entries.
        text_keys: cache keys by caption.
        white_keys: keys of a white first frame, by size.
        known_keys: by task, keys of what is known of the source's entries for it.
        sizes: how much what is encoded takes; None where the model does not say.
        precision: what the clips are encoded in. Captions and white first frames are encoded in float32 always.
    """

    source: ClipSource
    cache: LatentCache
    settings: dict[str, Any]
    clip_keys: tuple[str, ...]
    text_keys: dict[str, str]
    white_keys: tuple[str, ...]
    sizes: EncodedSizes | None
    precision: Resolved = "float32"
    known_keys: Mapping[FrameTask, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: ClipSource,
        model: Path,
        cache: LatentCache,
        precision: Resolved = "float32",
        known: Sequence[FrameTask] = (),
    ) -> CachePlan:
        """Return the plan for the encoders of a model, in one precision.

        Args:
            source: source of the clips.
            model: directory of the encoders.
            cache: folder of encoded clips.
            precision: what the clips are encoded in.
            known: tasks for which it is kept what is known of each clip, in files of their own.

        Raises:
            DataError: the model lacks an encoder.
        """
        weights, texts = fingerprint(model, CLIP_PARTS), fingerprint(model, TEXT_PARTS)
        settings = {
            "autoencoders": weights,
            "text encoder": texts,
            "sizes": [f"{width}x{height}" for height, width in source.sizes],
            "frames": source.num_frames,
            "frame rate": source.frame_rate,
        } | _named(precision)
        if weights is None or texts is None:
            missing = [part for part in (*CLIP_PARTS, *TEXT_PARTS) if fingerprint(model, (part,)) is None]
            raise DataError(
                f"encoding needs {', '.join(missing)} in {model}, which has none; a cache is found by their weights too"
            )
        captions = {entry.caption for entry in source.entries} | {""}
        shape = (source.num_frames, source.frame_rate)
        clip_keys = tuple(_clip_key(entry, weights, precision) for entry in source.entries)
        return cls(
            source=source,
            cache=cache,
            settings=settings,
            clip_keys=clip_keys,
            text_keys={text: digest("text", text, texts) for text in captions},
            white_keys=tuple(digest("white", size, *shape, weights) for size in source.sizes),
            sizes=_sizes(model),
            precision=precision,
            known_keys={task: tuple(digest("known", task, key) for key in clip_keys) for task in known},
        )

    def num_there(self) -> int:
        """Return how many clips the cache has, sound or not."""
        return sum(self.cache.has(key) for key in set(self.clip_keys))

    def missing(self) -> Missing:
        """Return what is not in the cache, or damaged in it (large caches are not read for this)."""
        firsts = {key: index for index, key in reversed(list(enumerate(self.clip_keys)))}
        whites = [index for index, key in enumerate(self.white_keys) if not self.cache.is_sound(key)]
        files = CacheFiles(self.clip_keys, self.known_keys)
        keys = {index: files.of(index) for index in firsts.values()}
        sound = self._sound([key for own in keys.values() for key in own]) | self._sound(list(self.text_keys.values()))
        clips = sorted(index for index, own in keys.items() if not sound.issuperset(own))
        there = frozenset(key for index in clips for key in keys[index] if key in sound)
        return Missing(clips, whites, [text for text, key in self.text_keys.items() if key not in sound], there)

    def bytes_of(self, missing: Missing) -> int:
        """Return what the files of something missing will take on disk; 0 where that is not known."""
        if self.sizes is None:
            return 0
        clips = [
            self._clip_bytes(self.source.entries[index].bucket)
            for index in missing.clips
            if self.clip_keys[index] not in missing.there
        ]
        known = [
            self._clip_bytes(self.source.entries[index].bucket) // 2
            for index in missing.clips
            for keys in self.known_keys.values()
            if keys[index] not in missing.there
        ]
        whites = [self._clip_bytes(index) // 2 for index in missing.whites]
        return self.sizes.files_bytes([*clips, *known, *whites], len(missing.texts))

    def check_space(self, missing: Missing) -> None:
        """Refuse to begin what the disk cannot take.

        Raises:
            DataError: less free space than the missing files need.
        """
        needed, free = self.bytes_of(missing), self.cache.free_bytes()
        if needed > free:
            raise DataError(
                f"{len(missing.clips)} clips and {len(missing.texts)} captions to encode take {needed / 1e9:.2f} GB in "
                f"{self.cache.folder}, got {free / 1e9:.2f} GB free; make room, or choose another disk (--cache)"
            )

    def fill(self, encoding: Encoding, workers: int, on_progress: OnProgress | None) -> dict[int, str]:
        """Encode what is missing.

        Args:
            encoding: what encodes, in the plan's precision.
            workers: processes that decode; 0 takes one per core.
            on_progress: called while clips are encoded.

        Returns:
            Clips that could not be read or encoded, with the reason.

        Raises:
            DataError: another process fills the cache, or there is not enough space for it.
        """
        if not (missing := self.missing()):
            return {}
        with lock_folder(self.cache.folder, "cache", error=DataError):
            self.cache.sweep()
            self.check_space(missing)
            self._say_what_differs()
            failed = self._encode_clips(missing, encoding, workers, on_progress)
            self._encode_texts(missing.texts, encoding)
            self.cache.note(self.settings)
        _let_go(encoding.device)
        return {index: failed[key] for index, key in enumerate(self.clip_keys) if key in failed}

    def make_again(self, key: str, encoding: Encoding) -> None:
        """Encode one file of the cache anew that turned out to be damaged.

        Raises:
            DataError: it cannot be made again; the text says why.
        """
        logger.warning("%s is damaged or gone, and made again", self.cache.path(key))
        files = CacheFiles(self.clip_keys, self.known_keys)
        index = next((keys.index(key) for keys in (files.clips, *files.known.values()) if key in keys), None)
        missing = Missing(
            [] if index is None else [index],
            [index for index, white in enumerate(self.white_keys) if white == key],
            [text for text, own in self.text_keys.items() if own == key],
            frozenset() if index is None else frozenset(files.of(index)) - {key},
        )
        try:
            failed = self._encode_clips(missing, encoding, 1, None)
            self._encode_texts(missing.texts, encoding)
        except torch.cuda.OutOfMemoryError:
            # What trains fills the device.
            _let_go(encoding.device)
            return self.make_again(key, Encoding(encoding.model, torch.device("cpu"), encoding.compute))
        except CheckpointError as error:
            raise DataError(f"{self.cache.path(key)} is damaged and cannot be made again: {error}") from error
        _let_go(encoding.device)
        if failed:
            raise DataError(f"{self.cache.path(key)} is damaged and cannot be made again: {failed[key]}")
        return None

    def _sound(self, keys: Sequence[str]) -> set[str]:
        """Return those of some keys that are there, and as they were written where all of them are small enough."""
        there = [key for key in keys if self.cache.has(key)]
        if not self.cache.fit_in_memory(there):
            return set(there)
        sound = {key for key in there if self.cache.is_sound(key)}
        if len(sound) < len(there):
            logger.warning(
                "%d encoded clips in %s are damaged and made again", len(there) - len(sound), self.cache.folder
            )
        return sound

    def _encode_clips(
        self, missing: Missing, encoding: Encoding, workers: int, on_progress: OnProgress | None
    ) -> dict[str, str]:
        """Encode clips and white first frames; return the keys that could not be made, with the reason."""
        if not missing.clips and not missing.whites:
            return {}
        warn_of_slow_bfloat16(encoding.device, self.precision, "compute")
        encoder = ClipEncoder(replace(encoding, compute=self.precision))
        with CacheWriter(self.cache) as writer:
            for index in missing.whites:
                length = self.source.num_frames, self.source.frame_rate
                condition = encoder.white_condition(self.source.sizes[index], *length)
                writer.put(self.white_keys[index], {"condition": condition}, "a white first frame")
            files = CacheFiles(self.clip_keys, self.known_keys, missing.there)
            report = fill_clips(self.source, files, missing.clips, encoder, writer, workers, on_progress)
        if report.seconds > _WORTH_SAYING_S:
            logger.info("%s", report)
        return {self.clip_keys[index]: reason for index, reason in report.failed.items()}

    def _encode_texts(self, texts: Sequence[str], encoding: Encoding) -> None:
        if not texts:
            return
        encoder = TextEncoder(encoding.model, encoding.device)
        with CacheWriter(self.cache) as writer:
            for text in texts:
                # One by one: in a batch, its last bits would depend on the longest text beside it.
                writer.put(self.text_keys[text], {"prompt": encoder.encode([text])[0]}, text)

    def _say_what_differs(self) -> None:
        """Encoding everything anew may be a surprise: say which setting is not that of an earlier filling."""
        earlier = self.cache.settings()
        if earlier and self.settings not in earlier:
            nearest = max(earlier, key=lambda one: sum(one.get(name) == value for name, value in self.settings.items()))
            changed = [name for name in self.settings | nearest if nearest.get(name) != self.settings.get(name)]
            logger.warning(
                "%s was filled with other %s; clips are encoded anew beside those",
                self.cache.folder,
                ", ".join(changed),
            )

    def _clip_bytes(self, bucket: int) -> int:
        assert self.sizes is not None, "asked where sizes are known"
        return self.sizes.clip_bytes(self.source.sizes[bucket], self.source.num_frames, self.source.frame_rate)


def plan_splits(
    sources: Mapping[Split, ClipSource], encoding: Encoding, cache: LatentCache, known: Sequence[FrameTask] = ()
) -> dict[Split, CachePlan]:
    """Return the plans of some splits, all of them in one precision; `known` tasks are for those that are learned from.

    Where nobody names it, a cache is filled on in the precision in which it has more of the clips: it is not filled
    anew on a machine, or by a version, that would begin it in another.

    Raises:
        DataError: as of `CachePlan.of`.
        ConfigError, CheckpointError: as of `Encoding.resolve`.
    """
    own = encoding.resolve()
    is_open = encoding.compute == "auto" and (encoding.device.type != "cpu" or usual_precision() == "auto")
    plans = [
        {
            split: CachePlan.of(source, encoding.model, cache, precision, known if split == "train" else ())
            for split, source in sources.items()
        }
        for precision in ((own, _OTHER[own]) if is_open else (own,))
    ]
    return max(plans, key=lambda one: sum(plan.num_there() for plan in one.values()))


def _named(precision: Resolved) -> dict[str, str]:
    """Return what tells latents of a precision apart; of float32 nothing: caches from before name no precision."""
    return {} if precision == "float32" else {"precision": precision}


def _clip_key(entry: ClipEntry, weights: str, precision: Resolved) -> str:
    version = (entry.reading,) if entry.reading else ()
    return digest("clip", entry.identity, entry.content, weights, *version, *_named(precision).values())


def _sizes(model: Path) -> EncodedSizes | None:
    try:
        return sizes_from_directory(model)
    except CheckpointError:
        # What is wrong with it is said where the encoders are loaded.
        return None


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
