"""Streams of an mp4 file, and frames and samples that go into them in the order of their times."""

from __future__ import annotations

import io
from collections import deque
from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from mova.geometry import num_samples
from mova.media.media_file import PRECISE
from mova.media.mp4.begun import BegunVideo, find_begun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AUDIO_CHUNK = 1024  # samples of a frame of AAC
LAYOUTS = {1: "mono", 2: "stereo"}
_TRIAL_FRAMES = 8
_MAX_BIT_RATE = 160_000  # per channel
_BT709, _LIMITED_RANGE = 1, 1  # numbers of ITU-T H.273


class Mp4Streams:
    """An mp4 file that takes frames and samples as they come, in pieces of any length, and is the same file for it.

    Args:
        path: of the file that is written.
        size: (height, width) of the frames, even.
        frame_rate: frames per second.
        channels: of the audio, 1 or 2; 0 for none.
        sample_rate: of the audio, in Hz.
        tags: metadata of the container.
        options: of x264.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        frame_rate: float,
        *,
        channels: int,
        sample_rate: int,
        tags: Mapping[str, str],
        options: Mapping[str, str],
    ) -> None:
        # The edit list counts in the movie's time scale; at the default of 1000 it would round to milliseconds.
        muxer = {"movflags": "+faststart", "movie_timescale": str(sample_rate if channels else 90_000)}
        self._container = av.open(str(path), "w", format="mp4", options=muxer)
        self._frame_rate, self._sample_rate = frame_rate, sample_rate
        self._size, self._options = size, {**options, **steady_options()}
        self._rate = Fraction(frame_rate).limit_denominator(1_000_000)
        try:
            self._container.metadata.update(tags)
            self._video = h264_stream(self._container, size, self._rate, self._options)
            self._audio = aac_stream(self._container, channels, sample_rate) if channels else None
        except BaseException:
            self.abandon()
            raise
        self._frames: deque[np.ndarray] = deque()
        self._samples = np.zeros((channels, 0), dtype=np.float32)
        self.shown, self.sent = 0, 0

    def add(self, frames: np.ndarray | None, samples: np.ndarray | None) -> None:
        """Take the next frames and the next samples; either may run ahead of the other.

        Args:
            frames: (F, H, W, 3) uint8.
            samples: (channels, S) float32.
        """
        if frames is not None:
            self._frames.extend(frames)
        if samples is not None and self._audio is not None:
            self._samples = np.concatenate([self._samples, samples], axis=1)
        while self._frames and self._has_audio_for(self.shown + 1):
            self._show(self._frames.popleft())
            self._send(self._due(self.shown))

    def begun(self, path: Path) -> BegunVideo | str:
        """Return how the video of a file can stand before all frames, or the reason why it cannot.

        Raises:
            ReadError: the file is damaged.
        """
        parameters, delay = _trial(self._size, self._rate, self._options)
        return find_begun(path, self._size, self._rate, parameters, delay)

    def copy(self, packets: Iterable[Packet[Stream]]) -> None:
        """Take packets of `begun`, in their order and before any frame; audio goes with them as far as it is there."""
        for packet in packets:
            packet.stream = self._video
            self._container.mux(packet)
            self.shown += 1
            self._send(self._due(self.shown))

    def close(self) -> None:
        """Finish the file with all that it was given."""
        while self._frames:
            self._show(self._frames.popleft())
            self._send(self._due(self.shown))
        self._send(self._due(self.shown), is_last=True)
        self._container.mux(self._video.encode(None))
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of an unfinished file."""
        with suppress(OSError, ValueError, av.error.FFmpegError):
            self._container.close()

    def _due(self, frames: int) -> int:
        return num_samples(frames, self._frame_rate, self._sample_rate)

    def _has_audio_for(self, frames: int) -> bool:
        return self._audio is None or self.sent + self._samples.shape[1] >= self._due(frames)

    def _show(self, frame: np.ndarray) -> None:
        shown = rgb_to_yuv(frame)
        shown.pts, shown.time_base = self.shown, 1 / self._rate
        self._container.mux(self._video.encode(shown))
        self.shown += 1

    def _send(self, due: int, *, is_last: bool = False) -> None:
        """Encode whole chunks of audio up to sample `due`, and at the end the rest."""
        if self._audio is None:
            return
        while self._samples.shape[1] and (self.sent + AUDIO_CHUNK <= due or is_last):
            samples, self._samples = self._samples[:, :AUDIO_CHUNK], self._samples[:, AUDIO_CHUNK:]
            self._container.mux(self._audio.encode(audio_frame(samples, self._sample_rate, self.sent)))
            self.sent += samples.shape[1]


@cache
def steady_options() -> dict[str, str]:
    """Return options of x264 with which the same frames give the same bytes.

    Its code for AVX-512 weighs blocks by what lies in memory beside them (macroblock tree; x264 core 165): one clip in
    two differs from run to run. With AVX2 it costs the same time and gives what SSE4 gives.
    """
    try:
        has_avx512 = " avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        has_avx512 = False
    return {"x264-params": "asm=avx2"} if has_avx512 else {}


def h264_stream(
    container: OutputContainer, size: tuple[int, int], rate: Fraction, options: dict[str, str]
) -> VideoStream:
    """Add the video's stream to a file: H.264, yuv420p, BT.709 in limited range.

    Args:
        container: the file.
        size: (height, width), even.
        rate: frames per second.
        options: of x264.
    """
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _trial(size: tuple[int, int], rate: Fraction, options: dict[str, str]) -> tuple[bytes, int]:
    """Return the parameter sets of an encoder, and the frames by which it decodes ahead of showing.

    A few frames tell: PyAV does not.
    """
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream = h264_stream(container, size, rate, options)
        black = np.zeros((*size, 3), np.uint8)
        packets = []
        for place in range(_TRIAL_FRAMES):
            shown = rgb_to_yuv(black)
            shown.pts, shown.time_base = place, 1 / rate
            packets += stream.encode(shown)
        packets += stream.encode(None)
        first = packets[0]
        delay = round(((first.pts or 0) - (first.dts or 0)) * (first.time_base or 0) * rate)
        container.mux(packets)
        return stream.codec_context.extradata or b"", delay


def aac_stream(
    container: OutputContainer, channels: int, sample_rate: int, bit_rate: int = _MAX_BIT_RATE
) -> AudioStream:
    """Add the audio's stream to a file: AAC of at most `bit_rate` bits per second and channel."""
    stream = container.add_stream("aac", rate=sample_rate, layout=LAYOUTS[channels])
    # AAC holds at most 6144 bits per channel and 1024 samples.
    stream.bit_rate = channels * min(bit_rate, 5 * sample_rate)
    stream.codec_context.time_base = Fraction(1, sample_rate)
    return stream


def rgb_to_yuv(image: np.ndarray) -> VideoFrame:
    """Return an image (H, W, 3) uint8 as a frame of `h264_stream`."""
    frame: VideoFrame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return frame.reformat(
        format="yuv420p",
        dst_colorspace="ITU709",
        src_color_range="JPEG",
        dst_color_range="MPEG",
        interpolation=PRECISE,
    )


def audio_frame(samples: np.ndarray, sample_rate: int, first: int) -> AudioFrame:
    """Return samples (1 or 2, n) float32 as a frame of `aac_stream`, the first of which is sample `first`."""
    planes = np.ascontiguousarray(samples, dtype=np.float32)
    frame: AudioFrame = av.AudioFrame.from_ndarray(
        np.clip(planes, -1.0, 1.0), format="fltp", layout=LAYOUTS[len(samples)]
    )
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, first, Fraction(1, sample_rate)
    return frame
