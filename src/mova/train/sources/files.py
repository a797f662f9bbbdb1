"""Clips in media files: spans at one frame rate, frames by time stamp, sizes by aspect ratio, and what is left out."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mova.errors import DataError, ReadError
from mova.geometry import num_samples
from mova.media.probe import probe, probe_sound
from mova.media.read import read_clip, read_sound
from mova.media.waveform import loudness_lufs, peak
from mova.train.config.data import MediaDataConfig
from mova.train.sources.base import ClipEntry, RawClip, Split, digest, fraction
from mova.train.sources.items import MediaItem
from mova.train.sources.metadata import read_metadata
from mova.train.sources.shards import read_shards

logger = logging.getLogger(__name__)

_GREY = 128
_NAMED = 5
# A clip that is this much shorter than it should be still counts as long enough: containers round their lengths.
_ROUNDING_S = 0.02


@dataclass(frozen=True)
class Scanned:
    """What was found out about a file without decoding it whole.

    Attributes:
        sha256: of its bytes.
        duration_s: of the picture, or of the sound where there is no picture.
        aspect: width by height as seen; 1 without a picture.
        has_video, has_audio: whether there is a picture, a sound.
    """

    sha256: str
    duration_s: float
    aspect: float
    has_video: bool
    has_audio: bool


@dataclass
class MediaSource:
    """A split of a list of files or of shards.

    Files that cannot be used are left out, counted by reason and reported; too many of them are an error.

    Args:
        data: where the clips are, their sizes and lengths.
        split: which clips are kept for validation follows from their names alone.
        sample_rate: of the sound in Hz.
        memory: JSON file that remembers what was found out about each file; none if not given.

    Raises:
        DataError: the list cannot be read, too many clips are unusable, or none is left.
    """

    data: MediaDataConfig
    split: Split
    sample_rate: int
    memory: Path | None = None
    entries: tuple[ClipEntry, ...] = field(init=False)
    skipped: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        data = self.data
        self.num_frames, self.frame_rate = data.num_frames, data.frame_rate
        sides = [[int(side) for side in text.split("x")] for text in data.sizes]
        self.sizes: tuple[tuple[int, int], ...] = tuple((height, width) for width, height in sides)
        items = read_metadata(data.path, data.root) if data.source == "metadata" else read_shards(data.path)
        items = _choose(items[: data.num_clips], self.split, data.validation_clips)
        scanned = _scan_all(items, self.memory, data.workers)
        usable = [(item, found) for item, found in zip(items, scanned, strict=True) if self._is_usable(item, found)]
        self._report(len(items))
        self._items = [item for item, _ in usable for _ in range(data.views)]
        self._scans = [found for _, found in usable if isinstance(found, Scanned) for _ in range(data.views)]
        self.entries = tuple(self._entry(index) for index in range(len(self._items)))

    @property
    def duration_s(self) -> float:
        """Length of a span in seconds."""
        return self.num_frames / self.frame_rate

    def load(self, index: int, start_s: float | None = None) -> RawClip:
        """Decode an entry; see `ClipSource`."""
        entry, found = self.entries[index], self._scans[index]
        start = entry.start_s if start_s is None else start_s
        length = num_samples(self.num_frames, self.frame_rate, self.sample_rate)
        height, width = self.sizes[entry.bucket]
        with self._items[index].as_file() as path:
            if not found.has_video:
                frames = np.full((self.num_frames, height, width, 3), _GREY, dtype=np.uint8)
                waveform, own_s = read_sound(path, sample_rate=self.sample_rate, length=length, start_s=start)
                own_frames, own_samples = 0, min(length, round(own_s * self.sample_rate))
            else:
                clip = read_clip(
                    path,
                    frame_rate=self.frame_rate,
                    num_frames=self.num_frames,
                    size=(height, width),
                    sample_rate=self.sample_rate,
                    start_s=start,
                    pad=True,
                )
                frames = clip.frames
                own_s = min(found.duration_s - start, self.duration_s)
                own_frames = min(self.num_frames, max(1, round(own_s * self.frame_rate)))
                has_sound = clip.waveform is not None
                waveform = clip.waveform if clip.waveform is not None else np.zeros((1, length), dtype=np.float32)
                own_samples = min(length, round(own_s * self.sample_rate)) if has_sound else 0
        if self.data.loudness_lufs is not None:
            waveform = to_loudness(waveform, self.sample_rate, self.data.loudness_lufs)
        return RawClip(frames, waveform, own_frames, own_samples)

    def random_start(self, index: int, draw: float) -> float:
        """Return a beginning that leaves the whole span inside the clip, where it is long enough."""
        return draw * max(0.0, self._scans[index].duration_s - self.duration_s)

    def _entry(self, index: int) -> ClipEntry:
        data, item, found = self.data, self._items[index], self._scans[index]
        view = index % data.views
        start_s = self.random_start(index, fraction(item.key, view))
        # Rounded, so that of two that fit equally well it is the first.
        aspects = [round(abs(math.log(found.aspect * height / width)), 6) for height, width in self.sizes]
        bucket = aspects.index(min(aspects))
        caption = item.caption
        if data.duration_token:
            caption = with_duration(caption, min(found.duration_s - start_s, self.duration_s))
        shape = (self.sizes[bucket], self.num_frames, self.frame_rate, self.sample_rate, data.loudness_lufs)
        return ClipEntry(
            key=f"{item.key}#{view}" if data.views > 1 else item.key,
            identity=digest("file", found.sha256, round(start_s, 6), *shape),
            caption=caption,
            bucket=bucket,
            start_s=start_s,
            has_video=found.has_video,
            has_audio=found.has_audio,
        )

    def _is_usable(self, item: MediaItem, found: Scanned | str) -> bool:
        reason = found if isinstance(found, str) else self._objection(found)
        if reason:
            self.skipped.setdefault(reason, []).append(item.key)
        return not reason

    def _objection(self, found: Scanned) -> str:
        data = self.data
        if not found.has_audio and data.require_sound:
            return "no sound"
        if not found.has_video and data.require_picture:
            return "no picture"
        if not (found.has_audio or found.has_video):
            return "neither picture nor sound"
        if found.duration_s < data.min_frames / data.frame_rate - _ROUNDING_S:
            return "too short"
        return ""

    def _report(self, total: int) -> None:
        lost = sum(len(keys) for keys in self.skipped.values())
        lines = [
            f"{len(keys)} {reason} ({', '.join(keys[:_NAMED])}{' ...' if len(keys) > _NAMED else ''})"
            for reason, keys in sorted(self.skipped.items(), key=lambda item: -len(item[1]))
        ]
        text = f"{lost} of {total} clips of {self.data.path} ({self.split}) cannot be used: {'; '.join(lines)}"
        if lost and lost > self.data.max_skipped_share * total:
            raise DataError(f"{text}; at most {self.data.max_skipped_share:.0%} may be (data.max_skipped_share)")
        if lost:
            logger.warning("%s", text)
        if lost == total:
            raise DataError(
                f"{self.data.path} must leave at least one clip for {self.split}, got {total} and none is left"
            )


def with_duration(caption: str, duration_s: float) -> str:
    """Append the length that is wanted, for the pretraining of the audio tower.

    The paper (4.1) uses an explicit duration token and does not print its form; this sentence is our choice.
    """
    return f"{caption} Duration: {duration_s:.1f} seconds."


def to_loudness(waveform: np.ndarray, sample_rate: int, target_lufs: float) -> np.ndarray:
    """Bring sound to an integrated loudness (ITU-R BS.1770), as far as its peaks allow; silence stays silence.

    Args:
        waveform: (1, S) in [-1, 1].
        sample_rate: in Hz.
        target_lufs: below 0.

    Returns:
        (1, S) float32 in [-1, 1].
    """
    present = loudness_lufs(waveform, sample_rate)
    if not math.isfinite(present):
        return waveform
    gain = 10 ** ((target_lufs - present) / 20)
    return np.asarray(waveform * min(gain, 1.0 / max(peak(waveform), 1e-9)), dtype=np.float32)


def _choose(items: Sequence[MediaItem], split: Split, count: int) -> list[MediaItem]:
    """Return the clips of a split: those with the smallest hashes of their names are for validation."""
    if len(items) <= count:
        raise DataError(
            f"there must be more clips than the {count} kept for validation (data.validation_clips), got {len(items)}"
        )
    held = {id(item) for item in sorted(items, key=lambda item: digest(item.key))[:count]}
    return [item for item in items if (id(item) in held) == (split == "validation")]


def _scan_all(items: Sequence[MediaItem], memory: Path | None, workers: int) -> list[Scanned | str]:
    """Look into every file; what did not change since the last time is remembered."""
    known = json.loads(memory.read_text(encoding="utf-8")) if memory and memory.is_file() else {}

    def look(item: MediaItem) -> tuple[str, Scanned | str]:
        try:
            stat = item.path.stat()
        except OSError:
            return "", "missing"
        mark = f"{item.path.absolute()}:{item.offset}:{stat.st_size}:{stat.st_mtime_ns}"
        if mark in known:
            return mark, Scanned(**known[mark])
        return mark, _scan(item)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        found = list(pool.map(look, items))
    if memory:
        fresh = {mark: vars(result) for mark, result in found if isinstance(result, Scanned)}
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial = memory.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(known | fresh), encoding="utf-8")
        partial.replace(memory)
    return [result for _, result in found]


def _scan(item: MediaItem) -> Scanned | str:
    try:
        with item.as_file() as path:
            try:
                info = probe(path)
            except ReadError:
                sound = probe_sound(path)
                return Scanned(item.sha256(), sound.duration_s or 0.0, 1.0, has_video=False, has_audio=True)
            height, width = info.video.display_size
            duration = info.video.duration_s or info.duration_s or 0.0
            return Scanned(item.sha256(), duration, width / height, has_video=True, has_audio=info.audio is not None)
    except (ReadError, OSError):
        return "damaged"
