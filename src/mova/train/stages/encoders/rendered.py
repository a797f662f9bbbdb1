"""Rendered clips of the toy world as memory-mapped arrays, made once per run folder from their seeds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mova.cores import num_cores
from mova.data.sources.base import Split, digest
from mova.data.sources.toy import FRAME_RATE, SAMPLE_RATE, ToySource
from mova.data.workers import Workers, result_of
from mova.geometry import num_samples
from mova.train.config import ToyDataConfig

logger = logging.getLogger(__name__)

_CHUNK = 64


@dataclass(frozen=True)
class ToyClips:
    """Clips in memory-mapped arrays.

    Attributes:
        frames: (N, F, H, W, 3) uint8.
        waveforms: (N, S) float32 in [-1, 1], 16 kHz.
        captions: N texts.
    """

    frames: np.ndarray
    waveforms: np.ndarray
    captions: tuple[str, ...]


class ClipRenderer:
    """Renders ranges of clips with a pool of processes, few of them without; use as a context manager.

    Args:
        data: how large and how long the clips are, and how many processes render them.
    """

    def __init__(self, data: ToyDataConfig) -> None:
        self.data = data
        self._workers = data.workers or num_cores()
        self._pool: Workers | None = None

    def __enter__(self) -> ClipRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def prepare(
        self,
        folder: Path,
        split: Split,
        first: int,
        count: int,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ToyClips:
        """Return clips `first` to `first + count` of a split, rendering those that `folder` does not hold yet.

        Args:
            folder: folder of exactly this range; parts that are complete survive an interruption.
            split: split of the toy world's seeds.
            first: index of the first clip.
            count: N.
            on_progress: called with (clips done, clips in all).
        """
        folder.mkdir(parents=True, exist_ok=True)
        samples = num_samples(self.data.num_frames, FRAME_RATE, SAMPLE_RATE)
        _ensure_array(folder / "frames.npy", (count, self.data.num_frames, self.data.size, self.data.size, 3), np.uint8)
        _ensure_array(folder / "waveforms.npy", (count, samples), np.float32)
        parts = [(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
        missing = [part for part in parts if not _part_file(folder, part).exists()]
        for done, _ in enumerate(self._rendered(folder, split, first, missing), len(parts) - len(missing) + 1):
            if on_progress:
                on_progress(min(done * _CHUNK, count), count)
        captions = tuple(
            caption for part in parts for caption in json.loads(_part_file(folder, part).read_text(encoding="utf-8"))
        )
        frames, waveforms = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("frames", "waveforms"))
        return ToyClips(frames, waveforms, captions)

    def _rendered(self, folder: Path, split: Split, first: int, parts: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Render parts; yield when one is there."""
        if len(parts) < 2 or self._workers == 1:
            # A process of its own takes longer to start than one part takes.
            for part in parts:
                _render_part(folder, split, first, part, self.data)
                yield
            return
        if self._pool is None:
            self._pool = Workers(self._workers)
        jobs = [self._pool.submit(_render_part, folder, split, first, part, self.data) for part in parts]
        for job in as_completed(jobs):
            result_of(job, "render clips", f"for {folder.name}")
            yield


def prepare_clips(folder: Path, data: ToyDataConfig, split: Split, num_clips: int | None = None) -> ToyClips:
    """Return the first clips of a split from a folder shared by the stages of a run, rendered on the first call."""
    count = num_clips or data.num_clips
    with ClipRenderer(data) as renderer:
        logger.info("preparing %d clips of split %s", count, split)
        folder = folder / f"{split}_{data.size}x{data.num_frames}_{count}_{_scenes(data)}"
        return renderer.prepare(folder, split, 0, count)


def _scenes(data: ToyDataConfig) -> str:
    """Return what tells apart clips of equal size whose recipes draw other scenes or describe them otherwise."""
    facts = (*data.kinds, data.combinations, data.ranked_captions, sorted(data.notes.items()))
    # Clips that were rendered before recipes could choose skins or wordings keep their folders.
    later = (*((data.skins,) if data.skins else ()), *((data.paraphrases,) if data.paraphrases else ()))
    return digest(*facts, *later)[:8]


def _ensure_array(path: Path, shape: tuple[int, ...], dtype: type) -> None:
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape).flush()
    partial.rename(path)


def _part_file(folder: Path, part: tuple[int, int]) -> Path:
    return folder / f"captions_{part[0]:07d}.json"


def _render_part(folder: Path, split: Split, first: int, part: tuple[int, int], data: ToyDataConfig) -> None:
    """Render clips [start, end) of the range into the arrays; the captions, renamed last, mark them as complete."""
    frames = np.load(folder / "frames.npy", mmap_mode="r+")
    waveforms = np.load(folder / "waveforms.npy", mmap_mode="r+")
    captions = []
    source = ToySource(data.model_copy(update={"num_clips": 0}), split, SAMPLE_RATE)
    for index in range(*part):
        clip = source.load(first + index)
        frames[index], waveforms[index] = clip.frames, clip.waveform[0]
        captions.append(source.caption(first + index))
    frames.flush()
    waveforms.flush()
    partial = _part_file(folder, part).with_suffix(".partial")
    partial.write_text(json.dumps(captions), encoding="utf-8")
    partial.rename(_part_file(folder, part))
