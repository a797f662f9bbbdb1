"""Clips into mp4 files: whole or not at all, video and audio in step, with a record of where they came from."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from mova.errors import MuxError
from mova.files.unfinished import unfinished
from mova.geometry import num_samples
from mova.media.media_file import open_media
from mova.media.mp4.streams import LAYOUTS, Mp4Streams
from mova.media.provenance import DigitalSourceType, append_source_type, read_xmp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mova.types import Clip

# Rates of MPEG-4 AAC, ISO/IEC 14496-3 table 1.18, without 7350 Hz.
AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
# Decoders end in tanh; more than rounding above full scale is a fault upstream, and clipping would hide it.
_PEAK_LIMIT = 1.0 + 1e-3
_PREFIX, _SUFFIX = ".mova-", ".part"
_SURROGATES = range(0xD800, 0xE000)


def check_writable(path: str | os.PathLike[str], suffixes: Sequence[str] = (".mp4",)) -> Path:
    """Find out whether `write_clip` can write `path`, before the work that leads there, by creating a file beside it.

    Args:
        path: of the file.
        suffixes: that its name may have.

    Returns:
        The file that will be written: absolute, links followed.

    Raises:
        MuxError: a name that ends in something else, a directory in its place, a missing directory, or no permission to
            write there.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise MuxError(f"output must be a file name, got the directory {path}")
    if target.suffix.lower() not in suffixes:
        nearest = Path(path).with_suffix(suffixes[0])
        raise MuxError(f"output must end in {' or '.join(suffixes)}, got {path}; nearest is {nearest}")
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
    check_video(clip, path, crf)
    check_audio(clip, path, allow_silent=allow_silent)
    tags = metadata_tags(metadata or {}, path)
    try:
        with complete_file(target) as temporary:
            _encode(temporary, clip, tags, {"crf": f"{crf:g}", "preset": preset})
            append_source_type(temporary, source_type)
            lasting = Fraction(0) if clip.waveform is None else Fraction(clip.waveform.shape[1], clip.sample_rate)
            check_complete(temporary, len(clip.frames), lasting)
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


def check_video(clip: Clip, path: str | os.PathLike[str], crf: float) -> None:
    """Refuse frames, a frame rate or a quality that H.264 cannot have.

    Raises:
        MuxError: with the nearest valid value.
    """
    if clip.frames.dtype != np.uint8 or not len(clip.frames):
        raise MuxError(f"frames must be at least one and uint8, got {len(clip.frames)} {clip.frames.dtype} for {path}")
    check_format((clip.frames.shape[1], clip.frames.shape[2]), clip.frame_rate, clip.sample_rate, crf, 0)


def check_format(size: tuple[int, int], frame_rate: float, sample_rate: int, crf: float, channels: int) -> None:
    """Refuse a form of a clip that cannot be written.

    Args:
        size: (height, width).
        frame_rate: frames per second.
        sample_rate: of the audio, in Hz.
        crf: quality of the video.
        channels: of the audio; 0 for none.

    Raises:
        MuxError: rule, value and nearest valid value.
    """
    for name, value in zip(("height", "width"), size, strict=True):
        if value < 2 or value % 2:
            nearest = "nearest is 2" if value < 2 else f"nearest are {value - 1} and {value + 1}"
            raise MuxError(f"{name} must be even for H.264 with 4:2:0 colour, got {value}; {nearest}")
    if not (np.isfinite(frame_rate) and frame_rate > 0):
        raise MuxError(f"frame rate must be a positive number of frames per second, got {frame_rate}")
    if not 0.0 <= crf <= 51.0:
        raise MuxError(f"crf must lie in [0, 51], got {crf}; nearest is {min(max(crf, 0.0), 51.0):g}")
    if not channels:
        return
    if channels not in LAYOUTS:
        raise MuxError(f"audio must have 1 or 2 channels, got {channels}")
    if sample_rate not in AAC_RATES:
        closest = min(AAC_RATES, key=lambda rate: abs(rate - sample_rate))
        raise MuxError(f"sample rate must be one that AAC has, got {sample_rate} Hz; nearest is {closest} Hz")


def check_samples(waveform: np.ndarray) -> None:
    """Refuse samples (channels, S) that are not finite or lie outside [-1, 1].

    Raises:
        MuxError: with how many, or how far.
    """
    finite = np.isfinite(waveform)
    if not finite.all():
        raise MuxError(f"samples must be finite, got {int((~finite).sum())} that are not")
    loudest = float(np.abs(waveform).max(initial=0.0))
    if loudest > _PEAK_LIMIT:
        raise MuxError(f"samples must lie in [-1, 1], got up to {loudest:g}; nearest is 1")


def check_audio(clip: Clip, path: str | os.PathLike[str], *, allow_silent: bool) -> None:
    """Refuse a waveform that AAC cannot hold, or of another length than the frames.

    Raises:
        MuxError: with the nearest valid value.
    """
    waveform = clip.waveform
    if waveform is None:
        if not allow_silent:
            raise MuxError(f"a clip must have audio, got none for {path}; allow_silent=True writes the video alone")
        return
    size = (clip.frames.shape[1], clip.frames.shape[2])
    check_format(size, clip.frame_rate, clip.sample_rate, 0.0, len(waveform))
    expected = num_samples(len(clip.frames), clip.frame_rate, clip.sample_rate)
    if waveform.shape[1] != expected:
        raise MuxError(
            f"audio must last as long as the video: {len(clip.frames)} frames at {clip.frame_rate:g} per second are "
            f"{expected} samples at {clip.sample_rate} Hz, got {waveform.shape[1]}"
        )
    check_samples(waveform)


def metadata_tags(metadata: Mapping[str, object], path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the tag of a file that `read_metadata` reads again; none for no metadata.

    Raises:
        MuxError: no JSON values by names.
    """
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
    streams = Mp4Streams(
        path,
        (clip.frames.shape[1], clip.frames.shape[2]),
        clip.frame_rate,
        channels=0 if clip.waveform is None else len(clip.waveform),
        sample_rate=clip.sample_rate,
        tags=tags,
        options=options,
    )
    try:
        streams.add(clip.frames, clip.waveform)
        streams.close()
    except BaseException:
        streams.abandon()
        raise


def check_complete(path: Path, num_frames: int, lasting_s: Fraction) -> None:
    """Count the packets that arrived in a file: an encoder or a disk may have dropped some without a word.

    Args:
        path: of a file with its source type at the end.
        num_frames: that were written.
        lasting_s: seconds of audio that were written.

    Raises:
        OSError: some are missing.
    """
    seconds = {"video": Fraction(0), "audio": Fraction(0)}
    found = 0
    with av.open(str(path), "r", format="mp4") as container:
        for packet in container.demux():
            if packet.size and not packet.is_corrupt:
                found += packet.stream.type == "video"
                seconds[packet.stream.type] += (packet.duration or 0) * packet.time_base
    if read_xmp(path) is None:
        raise OSError("only a part without its end reached the file")
    if found != num_frames or seconds["audio"] < lasting_s:
        raise OSError(
            f"only {found} of {num_frames} frames and {float(seconds['audio']):g} s of audio reached the file"
        )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
