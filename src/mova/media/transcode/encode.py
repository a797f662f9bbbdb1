"""A clip's own file: frames and audio of one timeline into H.264 and AAC, whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from mova.errors import MuxError
from mova.media.mp4.streams import AUDIO_CHUNK, aac_stream, audio_frame, h264_stream, steady_options

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG}


@dataclass(frozen=True)
class ClipFormat:
    """What all clips of a run have in common.

    Attributes:
        num_frames: frames of a clip.
        frame_rate: frames per second.
        size: (height, width) for wide content, even; tall content swaps them.
        sample_rate: of the audio, in Hz.
        channels: of the audio at most, 1 or 2.
        preset, crf, threads: of x264; the threads of the decoder too.
        audio_bit_rate: of AAC, in bits per second and channel.
    """

    num_frames: int = 193
    frame_rate: Fraction = Fraction(24)
    size: tuple[int, int] = (720, 1280)
    sample_rate: int = 48_000
    channels: int = 2
    preset: str = "medium"
    crf: float = 18.0
    threads: int = 1
    audio_bit_rate: int = 160_000

    @property
    def duration(self) -> Fraction:
        """Length of a clip in seconds."""
        return self.num_frames / self.frame_rate

    @property
    def num_samples(self) -> int:
        """Samples of a clip."""
        return round(self.duration * self.sample_rate)


class ClipFile:
    """A clip while it is written: exactly as many frames as the format says, then its audio.

    Args:
        path: of the file that is written.
        form: of the clip.
        size: (height, width) of its frames.
        waveform: (1 or 2, num_samples) float32 in [-1, 1].
    """

    def __init__(self, path: Path, form: ClipFormat, size: tuple[int, int], waveform: np.ndarray) -> None:
        self._form, self._waveform, self._sent, self._shown = form, waveform, 0, 0
        # As in `write`: the edit list carries the priming of AAC, exactly only in this time scale.
        options = {"movflags": "+faststart", "movie_timescale": str(form.sample_rate)}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        tuning = {"preset": form.preset, "crf": f"{form.crf:g}", "threads": str(form.threads), **steady_options()}
        self._video = h264_stream(self._container, size, form.frame_rate, tuning)
        self._audio = aac_stream(self._container, len(waveform), form.sample_rate, form.audio_bit_rate)

    def show(self, frame: VideoFrame) -> None:
        """Append a frame."""
        frame.pts, frame.time_base = self._shown, 1 / self._form.frame_rate
        frame.pict_type = 0  # the source's key frames are not the clip's
        self._container.mux(self._video.encode(frame))
        self._shown += 1
        self._send(round(self._shown / self._form.frame_rate * self._form.sample_rate))

    def close(self) -> None:
        """Finish the file.

        Raises:
            MuxError: frames are missing.
        """
        if self._shown != self._form.num_frames:
            raise MuxError(f"a clip must have {self._form.num_frames} frames, got {self._shown}")
        self._container.mux(self._video.encode(None))
        self._send(self._waveform.shape[1])
        self._container.mux(self._audio.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of an unfinished file."""
        with suppress(OSError, ValueError, av.error.FFmpegError):
            self._container.close()

    def _send(self, due: int) -> None:
        total = self._waveform.shape[1]
        while self._sent < total and (self._sent + AUDIO_CHUNK <= due or due == total):
            samples = self._waveform[:, self._sent : self._sent + AUDIO_CHUNK]
            self._container.mux(self._audio.encode(audio_frame(samples, self._form.sample_rate, self._sent)))
            self._sent += samples.shape[1]


@contextmanager
def clip_file(path: Path, form: ClipFormat, size: tuple[int, int], waveform: np.ndarray) -> Iterator[ClipFile]:
    """Give a clip to write, finished at the end of the block.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        MuxError: the encoder gave up.
    """
    file = ClipFile(path, form, size, waveform)
    try:
        yield file
        file.close()
    except av.error.FFmpegError as error:
        file.abandon()
        if error.errno in _DISK_ERRORS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise MuxError(f"a clip must be possible to encode, got {error.strerror or error} for {path}") from error
    except BaseException:
        file.abandon()
        raise
