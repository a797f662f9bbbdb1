"""One pass over the audio of a source, as runs of one channel at a low rate on the clock of its video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soxr

from mova.errors import ReadError
from mova.media import limits, media_file
from mova.media.decode_audio import audio_kind, check_speakers, frame_samples
from mova.media.waveform import downmix

if TYPE_CHECKING:
    import os

    from av.audio.frame import AudioFrame

# Audio whose time stamps wander by less than this is taken as continuous.
_JITTER_S = 0.02


@dataclass(frozen=True)
class Heard:
    """A piece of audio.

    Attributes:
        time_s: when its first sample is due on the file's clock, as far as this run is known.
        waveform: (S,) float32.
        is_new: whether a run begins with it: what was before belongs to another place in time.
    """

    time_s: float
    waveform: np.ndarray
    is_new: bool


def listen(path: str | os.PathLike[str], sample_rate: int) -> Iterator[Heard]:
    """Yield the audio of a file piece by piece, mixed down and resampled; nothing where there is none.

    A pause in the time stamps is not filled: a new run begins behind it. Memory stays flat.

    Args:
        path: a file that FFmpeg decodes.
        sample_rate: of the result, in Hz.

    Raises:
        ReadError: damaged, not finite, or of a kind that cannot be mixed.
    """
    with media_file.open_media(path) as container:
        stream = media_file.audio_stream(container, path)
        if stream is None:
            return
        run: _Run | None = None
        for frame in media_file.decode(container, stream, path):
            rate, speakers = audio_kind(frame)
            if run is None or run.kind != (rate, speakers):
                limits.check_audio(rate, len(speakers), path)
                check_speakers(speakers, path)
            time_s = None if frame.pts is None else media_file.frame_time_s(frame, path)
            if run is None or not run.follows(time_s, (rate, speakers)):
                if run is not None:
                    if run.kind != (rate, speakers):
                        raise ReadError(f"audio must keep its rate and channels, got {path} where they change")
                    yield from run.rest()
                run = _Run(time_s or 0.0, (rate, speakers), sample_rate)
            yield from run.add(frame, path)
        if run is not None:
            yield from run.rest()


class _Run:
    """Audio without a pause, resampled as it comes."""

    def __init__(self, begin_s: float, kind: tuple[int, tuple[str, ...]], sample_rate: int) -> None:
        self.kind, self._begin_s, self._sample_rate = kind, begin_s, sample_rate
        self._taken = self._given = 0
        self._resampler = soxr.ResampleStream(kind[0], sample_rate, 1, dtype="float32", quality="HQ")

    @property
    def end_s(self) -> float:
        return self._begin_s + self._taken / self.kind[0]

    def follows(self, time_s: float | None, kind: tuple[int, tuple[str, ...]]) -> bool:
        return kind == self.kind and (time_s is None or abs(time_s - self.end_s) <= _JITTER_S)

    def add(self, frame: AudioFrame, path: str | os.PathLike[str]) -> Iterator[Heard]:
        if frame.is_corrupt:
            raise ReadError(f"a video must be undamaged, got {path} with broken audio at {self.end_s:.3f} s")
        mono = downmix(frame_samples(frame, path, self.end_s), self.kind[1])[0]
        self._taken += frame.samples
        yield from self._resampled(mono, last=False)

    def rest(self) -> Iterator[Heard]:
        yield from self._resampled(np.zeros(0, np.float32), last=True)

    def _resampled(self, waveform: np.ndarray, *, last: bool) -> Iterator[Heard]:
        moved = self._resampler.resample_chunk(waveform, last=last)
        if moved.size:
            time_s = self._begin_s + self._given / self._sample_rate
            yield Heard(time_s, moved, self._given == 0)
            self._given += moved.size
