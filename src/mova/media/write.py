"""Clips into mp4 files: whole or not at all, video and audio in step, with a record of where they came from."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np

from mova.errors import MuxError
from mova.files.unfinished import unfinished
from mova.geometry import num_samples
from mova.media.media_file import PRECISE, open_media
from mova.media.provenance import DigitalSourceType, append_source_type, read_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mova.types import Clip

# Rates of MPEG-4 AAC, ISO/IEC 14496-3 table 1.18, without 7350 Hz.
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
_LAYOUTS = {1: "mono", 2: "stereo"}
_MAX_BIT_RATE = 160_000  # per channel
AUDIO_CHUNK = 1024  # samples of a frame of AAC
# Decoders end in tanh; more than rounding above full scale is a fault upstream, and clipping would hide it.
_PEAK_LIMIT = 1.0 + 1e-3
_PREFIX, _SUFFIX = ".mova-", ".part"
_SURROGATES = range(0xD800, 0xE000)
_BT709, _LIMITED_RANGE = 1, 1  # numbers of ITU-T H.273


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Find out whether `write_clip` can write `path`, before the work that leads there, by creating a file beside it.

    Returns:
        The file that will be written: absolute, links followed.

    Raises:
        MuxError: not an .mp4 name, a directory in its place, a missing directory, or no permission to write there.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise MuxError(f"output must be a file name, got the directory {path}")
    if target.suffix.lower() != ".mp4":
        raise MuxError(f"output must end in .mp4, got {path}; nearest is {Path(path).with_suffix('.mp4')}")
    if target.exists() and not (target.is_file() and os.access(target, os.W_OK)):
        raise MuxError(f"output must be a regular file that may be replaced, got {path}")
    if not target.parent.is_dir():
        raise MuxError(f"output must lie in a directory that exists, got {path}; create {target.parent} first")
    try:
        with unfinished(_temporary_name(target)) as trial:
            os.close(_create(trial))
    except OSError as error:
        raise MuxError(f"output must lie in a directory that can be written, got {path}: {error.strerror}") from error
    return target


def remove_stale(directory: Path) -> None:
    """Remove what a writer that was killed has left in a directory; what another one is still writing stays."""
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            number = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _lock(number):
                    path.unlink(missing_ok=True)
            finally:
                os.close(number)


@contextmanager
def complete_file(target: Path) -> Iterator[Path]:
    """Give an empty file beside `target` that takes its name, on disk, when the block ends without an error.

    Raises:
        OSError: the folder cannot be written.
    """
    with unfinished(_temporary_name(target)) as temporary:
        held = _create(temporary)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(target)
        finally:
            os.close(held)


def write_clip(
    path: str | os.PathLike[str],
    clip: Clip,
    *,
    metadata: Mapping[str, object] | None = None,
    crf: float = 18.0,
    preset: str = "medium",
    allow_silent: bool = False,
    source_type: DigitalSourceType = "trainedAlgorithmicMedia",
) -> None:
    """Write H.264 and AAC as mp4, or raise and leave everything as it was.

    Time stamps are whole numbers of frames and samples, and the edit list carries the AAC encoder's priming, so that
    players start both together. The index stands at the front. The file appears under its name only when it is complete
    and on disk.

    Args:
        path: ends in .mp4.
        clip: even height and width; a mono or stereo waveform of exactly as many samples as the frames last
            (`mova.geometry.num_samples`) at a rate of `AAC_RATES`.
        metadata: kept in the file as one JSON object in the `comment` tag; `read_metadata` returns it.
        crf: quality of the video, 0 (lossless) to 51 (worst).
        preset: x264's name for how long it may search.
        allow_silent: whether a clip without a waveform may become a file without audio.
        source_type: IPTC's name of how the clip came about; stands in the file as XMP.

    Raises:
        MuxError: a clip or path that cannot be written (before encoding), or a failure on the way, such as a full disk.
    """
    target = check_writable(path)
    _check_video(clip, path, crf)
    _check_audio(clip, path, allow_silent=allow_silent)
    tags = _tags(metadata or {}, path)
    try:
        with complete_file(target) as temporary:
            _encode(temporary, clip, tags, {"crf": f"{crf:g}", "preset": preset})
            append_source_type(temporary, source_type)
            _check_complete(temporary, clip)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MuxError(f"a clip must be written whole, got stopped at {path}: {reason}; nothing was kept") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, object]:
    """Return what `write_clip` was given as metadata, JSON values by name; empty for a file that has none.

    Raises:
        ReadError: the file is missing or cannot be opened.
    """
    with open_media(path) as container:
        comment = container.metadata.get("comment", "")
    try:
        record = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _check_video(clip: Clip, path: str | os.PathLike[str], crf: float) -> None:
    if clip.frames.dtype != np.uint8 or not len(clip.frames):
        raise MuxError(f"frames must be at least one and uint8, got {len(clip.frames)} {clip.frames.dtype} for {path}")
    for name, value in zip(("height", "width"), clip.frames.shape[1:3], strict=True):
        if value < 2 or value % 2:
            nearest = "nearest is 2" if value < 2 else f"nearest are {value - 1} and {value + 1}"
            raise MuxError(f"{name} must be even for H.264 with 4:2:0 colour, got {value}; {nearest}")
    if not (np.isfinite(clip.frame_rate) and clip.frame_rate > 0):
        raise MuxError(f"frame rate must be a positive number of frames per second, got {clip.frame_rate}")
    if not 0.0 <= crf <= 51.0:
        raise MuxError(f"crf must lie in [0, 51], got {crf}; nearest is {min(max(crf, 0.0), 51.0):g}")


def _check_audio(clip: Clip, path: str | os.PathLike[str], *, allow_silent: bool) -> None:
    waveform = clip.waveform
    if waveform is None:
        if not allow_silent:
            raise MuxError(f"a clip must have audio, got none for {path}; allow_silent=True writes the video alone")
        return
    if len(waveform) not in _LAYOUTS:
        raise MuxError(f"audio must have 1 or 2 channels, got {len(waveform)}")
    if clip.sample_rate not in AAC_RATES:
        nearest = min(AAC_RATES, key=lambda rate: abs(rate - clip.sample_rate))
        raise MuxError(f"sample rate must be one that AAC has, got {clip.sample_rate} Hz; nearest is {nearest} Hz")
    expected = num_samples(len(clip.frames), clip.frame_rate, clip.sample_rate)
    if waveform.shape[1] != expected:
        raise MuxError(
            f"audio must last as long as the video: {len(clip.frames)} frames at {clip.frame_rate:g} per second are "
            f"{expected} samples at {clip.sample_rate} Hz, got {waveform.shape[1]}"
        )
    finite = np.isfinite(waveform)
    if not finite.all():
        raise MuxError(f"samples must be finite, got {int((~finite).sum())} that are not")
    loudest = float(np.abs(waveform).max(initial=0.0))
    if loudest > _PEAK_LIMIT:
        raise MuxError(f"samples must lie in [-1, 1], got up to {loudest:g}; nearest is 1")


def _tags(metadata: Mapping[str, Any], path: str | os.PathLike[str]) -> dict[str, str]:
    if not metadata:
        return {}
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MuxError(f"metadata must be JSON values by names, got {error} for {path}") from error
    # Half of a surrogate pair, as Python gives for undecodable command-line bytes, cannot be stored as UTF-8.
    is_plain = not any(ord(letter) in _SURROGATES for letter in text)
    return {"comment": text if is_plain else json.dumps(dict(metadata))}


def _temporary_name(target: Path) -> Path:
    return target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")


def _create(path: Path) -> int:
    """Make an empty file with the permissions that the user's mask gives, never through an existing one.

    Returns:
        Its number, locked while it is open: a file without a lock has no writer any more.
    """
    number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    _lock(number)
    return number


def _lock(number: int) -> bool:
    """Lock an open file; False where another process has it, or where files cannot be locked."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _encode(path: Path, clip: Clip, tags: dict[str, str], options: dict[str, str]) -> None:
    # The edit list counts in the movie's time scale; at the default of 1000 it would round to milliseconds.
    muxer = {
        "movflags": "+faststart",
        "movie_timescale": str(clip.sample_rate if clip.waveform is not None else 90_000),
    }
    container = av.open(str(path), "w", format="mp4", options=muxer)
    try:
        container.metadata.update(tags)
        rate = Fraction(clip.frame_rate).limit_denominator(1_000_000)
        video = h264_stream(container, clip.frames.shape[1:3], rate, options)
        waveform = clip.waveform
        audio = None if waveform is None else aac_stream(container, len(waveform), clip.sample_rate)
        sent = 0
        for index, frame in enumerate(clip.frames):
            shown = rgb_to_yuv(frame)
            shown.pts, shown.time_base = index, 1 / rate
            container.mux(video.encode(shown))
            if audio is not None:
                due = num_samples(index + 1, clip.frame_rate, clip.sample_rate)
                sent = _encode_audio(container, audio, clip, sent, due)
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    except BaseException:
        with suppress(OSError, ValueError, av.error.FFmpegError):
            container.close()
        raise
    container.close()


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


def aac_stream(
    container: OutputContainer, channels: int, sample_rate: int, bit_rate: int = _MAX_BIT_RATE
) -> AudioStream:
    """Add the audio's stream to a file: AAC of at most `bit_rate` bits per second and channel."""
    stream = container.add_stream("aac", rate=sample_rate, layout=_LAYOUTS[channels])
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
        np.clip(planes, -1.0, 1.0), format="fltp", layout=_LAYOUTS[len(samples)]
    )
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, first, Fraction(1, sample_rate)
    return frame


def _encode_audio(container: OutputContainer, stream: AudioStream, clip: Clip, sent: int, due: int) -> int:
    """Encode whole chunks of audio up to sample `due`, and the rest at the end; return the samples sent so far."""
    assert clip.waveform is not None
    total = clip.waveform.shape[1]
    while sent < total and (sent + AUDIO_CHUNK <= due or due == total):
        samples = clip.waveform[:, sent : sent + AUDIO_CHUNK]
        container.mux(stream.encode(audio_frame(samples, clip.sample_rate, sent)))
        sent += samples.shape[1]
    return sent


def _check_complete(path: Path, clip: Clip) -> None:
    """Count the packets that arrived in the file: an encoder or a disk may have dropped some without a word."""
    seconds = {"video": Fraction(0), "audio": Fraction(0)}
    num_frames = 0
    with av.open(str(path), "r", format="mp4") as container:
        for packet in container.demux():
            if packet.size and not packet.is_corrupt:
                num_frames += packet.stream.type == "video"
                seconds[packet.stream.type] += (packet.duration or 0) * packet.time_base
    if read_xmp(path) is None:
        raise OSError("only a part without its end reached the file")
    expected = Fraction(0) if clip.waveform is None else Fraction(clip.waveform.shape[1], clip.sample_rate)
    if num_frames != len(clip.frames) or seconds["audio"] < expected:
        arrived = f"{num_frames} of {len(clip.frames)} frames and {float(seconds['audio']):g} s of audio"
        raise OSError(f"only {arrived} reached the file")


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
