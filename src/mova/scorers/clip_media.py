"""A clip as scorers see it: decoded when it is first needed, once for all scorers that want it the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from mova.geometry import num_samples
from mova.media.probe import MediaInfo, probe
from mova.media.read import read_audio, read_frames

Found = TypeVar("Found")


class ClipMedia:
    """The frames and the audio of a short file.

    What was decoded is held until the clip is let go; score a few clips at a time.

    Args:
        path: a video file of some seconds.
        prompt: what it was made from, or its caption; "" where nobody knows.
        columns: what else is known of it.
    """

    def __init__(
        self, path: str | os.PathLike[str], prompt: str = "", columns: Mapping[str, str] | None = None
    ) -> None:
        self.path = Path(path)
        self.prompt = prompt
        self.columns = dict(columns or {})
        self._frames: dict[tuple[float | None, int | None], np.ndarray] = {}
        self._waveforms: dict[tuple[int, bool], np.ndarray] = {}
        self._found: dict[str, object] = {}

    @cached_property
    def info(self) -> MediaInfo:
        """What the file says of itself.

        Raises:
            ReadError: it cannot be read.
        """
        return probe(self.path)

    @cached_property
    def frame_rate(self) -> float:
        """Frames per second, as the file says; 24 where it does not."""
        return self.info.video.frame_rate or 24.0

    @cached_property
    def num_frames(self) -> int:
        """How many frames there are; 1 where the file does not say."""
        stated = self.info.video.num_frames
        return stated if stated else max(1, round((self.info.video.duration_s or 0.0) * self.frame_rate))

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds."""
        return self.num_frames / self.frame_rate

    @property
    def has_audio(self) -> bool:
        """Whether the file has an audio stream."""
        return self.info.audio is not None

    def frames(
        self, *, frame_rate: float | None = None, short_side: int | None = None, hold: bool = True
    ) -> np.ndarray:
        """Return frames (F, H, W, 3) uint8; do not write to them.

        Args:
            frame_rate: frames per second, at most those of the file; None takes every frame.
            short_side: pixels of the shorter side, even numbers on both; None takes the file's size.
            hold: keep them for others; not for what is large and wanted once.

        Raises:
            ReadError: the file cannot be read.
        """
        wanted = (frame_rate, short_side)
        if wanted in self._frames:
            return self._frames[wanted]
        rate = frame_rate or self.frame_rate
        count = self.num_frames if frame_rate is None else max(1, int(self.duration_s * rate))
        frames = read_frames(self.path, frame_rate=rate, num_frames=count, size=self._size(short_side))
        if hold:
            self._frames[wanted] = frames
        return frames

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Return the audio of the video's time span in one channel: (S,) float32 in [-1, 1]; do not write to it.

        Args:
            sample_rate: in Hz.

        Raises:
            ReadError: there is none, or it cannot be read.
        """
        return self._audio(sample_rate, mono=True)

    def channels(self, sample_rate: int) -> np.ndarray:
        """Return the audio of the video's time span as stored: (1 or 2, S) float32 in [-1, 1]; do not write to it.

        Args:
            sample_rate: in Hz.

        Raises:
            ReadError: there is none, or it cannot be read.
        """
        return self._audio(sample_rate, mono=False)

    def once(self, name: str, find: Callable[[], Found]) -> Found:
        """Return what several scorers need alike, found by the first of them.

        Args:
            name: what it is; the same name always goes with the same type.
            find: finds it.
        """
        if name not in self._found:
            self._found[name] = find()
        return cast("Found", self._found[name])

    def let_go(self) -> None:
        """Forget what was decoded and found; it is made again where it is asked for again."""
        for kept in (self._frames, self._waveforms, self._found):
            kept.clear()

    def _audio(self, sample_rate: int, *, mono: bool) -> np.ndarray:
        wanted = (sample_rate, mono)
        if wanted not in self._waveforms:
            length = num_samples(self.num_frames, self.frame_rate, sample_rate)
            read = read_audio(self.path, sample_rate=sample_rate, length=length, mono=mono)
            self._waveforms[wanted] = read.waveform[0] if mono else read.waveform
        return self._waveforms[wanted]

    def _size(self, short_side: int | None) -> tuple[int, int] | None:
        if short_side is None:
            return None
        height, width = self.info.video.display_size
        factor = min(1.0, short_side / min(height, width))
        return max(2, round(height * factor / 2) * 2), max(2, round(width * factor / 2) * 2)
