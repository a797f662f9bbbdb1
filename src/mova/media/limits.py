"""What is admitted of media files, and how much of it: the one place for limits, checked from a file's header.

They keep a stranger's file from taking the machine's memory or time; `docs/guides/media.md` lists them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mova.errors import ReadError

if TYPE_CHECKING:
    import os

    PathArgument = str | os.PathLike[str]

# Formats that hold one clip in one file. Not in the list: playlists, which open other files; text and image readers,
# which turn anything into an image.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,ivf,ogg,mxf,nut,rm,wav,w64,mp3,flac,aac,aiff,caf"
)
# Pillow's names. Not in the list: readers that run other programs (EPS), and those of scientific or game formats.
IMAGE_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")

MAX_FILE_BYTES = 1 << 36  # of a media file: 64 GiB
MAX_IMAGE_FILE_BYTES = 1 << 29  # of an image: 512 MiB
MAX_IMAGE_PIXELS = 110_000_000  # a 108-megapixel photo; reading one takes 1.5 GiB at most
# Of formats whose readers hold an image several times, with which they take as much.
MAX_PIXELS_BY_FORMAT = {"WEBP": 64_000_000, "AVIF": 64_000_000}
MAX_VIDEO_PIXELS = 1 << 25  # of a video's frame: 8192x4096
MAX_SIDE = 16_384  # of a video's frame, in either direction
MAX_STREAMS = 100  # in one file
MAX_FRAME_RATE = 1000.0  # frames per second
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
MAX_SAMPLE = 64.0  # times full scale, in floating point: 36 dB; beyond it the numbers are not audio
MAX_DURATION_S = 30 * 24 * 3600.0  # of a time stamp: 30 days
MAX_UNASKED_BYTES = 3 << 29  # of the frames of a video that is read to its end: 1.5 GiB
MAX_WAVEFORM_BYTES = 1 << 29  # of the audio of a span as stored, 4 bytes a sample: 512 MiB
MAX_DECODER_THREADS = 8
LARGE_PIXELS = 1 << 23  # from this size of a frame on, a decoder gets two threads: each holds frames of its own


def check_file_size(size_bytes: int, path: PathArgument, *, most: int = MAX_FILE_BYTES) -> None:
    """Refuse a file that is too large.

    Raises:
        ReadError: more bytes than `most`.
    """
    if size_bytes > most:
        raise ReadError(f"a media file must have at most {most} bytes, got {path} of {size_bytes}")


def check_image_size(width: int, height: int, image_format: str | None, path: object) -> None:
    """Refuse an image by the size and format that its header states; without a format by the size alone.

    Raises:
        ReadError: no pixels, or more than `MAX_IMAGE_PIXELS` or than the format may have.
    """
    most = MAX_PIXELS_BY_FORMAT.get(image_format or "", MAX_IMAGE_PIXELS)
    if min(width, height) < 1 or width * height > most:
        raise ReadError(
            f"an image must have 1 to {most} pixels, got {path} of {width}x{height}{nearest_size(width, height, most)}"
        )


def check_video_size(width: int, height: int, path: PathArgument) -> None:
    """Refuse a video by the size of its frames (0 where the header does not state it).

    Raises:
        ReadError: more than `MAX_VIDEO_PIXELS` pixels, or a side over `MAX_SIDE`.
    """
    if width * height > MAX_VIDEO_PIXELS or max(width, height) > MAX_SIDE:
        raise ReadError(
            f"a video's frames must have at most {MAX_VIDEO_PIXELS} pixels and {MAX_SIDE} in a row or column, "
            f"got {path} of {width}x{height}{nearest_size(width, height, MAX_VIDEO_PIXELS)}"
        )


def check_audio(sample_rate: int, channels: int, path: PathArgument) -> None:
    """Refuse audio by its rate and its number of channels.

    Raises:
        ReadError: a rate or a number outside its range.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        nearest = min(max(sample_rate, MIN_SAMPLE_RATE), MAX_SAMPLE_RATE)
        raise ReadError(
            f"audio must have {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} samples per second, got {path} with "
            f"{sample_rate}; nearest is {nearest}"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise ReadError(
            f"audio must have 1 to {MAX_CHANNELS} channels, got {path} with {channels}; "
            f"nearest is {min(max(channels, 1), MAX_CHANNELS)}"
        )


def check_frame_rate(rate: float, path: PathArgument) -> None:
    """Refuse a frame rate that a file states and that none is.

    Raises:
        ReadError: not in (0, `MAX_FRAME_RATE`].
    """
    if not 0.0 < rate <= MAX_FRAME_RATE:
        raise ReadError(
            f"a video must have a frame rate of more than 0 and at most {MAX_FRAME_RATE:g}, got {path} with {rate:g}; "
            "ask for a rate to read it at that one"
        )


def check_time(time_s: float, path: PathArgument) -> None:
    """Refuse a time stamp that no clip reaches.

    Raises:
        ReadError: not finite, or more than `MAX_DURATION_S` from 0.
    """
    if not (math.isfinite(time_s) and abs(time_s) <= MAX_DURATION_S):
        raise ReadError(
            f"time stamps must lie within {MAX_DURATION_S:.0f} s of 0, got {time_s:g} s in {path}; remux the file first"
        )


def check_unasked_frames(num_frames: int, size: tuple[int, int], path: PathArgument) -> None:
    """Refuse to read a video to an end that lies too far, or never comes.

    Raises:
        ReadError: `num_frames` frames of (height, width) `size` take more than `MAX_UNASKED_BYTES`.
    """
    most = max(1, MAX_UNASKED_BYTES // (3 * size[0] * size[1]))
    if num_frames > most:
        raise ReadError(
            f"a video read to its end must have at most {most} frames of {size[1]}x{size[0]} "
            f"({MAX_UNASKED_BYTES} bytes), got {path} with more; ask for num_frames"
        )


def check_waveform(num_samples: int, channels: int, path: PathArgument) -> None:
    """Refuse to hold a span of audio that is too large.

    Raises:
        ReadError: more than `MAX_WAVEFORM_BYTES`.
    """
    most = MAX_WAVEFORM_BYTES // (4 * channels)
    if num_samples > most:
        raise ReadError(
            f"a span of audio must have at most {most} samples of {channels} channels ({MAX_WAVEFORM_BYTES} bytes), "
            f"got {num_samples} of {path}; ask for a shorter one"
        )


def nearest_size(width: int, height: int, most: int) -> str:
    """Return "; nearest is WxH", the largest size of the same shape within `most` pixels."""
    if min(width, height) < 1:
        return ""
    scale = min(1.0, math.sqrt(most / (width * height)))
    return f"; nearest is {max(1, math.floor(width * scale))}x{max(1, math.floor(height * scale))}"
