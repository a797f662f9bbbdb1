"""Clips in media files: spans at one frame rate, frames by time stamp, sizes by aspect ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mova.data.config import MediaDataConfig
from mova.data.sources.base import ClipEntry, RawClip, Split, digest, fraction
from mova.data.sources.scan import ScannedClips, scan_clips
from mova.data.sources.split import held_out
from mova.geometry import num_samples
from mova.media.read import read_audio, read_span
from mova.media.waveform import loudness_lufs, peak

_GREY = 128
# Raised whenever the same file gives other pixels, so that encoded clips are made anew.
_READING = 2


@dataclass
class MediaSource:
    """A split of a list of files or of shards.

    Files that cannot be used are left out, counted by reason and reported; too many of them are an error. What is drawn
    at random for a clip follows from its content, whatever its file is called.

    Args:
        data: where the clips are, their sizes and lengths.
        split: all captions of a file are on one side, see `split.held_out`.
        sample_rate: sample rate of the audio in Hz.
        memory: JSON file that remembers what was found out about each file; none if not given.
        clips: the list, where it has been looked through already.

    Raises:
        DataError: the list cannot be read, too many of its clips are unusable, or none is left.
    """

    data: MediaDataConfig
    split: Split
    sample_rate: int
    memory: Path | None = None
    clips: ScannedClips | None = None
    entries: tuple[ClipEntry, ...] = field(init=False)
    skipped: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        data = self.data
        self.num_frames, self.frame_rate = data.num_frames, data.frame_rate
        sides = [[int(side) for side in text.split("x")] for text in data.sizes]
        self.sizes: tuple[tuple[int, int], ...] = tuple((height, width) for width, height in sides)
        clips = self.clips or scan_clips(data, self.memory)
        self.skipped, self.clips = clips.left_out, None
        held = held_out(clips.usable, data.validation_clips, tell=self.split == "train")
        own = [found for place, found in enumerate(clips.usable) if (place in held) == (self.split == "validation")]
        self._items = [item for item, _ in own for _ in range(data.views)]
        self._scans = [found for _, found in own for _ in range(data.views)]
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
                audio = read_audio(path, sample_rate=self.sample_rate, length=length, start_s=start)
                waveform, own_frames, own_samples = audio.waveform, 0, audio.own_samples
            else:
                span = read_span(
                    path,
                    frame_rate=self.frame_rate,
                    num_frames=self.num_frames,
                    size=(height, width),
                    sample_rate=self.sample_rate,
                    start_s=start,
                    pad=True,
                )
                frames, own_frames, own_samples = span.clip.frames, span.own_frames, span.own_samples
                silence = np.zeros((1, length), dtype=np.float32)
                waveform = silence if span.clip.waveform is None else span.clip.waveform
                # Audio goes on after the last frame: what is heard then, nothing shows.
                own_samples = _until(own_samples, round(own_frames / self.frame_rate * self.sample_rate))
        if not found.is_heard(start, start + self.duration_s):
            own_samples = ()
        if self.data.loudness_lufs is not None:
            waveform = to_loudness(waveform, self.sample_rate, self.data.loudness_lufs)
        return RawClip(frames, waveform, own_frames, own_samples)

    def random_start(self, index: int, draw: float) -> float:
        """Return a beginning of a span inside the clip that is heard, as far as the clip is long and heard enough."""
        return self._scans[index].start_of(draw, self.duration_s)

    def _entry(self, index: int) -> ClipEntry:
        data, item, found = self.data, self._items[index], self._scans[index]
        view = index % data.views
        start_s = found.start_of(fraction(found.sha256, view), self.duration_s)
        # Rounded, so that of two that fit equally well it is the first.
        aspects = [round(abs(math.log(found.aspect * height / width)), 6) for height, width in self.sizes]
        bucket = aspects.index(min(aspects))
        caption = item.caption
        if data.duration_token:
            caption = with_duration(caption, min(found.duration_s - start_s, self.duration_s))
        shape = (self.sizes[bucket], self.num_frames, self.frame_rate, self.sample_rate, data.loudness_lufs)
        return ClipEntry(
            key=f"{item.key}#{view}" if data.views > 1 else item.key,
            content=f"{found.sha256}#{view}" if data.views > 1 else found.sha256,
            identity=digest("file", found.sha256, round(start_s, 6), *shape),
            caption=caption,
            reading=_READING if found.has_video else 0,
            bucket=bucket,
            start_s=start_s,
            has_video=found.has_video,
            has_audio=found.is_heard(start_s, start_s + self.duration_s),
        )


def _until(spans: tuple[tuple[int, int], ...], last: int) -> tuple[tuple[int, int], ...]:
    return tuple((first, min(end, last)) for first, end in spans if first < last)


def with_duration(caption: str, duration_s: float) -> str:
    """Append the length that is wanted, for the pretraining of the audio tower.

    The paper (4.1) uses an explicit duration token and does not print its form; this sentence is our choice.
    """
    return f"{caption} Duration: {duration_s:.1f} seconds."


def to_loudness(waveform: np.ndarray, sample_rate: int, target_lufs: float) -> np.ndarray:
    """Bring audio to an integrated loudness (ITU-R BS.1770), as far as its peaks allow; silence stays silence.

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
