"""Films made for the tests: every picture carries its own number, so that a frame tells where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mova.geometry import num_samples
from mova.types import Clip

_BITS, _BLOCK = 10, 16


def stamp(number: int) -> np.ndarray:
    """Return a picture (32, 80, 3) that shows `number` in binary, black and white blocks of 16 pixels."""
    bits = np.array([number >> bit & 1 for bit in range(_BITS)], dtype=np.uint8).reshape(2, -1)
    return np.repeat(np.kron(bits, np.ones((_BLOCK, _BLOCK), np.uint8))[..., None] * 255, 3, axis=2)


def read_stamp(picture: np.ndarray) -> int:
    """Return the number that a picture shows, whatever its size."""
    height, width = picture.shape[0] // 2, picture.shape[1] // (_BITS // 2)
    number = 0
    for bit in range(_BITS):
        row, column = divmod(bit, _BITS // 2)
        block = picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
        number |= int(block[height // 4 : -height // 4, width // 4 : -width // 4].mean() > 128) << bit
    return number


def clicks(times_s: Sequence[float], duration_s: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """Return (channels, S) with a loud click of 2 ms at each time."""
    waveform = np.zeros((channels, round(duration_s * sample_rate)), np.float32)
    for time_s in times_s:
        first = round(time_s * sample_rate)
        waveform[:, first : first + sample_rate // 500] = 0.9
    return waveform


def onsets_s(waveform: np.ndarray, sample_rate: int, threshold: float = 0.3) -> list[float]:
    """Return when the first channel gets loud after 20 ms of quiet."""
    loud = np.flatnonzero(np.abs(waveform[0]) > threshold)
    if not loud.size:
        return []
    starts = loud[np.concatenate(([True], np.diff(loud) > sample_rate // 50))]
    return [float(start) / sample_rate for start in starts]


def make_film(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    rate: Fraction | int = 24,
    ticks: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
    degrees: float | None = None,
    mirrored: bool = False,
    gop: int = 12,
    sound: np.ndarray | None = None,
    sample_rate: int = 48_000,
    layout: str = "mono",
    audio_codec: str = "aac",
    sound_start_s: float = 0.0,
    pause: tuple[float, float] = (0.0, 0.0),
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    title: str = "",
    colour_space: str | None = None,
) -> Path:
    """Write a film with PyAV and nothing of ours; `ticks` places the pictures in units of `time_base`."""
    time_base = time_base or 1 / Fraction(rate)
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        if title:
            container.metadata["title"] = title
        video = container.add_stream(codec, rate=rate)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = gop
        video.codec_context.time_base = time_base
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if degrees is not None:
            video.set_display_rotation(degrees, hflip=mirrored)
        audio = None
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=sample_rate, layout=layout)
        packets = []
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colour_space)
            frame.colorspace = 2  # unspecified
            frame.pts, frame.time_base = (index if ticks is None else ticks[index]), time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio is not None:
            packets += _encode_sound(audio, sound, sample_rate, layout, sound_start_s, pause)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _encode_sound(
    audio, sound: np.ndarray, sample_rate: int, layout: str, start_s: float, pause: tuple[float, float]
) -> list:
    """Encode in chunks of 20 ms; from `pause[0]` seconds on they come `pause[1]` seconds later."""
    packets = []
    sample_format = audio.codec_context.format.name
    for first in range(0, sound.shape[1], sample_rate // 50):
        chunk = np.ascontiguousarray(sound[:, first : first + sample_rate // 50])
        if sample_format.startswith("s"):
            bits = int(sample_format[1:].rstrip("p"))
            chunk = (chunk.astype(np.float64) * (2 ** (bits - 1) - 1)).astype(f"int{bits}")
        elif sample_format.startswith("dbl"):
            chunk = chunk.astype(np.float64)
        elif sample_format.startswith("u8"):
            chunk = (chunk * 127 + 128).astype(np.uint8)
        if not sample_format.endswith("p"):
            chunk = chunk.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), format=sample_format, layout=layout)
        frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
        late_s = pause[1] if first >= pause[0] * sample_rate else 0.0
        frame.pts = first + round((start_s + late_s) * sample_rate)
        packets += audio.encode(frame)
    return packets + audio.encode(None)


def make_with_clicks(path: Path, *, rate: Fraction | int = 24, seconds: float = 2.0, **options) -> Path:
    """Write a numbered film with a click at 0.5 s and 1.5 s."""
    sound = clicks([0.5, 1.5], seconds, options.get("sample_rate", 48_000))
    return make_film(path, numbered(round(seconds * rate)), rate=rate, sound=sound, **options)


def make_sound(path: Path, sound: np.ndarray, *, codec: str, start_s: float = 0.0, sample_rate: int = 48_000) -> Path:
    """Write a file of audio alone whose clock begins at `start_s`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sample_rate, layout="mono")
        container.mux(_encode_sound(stream, sound, sample_rate, "mono", start_s, (0.0, 0.0)))
    return path


def make_tracks(path: Path, sounds: Sequence[np.ndarray], sample_rate: int = 16_000) -> Path:
    """Write a file of several audio tracks."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("flac", rate=sample_rate, layout="mono") for _ in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            container.mux(_encode_sound(stream, sound, sample_rate, "mono", 0.0, (0.0, 0.0)))
    return path


def numbered(num_pictures: int, first: int = 0) -> list[np.ndarray]:
    """Return pictures that show their numbers."""
    return [stamp(first + index) for index in range(num_pictures)]


def flash_and_click(frame_rate: float, sample_rate: int, num_frames: int = 49) -> tuple[Clip, list[int]]:
    """Return a clip with a white frame and a click at the same moments, and those frames."""
    flashes = [0, 10, 25, 40]
    frames = np.zeros((num_frames, 32, 48, 3), np.uint8)
    frames[flashes] = 255
    waveform = np.zeros((1, num_samples(num_frames, frame_rate, sample_rate)), np.float32)
    for flash in flashes:
        first = round(flash / frame_rate * sample_rate)
        waveform[:, first : first + sample_rate // 500] = 0.9
    return Clip(frames, waveform, frame_rate, sample_rate), flashes


@pytest.fixture(scope="session")
def films() -> SimpleNamespace:
    """The functions above."""
    return SimpleNamespace(
        make=make_film,
        make_sound=make_sound,
        make_tracks=make_tracks,
        make_with_clicks=make_with_clicks,
        numbered=numbered,
        stamp=stamp,
        read_stamp=read_stamp,
        clicks=clicks,
        onsets_s=onsets_s,
        flash_and_click=flash_and_click,
    )
