"""Strips along a clip's time: waveform, spectrogram and curves. The page's script moves a cursor over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mova.pages.formats import number_text
from mova.pages.html import Content, Html, Url, element, joined

WIDTH: Final = 480
"""Of a strip, in its own units; a strip is as wide as what holds it."""
_HEIGHT: Final = 48
_RANGE_DB: Final = 80.0
_LOWEST_HZ: Final = 50.0


@dataclass(frozen=True)
class Curve:
    """A value over time, with moments in it that count.

    Attributes:
        label: what it is, with its unit.
        times_s: (N,) ascending, in seconds.
        values: (N,) finite.
        marks_s: moments, such as onsets.
    """

    label: str
    times_s: Sequence[float] | np.ndarray
    values: Sequence[float] | np.ndarray
    marks_s: Sequence[float] | np.ndarray = ()


def waveform_strip(sound: np.ndarray, sample_rate: int) -> Html:
    """Return the outline of a sound: for each column its highest and lowest sample.

    Args:
        sound: (S,) in [-1, 1], one sample at least.
        sample_rate: in Hz.

    Raises:
        ValueError: there is no sample.
    """
    if not len(sound):
        raise ValueError("a waveform needs a sample")
    duration_s = len(sound) / sample_rate
    edges = np.linspace(0, len(sound), min(WIDTH, len(sound)) + 1).astype(int)
    high, low = np.maximum.reduceat(sound, edges[:-1]), np.minimum.reduceat(sound, edges[:-1])
    x = (edges[:-1] + edges[1:]) / 2 / len(sound) * WIDTH
    upper = [f"{at:.1f} {_level(value):.1f}" for at, value in zip(x, high, strict=True)]
    lower = [f"{at:.1f} {_level(value) + 0.4:.1f}" for at, value in zip(x[::-1], low[::-1], strict=True)]
    peak = float(np.abs(sound).max())
    words = f"Waveform of {number_text(duration_s, 3)} s, peak {number_text(peak, 2)} of full scale."
    return _strip(words, duration_s, element("path", d=f"M{' L'.join([*upper, *lower])}Z", class_="wave"))


def spectrogram_strip(address: Url, duration_s: float) -> Html:
    """Return a spectrogram that lies in a file beside the page.

    Args:
        address: of the image, as `spectrogram` gives it.
        duration_s: that it shows.
    """
    image = element("image", href=address, width=WIDTH, height=_HEIGHT, preserveAspectRatio="none")
    words = f"Spectrogram of {number_text(duration_s, 3)} s: low frequencies below, loud is bright."
    return _strip(words, duration_s, image)


def curve_strip(curve: Curve, duration_s: float) -> Html:
    """Return a curve with its moments as lines.

    Args:
        curve: at least one value.
        duration_s: of the clip.

    Raises:
        ValueError: there is no value, or not a time for each.
    """
    times, values = np.asarray(curve.times_s, float), np.asarray(curve.values, float)
    if not len(values) or len(times) != len(values):
        raise ValueError(f"a curve needs values with their times, got {len(values)} and {len(times)}")
    span = float(values.max() - values.min()) or 1.0
    y = _HEIGHT - 4 - (values - values.min()) / span * (_HEIGHT - 8)
    points = " ".join(f"{at / duration_s * WIDTH:.1f},{height:.1f}" for at, height in zip(times, y, strict=True))
    marks = [
        element("line", x1=place, y1=0, x2=place, y2=_HEIGHT, class_="moment")
        for place in (round(float(at) / duration_s * WIDTH, 1) for at in curve.marks_s)
    ]
    told = ", ".join(f"{float(at):.2f}" for at in list(curve.marks_s)[:40]) or "none"
    words = f"{curve.label}: {number_text(float(values.min()))} to {number_text(float(values.max()))}; at {told} s."
    return _strip(words, duration_s, marks, element("polyline", points=points, class_="curve"), label=curve.label)


def spectrogram(sound: np.ndarray, sample_rate: int, size: tuple[int, int] = (96, 480)) -> np.ndarray:
    """Return an image of a sound over time and frequency: (height, width) uint8, loud is bright, low is below.

    Frequencies are logarithmic from 50 Hz to half the sample rate; 80 dB below the loudest is black.

    Args:
        sound: (S,), one sample at least.
        sample_rate: in Hz.
        size: height and width in pixels.
    """
    height, width = size
    window = min(2048, max(64, 1 << (len(sound) // 8).bit_length()))
    middles = (np.arange(width) + 0.5) / width * len(sound)
    padded = np.pad(np.asarray(sound, np.float64), window)
    starts = middles.astype(int) + window - window // 2
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
    top = sample_rate / 2
    wanted = np.geomspace(min(_LOWEST_HZ, top / 2), top, height)[::-1]
    bins = np.minimum(np.round(wanted * window / sample_rate).astype(int), power.shape[1] - 1)
    level = 10 * np.log10(power[:, bins].T + 1e-12)
    shade = np.clip((level - level.max()) / _RANGE_DB + 1, 0, 1)
    return np.asarray(np.round(shade * 255), np.uint8)


def _level(value: float) -> float:
    return _HEIGHT / 2 * (1 - min(1.0, max(-1.0, float(value))))


def _strip(words: str, duration_s: float, *drawn: Content, label: str = "") -> Html:
    drawing = element(
        "svg",
        *drawn,
        element("line", x1=-1, y1=0, x2=-1, y2=_HEIGHT, class_="cursor"),
        viewBox=f"0 0 {WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
        class_="timeline",
        data_duration=round(duration_s, 4),
    )
    return joined(element("p", label, class_="detail"), drawing) if label else drawing
