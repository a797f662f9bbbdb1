"""Footage that tests make: flashes with beeps, shots of different colours, and files that are damaged in every way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 48_000
FLASH_S = 0.085
BEEP_S = 0.03


def steady_ticks(rate: Fraction | int, seconds: float) -> tuple[list[int], Fraction]:
    """Return the times of frames at one rate, and their time base."""
    return list(range(round(seconds * rate))), 1 / Fraction(rate)


def uneven_ticks(seconds: float, seed: int = 0) -> tuple[list[int], Fraction]:
    """Return the times of frames that last 10 to 60 ms each."""
    steps = np.random.default_rng(seed).integers(10, 61, int(seconds * 50))
    times = np.concatenate(([0], np.cumsum(steps)))
    return times[times < seconds * 1000].tolist(), Fraction(1, 1000)


def event_times(ticks: Sequence[int], base: Fraction, every_s: float) -> list[float]:
    """Return the times of frames nearest behind each multiple of a span, in seconds."""
    times = [float(tick * base) for tick in ticks]
    wanted = np.arange(every_s / 2, times[-1] - 0.2, every_s)
    return [next(time for time in times if time >= want) for want in wanted]


def flash_frames(ticks: Sequence[int], base: Fraction, events: Sequence[float], size=(64, 96)) -> Iterable[np.ndarray]:
    """Yield grey frames with some texture, white for a moment from each event on."""
    texture = np.random.default_rng(1).integers(40, 90, (*size, 3), dtype=np.uint8)
    for tick in ticks:
        time = float(tick * base)
        is_flash = any(event - 1e-6 <= time < event + FLASH_S for event in events)
        yield np.full_like(texture, 235) if is_flash else texture


def beeps(events: Sequence[float], seconds: float, sample_rate: int = SAMPLE_RATE, start_s: float = 0.0) -> np.ndarray:
    """Return (1, S) with a tone from each event on, for audio that starts at `start_s`."""
    waveform = np.zeros((1, round(seconds * sample_rate)), np.float32)
    tone = 0.8 * np.sin(np.arange(round(BEEP_S * sample_rate)) * 2 * np.pi * 1000 / sample_rate + np.pi / 2)
    for event in events:
        first = round((event - start_s) * sample_rate)
        part = tone[: max(0, waveform.shape[1] - first)]
        if first >= 0:
            waveform[:, first : first + len(part)] = part
    return waveform


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    ticks: Sequence[int],
    base: Fraction,
    *,
    audio: np.ndarray | Sequence[np.ndarray] | None = None,
    sample_rate: int = SAMPLE_RATE,
    layout: str = "mono",
    audio_start_s: float = 0.0,
    codec: str = "libx264",
    audio_codec: str = "aac",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    container: str | None = None,
    gop: int = 12,
    aspect: Fraction | None = None,
    degrees: float | None = None,
    rate: Fraction | None = None,
) -> Path:
    """Write a file with PyAV and nothing of ours."""
    tracks = [] if audio is None else [audio] if isinstance(audio, np.ndarray) else list(audio)
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        usual = rate or Fraction(len(ticks) - 1, 1) / ((ticks[-1] - ticks[0]) * base)
        video = file.add_stream(codec, rate=usual.limit_denominator(100_000), options=codec_options or {})
        streams = [file.add_stream(audio_codec, rate=sample_rate, layout=layout) for _ in tracks]
        packets, iterator = [], iter(frames)
        first = next(iterator)
        video.height, video.width = first.shape[:2]
        video.pix_fmt, video.codec_context.gop_size, video.codec_context.time_base = pix_fmt, gop, base
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if degrees is not None:
            video.set_display_rotation(degrees)
        for tick, image in zip(ticks, [first, *iterator], strict=False):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=pix_fmt)
            frame.colorspace = 2
            frame.pts, frame.time_base = tick, base
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, waveform in zip(streams, tracks, strict=True):
            packets += _audio_packets(stream, waveform, sample_rate, layout, audio_start_s)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    return path


def _audio_packets(stream, waveform: np.ndarray, sample_rate: int, layout: str, start_s: float) -> list:
    packets, kind = [], stream.codec_context.format.name
    dtype = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}[kind.removesuffix("p")]
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    step = 1024
    for first in range(0, waveform.shape[1], step):
        part = (waveform[:, first : first + step] * scale).astype(dtype)
        part = part if kind.endswith("p") else part.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format=kind, layout=layout)
        frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
        frame.pts = first + round(start_s * sample_rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def flash_and_beep(
    path: Path, ticks: Sequence[int], base: Fraction, *, every_s: float = 0.6, size=(64, 96), **options
) -> list[float]:
    """Write footage whose flashes and beeps begin together; return when, in seconds after the first frame."""
    events = event_times(ticks, base, every_s)
    seconds = float(ticks[-1] * base) + 0.05
    rate, start_s = options.get("sample_rate", SAMPLE_RATE), options.get("audio_start_s", 0.0)
    audio = options.pop("audio", beeps(events, seconds - start_s, rate, start_s))
    write_video(path, flash_frames(ticks, base, events, size), ticks, base, audio=audio, **options)
    return events


def seen_and_heard(path: Path) -> tuple[list[float], list[float]]:
    """Return when flashes and beeps of a clip begin on its own clock, by PyAV alone."""
    with av.open(str(path)) as file:
        bright = [(float(f.pts * f.time_base), f.to_ndarray(format="gray").mean()) for f in file.decode(video=0)]
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        parts = [(float(frame.pts * frame.time_base), frame.to_ndarray()[0]) for frame in file.decode(stream)]
        rate = stream.sample_rate
    waveform = np.concatenate([samples for _, samples in parts])
    loud = np.flatnonzero(np.abs(waveform) > 0.3)
    starts = loud[np.concatenate(([True], np.diff(loud) > rate // 5))] if loud.size else loud
    high = max(level for _, level in bright) * 0.6
    flashes = [
        time
        for (time, level), before in zip(bright, [0.0, *(lv for _, lv in bright)], strict=False)
        if level > max(high, 120) >= before
    ]
    return flashes, [parts[0][0] + float(start) / rate for start in starts]


def shots(seconds: float, lengths_s: Sequence[float], rate: int = 24, size=(64, 96)) -> list[np.ndarray]:
    """Return frames of shots of the given lengths, each of a texture of its own that moves a little."""
    frames, shot, left = [], 0, lengths_s[0] * rate
    for index in range(round(seconds * rate)):
        if left <= 0:
            shot, left = shot + 1, left + lengths_s[(shot + 1) % len(lengths_s)] * rate
        left -= 1
        random = np.random.default_rng(shot)
        base = random.integers(20, 200, 3)
        texture = np.kron(random.integers(0, 40, (size[0] // 8, size[1] // 8, 1)), np.ones((8, 8, 1), int))
        frames.append(np.clip(np.roll(texture, index // 4, axis=1) + base, 0, 255).astype(np.uint8))
    return frames


def voice(seconds: float, rate: int = SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """Return (S,) of something that detectors take for speech: pulses through the formants of changing vowels."""
    from scipy.signal import lfilter

    vowels = [(730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240), (530, 1840, 2480)]
    random, total = np.random.default_rng(seed), round(seconds * rate)
    said = np.zeros(0)
    while len(said) < total:
        length = round(rate * random.uniform(0.12, 0.22))
        times = np.arange(length) / rate
        swing = 1 + 0.15 * np.sin(2 * np.pi * random.uniform(2, 4) * times + random.uniform(0, 6))
        phase = np.cumsum(120 * swing * random.uniform(0.9, 1.15) / rate)
        sound = (np.diff(np.floor(phase), prepend=0) > 0) + 0.005 * random.standard_normal(length)
        for formant, width in zip(vowels[random.integers(5)], (80, 90, 120), strict=True):
            decay = np.exp(-np.pi * width / rate)
            poles = [1, -2 * decay * np.cos(2 * np.pi * formant / rate), decay * decay]
            sound = lfilter([1 - decay], poles, sound)
        sound *= np.hanning(length) ** 0.3 / (np.abs(sound).max() + 1e-9)
        if random.random() < 0.35:
            hiss = round(rate * 0.06)
            sound[:hiss] = 0.15 * random.standard_normal(hiss)
        said = np.concatenate((said, sound))
    return (0.5 * said[:total]).astype(np.float32)


def spoken(seconds: float, segments: Sequence[tuple[float, float]], rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return (1, S) in which somebody speaks in the given segments."""
    waveform = np.zeros((1, round(seconds * rate)), np.float32)
    for number, (begin, end) in enumerate(segments):
        part = voice(end - begin, rate, number)
        first = round(begin * rate)
        waveform[0, first : first + len(part)] = part[: waveform.shape[1] - first]
    return waveform


def ffmpeg(*arguments: str) -> None:
    """Run the binary that imageio-ffmpeg brings."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
