"""Looks through a whole list of clips before anything is encoded: what each file holds, and what cannot be used."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mova.cores import num_cores
from mova.data.config import MediaDataConfig
from mova.data.sources.items import ListedClips, MediaItem
from mova.data.sources.metadata import read_metadata
from mova.data.sources.shards import read_shards
from mova.errors import DataError, MediaError
from mova.files.json_file import read_json, shorten_text
from mova.media.heard import heard_parts
from mova.media.media_file import check_whole
from mova.media.probe import probe, probe_audio

logger = logging.getLogger(__name__)

_NAMED = 5
# A clip that is this much shorter than it should be still counts as long enough: containers round their lengths.
_ROUNDING_S = 0.02
# Less than this of a span is taken for nothing, unless it is half of all there is.
_LEAST_HEARD_S = 0.05
_MOST_MEMORY = 2**30
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl")


@dataclass(frozen=True)
class Scanned:
    """What was found out about a file without decoding its whole video.

    Attributes:
        sha256: SHA-256 of its bytes.
        duration_s: duration of the video, or of the audio where there is no video.
        aspect: width by height as seen; 1 without video.
        has_video, has_audio: whether there is video, audio.
        heard: (begin, end) in seconds of what is not digitally silent, while there is video if there is any.
    """

    sha256: str
    duration_s: float
    aspect: float
    has_video: bool
    has_audio: bool
    heard: tuple[tuple[float, float], ...] = ()

    def is_heard(self, start_s: float, end_s: float) -> bool:
        """Say whether something of a span is heard."""
        return any(
            min(end_s, end) - max(start_s, begin) > min(_LEAST_HEARD_S, 0.5 * (end - begin))
            for begin, end in self.heard
        )

    def start_of(self, draw: float, span_s: float) -> float:
        """Return where a span begins that lies inside the clip, where it is long enough, and is heard, if it can be.

        Args:
            draw: in [0, 1).
            span_s: length of the span.
        """
        latest_s = max(0.0, self.duration_s - span_s)
        start_s = draw * latest_s
        if not self.heard or self.is_heard(start_s, start_s + span_s):
            return start_s
        # Drawn elsewhere: beginnings of spans that hold at least half of a part that is heard, or are filled by it.
        ranges = []
        for begin, end in self.heard:
            needed = min(span_s, end - begin) / 2
            ranges.append((min(max(begin - span_s + needed, 0.0), latest_s), min(max(end - needed, 0.0), latest_s)))
        left = draw * sum(last - first for first, last in ranges)
        for first, last in ranges:
            if left <= last - first:
                return first + left
            left -= last - first
        return ranges[-1][1]


@dataclass(frozen=True)
class ScannedClips:
    """A whole list, looked through and judged; both splits are taken from it.

    Attributes:
        usable: clips with what was found out about them, in the order of the list.
        left_out: names by reason.
        total: entries of the list.
    """

    usable: Sequence[tuple[MediaItem, Scanned]]
    left_out: Mapping[str, Sequence[str]]
    total: int

    @property
    def num_left_out(self) -> int:
        """How many entries cannot be used."""
        return sum(map(len, self.left_out.values()))

    def reasons(self) -> str:
        """Return how many clips are left out for which reason, the first few by name; most frequent first."""
        ordered = sorted(self.left_out.items(), key=lambda item: -len(item[1]))
        return "; ".join(f"{len(names)} {reason} ({named(names)})" for reason, names in ordered)


def named(names: Sequence[str]) -> str:
    """Return the first few of some names."""
    return ", ".join(shorten_text(name) for name in names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def scan_clips(data: MediaDataConfig, memory: Path | None = None, *, remember: bool = True) -> ScannedClips:
    """Read a list or shards, look into every file and judge the list as a whole.

    Args:
        data: where the clips are, and which of them can be used.
        memory: JSON file of what was found out about files earlier; none if not given.
        remember: whether to add to it.

    Raises:
        DataError: the list cannot be read, more of its clips are unusable than `max_skipped_share` admits, or none is
            left.
    """
    listed = read_metadata(data.path, data.root) if data.source == "metadata" else read_shards(data.path)
    listed = _first(listed, data.num_clips)
    scanned = _scan_all(listed.items, memory, data.workers, remember=remember)
    left_out: dict[str, list[str]] = {}
    for name, reason in listed.left_out:
        left_out.setdefault(reason, []).append(name)
    usable = []
    for item, found in zip(listed.items, scanned, strict=True):
        reason = found if isinstance(found, str) else _objection(found, data)
        if reason:
            left_out.setdefault(reason, []).append(item.key)
        elif isinstance(found, Scanned):
            usable.append((item, found))
    clips = ScannedClips(usable, left_out, len(listed.items) + len(listed.left_out))
    _judge(clips, data)
    silent = [item.key for item, found in usable if found.has_audio and not found.heard]
    if silent:
        logger.warning("%d clips are silent and learned from by their video alone (%s)", len(silent), named(silent))
    return clips


def check_share(num_unusable: int, total: int, data: MediaDataConfig, reasons: str) -> None:
    """Refuse a list of which too much cannot be used.

    Args:
        num_unusable: number of unusable clips of the whole list.
        total: entries of the list.
        data: says how much is admitted.
        reasons: what is wrong, by name.

    Raises:
        DataError: more than `max_skipped_share`.
    """
    if num_unusable and num_unusable > data.max_skipped_share * total:
        nearest = math.ceil(100 * num_unusable / total) / 100
        raise DataError(
            f"{num_unusable} of {total} clips of {data.path} cannot be used: {reasons}; at most "
            f"{data.max_skipped_share:.0%} may be (data.max_skipped_share); mend or remove them"
            + (f", or admit them with data.max_skipped_share={nearest:g}" if nearest < 1 else "")
        )


def _judge(clips: ScannedClips, data: MediaDataConfig) -> None:
    if clips.num_left_out == clips.total:
        raise DataError(
            f"{data.path} must leave at least one clip to use, got {clips.total} and none is left: {clips.reasons()}"
        )
    check_share(clips.num_left_out, clips.total, data, clips.reasons())
    if clips.num_left_out:
        logger.warning(
            "%d of %d clips of %s cannot be used: %s", clips.num_left_out, clips.total, data.path, clips.reasons()
        )


def _first(listed: ListedClips, count: int | None) -> ListedClips:
    return listed if count is None else ListedClips(listed.items[:count], listed.left_out)


def _objection(found: Scanned, data: MediaDataConfig) -> str:
    if not found.has_audio and data.require_sound:
        return "no audio"
    if not found.has_video and data.require_picture:
        return "no video"
    if not (found.has_audio or found.has_video):
        return "neither video nor audio"
    if found.duration_s < data.min_frames / data.frame_rate - _ROUNDING_S:
        return "too short"
    if not found.heard and (data.require_sound or not found.has_video):
        return "silent"
    return ""


def _scan_all(items: Sequence[MediaItem], memory: Path | None, workers: int, *, remember: bool) -> list[Scanned | str]:
    """Look into every file once; what did not change since the last time is remembered."""
    known = _remembered(memory)

    def look(item: MediaItem) -> tuple[str, Scanned | str]:
        try:
            stat = item.path.stat()
        except (OSError, ValueError):
            return "", "missing"
        if not item.path.is_file():
            return "", "that are no files"
        # The second time cannot be set: other content of the same length may be dated as what it replaced.
        mark = f"{item.place}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
        return mark, known.get(mark) or _scan(item)

    # Several captions of one file are one file to look into.
    different = {item.place: item for item in items}
    with ThreadPoolExecutor(workers or num_cores()) as pool:
        found = dict(zip(different, pool.map(look, different.values()), strict=True))
    fresh = {mark: result for mark, result in found.values() if isinstance(result, Scanned)}
    if memory and remember and not fresh.keys() <= known.keys():
        _remember(memory, known | fresh)
    return [found[item.place][1] for item in items]


def _scan(item: MediaItem) -> Scanned | str:
    try:
        with item.as_file() as path:
            try:
                info = probe(path)
            except MediaError:
                duration_s, aspect, has_video, has_audio = probe_audio(path).duration_s, 1.0, False, True
            else:
                height, width = info.video.display_size
                duration_s, aspect, has_video = info.video.duration_s, width / height, True
                has_audio = info.audio is not None
            check_whole(path)
            duration_s = duration_s or 0.0
            heard = tuple((begin, min(end, duration_s)) for begin, end in heard_parts(path) if begin < duration_s)
            return Scanned(item.sha256(), duration_s, aspect, has_video, has_audio, heard)
    except (MediaError, OSError, EOFError) as error:
        if item.path.suffix.lower() in _IMAGES:
            return "an image, where a video or an audio file is wanted"
        logger.info("%s cannot be used: %s", item.key, shorten_text(str(error)))
        return "damaged"


def _remembered(memory: Path | None) -> dict[str, Scanned]:
    if memory is None or not memory.is_file():
        return {}
    try:
        known = read_json(memory, error=DataError, most_bytes=_MOST_MEMORY)
    except DataError as error:
        logger.warning("%s; every file is looked into again", error)
        return {}
    read = {mark: _as_scanned(value) for mark, value in known.items()} if isinstance(known, dict) else {}
    # What an earlier version wrote may lack something: then the file is looked into again.
    return {mark: scanned for mark, scanned in read.items() if scanned is not None}


def _as_scanned(value: Any) -> Scanned | None:
    match value:
        case {
            "sha256": str(sha256),
            "duration_s": float(duration_s),
            "aspect": float(aspect),
            "has_video": bool(has_video),
            "has_audio": bool(has_audio),
            "heard": list(heard),
        } if 0 <= duration_s < math.inf and 0 < aspect < math.inf and all(map(_is_span, heard)):
            parts = tuple((begin, end) for begin, end in heard)
            return Scanned(sha256, duration_s, aspect, has_video, has_audio, parts)
    return None


def _is_span(value: Any) -> bool:
    match value:
        case [float(begin), float(end)]:
            return 0 <= begin < end < math.inf
    return False


def _remember(memory: Path, known: Mapping[str, Scanned]) -> None:
    partial = memory.with_suffix(f".{os.getpid()}.partial")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({mark: asdict(scanned) for mark, scanned in known.items()}), encoding="utf-8")
        partial.replace(memory)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{memory} must be writable, to remember what was found out about files: {error}") from error
