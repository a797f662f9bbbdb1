"""Find the events of a clip from its samples alone: when, how loud, on what, and which note.

An onset is a sudden rise of the logarithmic spectrum, so that a blow is found on top of what still rings; its time is
then refined to the sample where the energy changes. Timbre is the best of the world's prototype sounds; the note
is the spectral peak after the onset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import GeometryError, NumericalError
from mova.toyworld.sound import blow
from mova.toyworld.vocabulary import TIMBRES, notes_of, pitch_hz

FloatArray = NDArray[np.float64]

WINDOW_S: Final = 0.016
HOP_S: Final = 0.005
LAG: Final = 2  # hops over which the rise is measured: a window that the onset enters needs both to fill
MAX_HZ: Final = 8000.0
# What is quieter than this counts as silence: an absolute amplitude, and a share of the clip's loudest line.
MAGNITUDE_FLOOR: Final = (0.0005, 0.01)
MIN_LEVEL: Final = 0.004
MIN_RISE: Final = 0.15
MIN_POWER_RATIO: Final = 2.5  # of the 12 ms after an onset to the 12 ms before: steady noise has about 1
POWER_SPAN_S: Final = 0.012
MIN_GAP_S: Final = 0.1
REFINE_S: Final = 0.02
# Timbre is told by the spectrum of the blow itself and of what rings on; the note by the part after the drum's glide.
EARLY_S: Final = (0.0, 0.04)
LATE_S: Final = (0.04, 0.128)
NOTE_S: Final = (0.025, 0.145)
NOTE_MARGIN: Final = 2.0 ** (1.5 / 12)
DYNAMIC_RANGE: Final = 0.02


@dataclass(frozen=True)
class HeardEvent:
    """One blow as it is heard.

    Attributes:
        time_s: time of the onset.
        level: largest absolute sample of the 30 ms after it.
        timbre: a material, "bar" or "key"; of a voice what it says.
        pitch_hz: measured fundamental.
        colour: whose note is nearest to it on that timbre; of a key the name of the note, of a voice "low" or "high".
        end_s: when a voice ends, None for a blow.
    """

    time_s: float
    level: float
    timbre: str
    pitch_hz: float
    colour: str
    end_s: float | None = None


def detect_audio(
    waveform: NDArray[np.floating] | None, sample_rate: int, *, timbres: tuple[str, ...] = TIMBRES
) -> tuple[HeardEvent, ...]:
    """Return the blows that are heard, in the order of time; none is found in the first 12 ms.

    Args:
        waveform: (channels, S) in [-1, 1], mixed to mono first; None means silence.
        sample_rate: in Hz, 8000 or more.
        timbres: to choose from.

    Raises:
        GeometryError: the sample rate is too low for the world's notes.
        NumericalError: a sample is not finite.
    """
    samples = mono(waveform, sample_rate)
    if samples is None:
        return ()
    heard = []
    for coarse_s in _rises(samples, sample_rate):
        time_s = refined_onset(samples, sample_rate, coarse_s)
        start = round(time_s * sample_rate)
        if not _is_louder_after(samples, sample_rate, start):
            continue
        level = float(np.abs(samples[start : start + int(0.03 * sample_rate)]).max(initial=0.0))
        if level >= MIN_LEVEL:
            timbre = _timbre(samples, sample_rate, start, timbres)
            pitch = _pitch(samples, sample_rate, start, timbre)
            heard.append(HeardEvent(time_s, level, timbre, pitch, _nearest_colour(timbre, pitch)))
    return tuple(heard)


def mono(waveform: NDArray[np.floating] | None, sample_rate: int) -> FloatArray | None:
    """Return the samples (S,) of a waveform (channels, S), None where there are too few to hear anything.

    Raises:
        GeometryError: the sample rate is too low for the world's notes.
        NumericalError: a sample is not finite.
    """
    if sample_rate < 8000:
        raise GeometryError(f"sample rate must be 8000 or more to tell the notes apart, got {sample_rate}")
    if waveform is None or waveform.shape[1] < WINDOW_S * sample_rate:
        return None
    samples = np.asarray(waveform, np.float64).mean(axis=0)
    if not np.isfinite(samples).all():
        raise NumericalError(
            f"a waveform must be finite, got {np.count_nonzero(~np.isfinite(samples))} samples that are not"
        )
    return np.asarray(samples)


def spectral_rise(samples: FloatArray, sample_rate: int) -> tuple[FloatArray, FloatArray]:
    """Return times in seconds and the mean positive rise of the log spectrum (spectral flux) at each: (N,) both."""
    window, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(samples, (window, 0), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window + 1)[:-1]
    num_bins = min(window // 2 + 1, round(MAX_HZ * WINDOW_S) + 1)
    magnitude = np.abs(np.fft.rfft(frames * taper, axis=1))[:, :num_bins] * (2 / taper.sum())
    floor = max(MAGNITUDE_FLOOR[0], MAGNITUDE_FLOOR[1] * float(magnitude.max()))
    log_magnitude = np.log1p(magnitude / floor)
    rise = np.maximum(log_magnitude[LAG:] - log_magnitude[:-LAG], 0).mean(axis=1)
    # The middle of the interval between the centres of the two windows that are compared.
    return (np.arange(len(rise)) + LAG / 2) * hop / sample_rate - WINDOW_S / 2, rise


def _rises(samples: FloatArray, sample_rate: int) -> list[float]:
    """Return rough onset times in seconds: the local maxima of the spectral rise."""
    times_s, rise = spectral_rise(samples, sample_rate)
    gap = round(MIN_GAP_S / HOP_S)
    peaks: list[int] = []
    for index in np.argsort(-rise, kind="stable").tolist():
        if rise[index] < MIN_RISE:
            break
        if all(abs(index - peak) >= gap for peak in peaks):
            peaks.append(index)
    return sorted(times_s[peaks].tolist())


def refined_onset(samples: FloatArray, sample_rate: int, coarse_s: float) -> float:
    """Return the time near `coarse_s` that splits the samples best into a quiet and a loud part: most likely."""
    first = max(0, round((coarse_s - REFINE_S) * sample_rate))
    last = min(len(samples), round((coarse_s + REFINE_S) * sample_rate))
    energy = samples[first:last] ** 2 + (MIN_LEVEL / 4) ** 2
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    before = np.arange(1, len(energy))
    after = len(energy) - before
    quiet, loud = sums[before] / before, (sums[-1] - sums[before]) / after
    likelihood = np.where(loud > quiet, -before * np.log(quiet) - after * np.log(loud), -np.inf)
    return (first + int(before[np.argmax(likelihood)])) / sample_rate


def _is_louder_after(samples: FloatArray, sample_rate: int, start: int) -> bool:
    span = round(POWER_SPAN_S * sample_rate)
    before, after = samples[start - span : start], samples[start : start + span]
    # Within the first 12 ms there is nothing to compare with.
    return start >= span and bool(np.sum(after**2) > MIN_POWER_RATIO * np.sum(before**2))


def _spectrum(samples: FloatArray, sample_rate: int, start: int, span_s: tuple[float, float]) -> FloatArray:
    """Return magnitudes on a grid of 1 / 0.128 Hz up to `MAX_HZ`; missing samples count as silence."""
    begin, end = (start + round(bound * sample_rate) for bound in span_s)
    part = np.zeros(end - begin)
    lowest = max(begin, 0)
    found = samples[lowest : max(end, 0)]
    part[lowest - begin : lowest - begin + len(found)] = found
    bins = round(MAX_HZ * 0.128)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), round(0.128 * sample_rate)))[:bins]
    return np.asarray(np.pad(spectrum, (0, bins - len(spectrum))) / len(part), np.float64)


def _fingerprint(samples: FloatArray, sample_rate: int, start: int) -> FloatArray:
    """Return a unit vector: the log spectra of the blow and of its ringing, free of level and of what rang before."""
    length = LATE_S[1] - LATE_S[0]
    before = _spectrum(samples, sample_rate, start, (-length, 0.0))
    parts = [
        np.sqrt(np.maximum(_spectrum(samples, sample_rate, start, span) ** 2 - (share * before) ** 2, 0))
        for span, share in ((EARLY_S, 0.6), (LATE_S, 0.4))
    ]
    both = np.concatenate(parts)
    logs = np.log1p(both / (DYNAMIC_RANGE * both.max() + 1e-12))
    norm = float(np.linalg.norm(logs))
    return np.asarray(logs / norm if norm > 0 else logs)


@lru_cache(maxsize=8)
def _prototypes(sample_rate: int, timbres: tuple[str, ...]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the fingerprints (N, D) of every note of every timbre, and the timbre of each."""
    since_s = np.arange(round(0.2 * sample_rate)) / sample_rate
    notes = [(timbre, note) for timbre in timbres for note in notes_of(timbre)]
    sounds = [blow(timbre, pitch_hz(timbre, note), since_s) for timbre, note in notes]
    return np.stack([_fingerprint(sound, sample_rate, 0) for sound in sounds]), tuple(timbre for timbre, _ in notes)


def _timbre(samples: FloatArray, sample_rate: int, start: int, timbres: tuple[str, ...]) -> str:
    prototypes, owners = _prototypes(sample_rate, timbres)
    return owners[int(np.argmax(prototypes @ _fingerprint(samples, sample_rate, start)))]


def _pitch(samples: FloatArray, sample_rate: int, start: int, timbre: str) -> float:
    """Return the frequency of the strongest line among the timbre's fundamentals, less what rang before, in Hz."""
    begin, end = (round(bound * sample_rate) for bound in NOTE_S)
    num_bins = 8 * (end - begin)
    part, before = np.zeros(end - begin), np.zeros(end - begin)
    found = samples[start + begin : start + end]
    part[: len(found)] = found
    rang = samples[max(0, start - len(part)) : start]
    before[len(part) - len(rang) :] = rang
    taper = np.hanning(len(part) + 2)[1:-1]
    after_power = np.abs(np.fft.rfft(part * taper, num_bins)) ** 2
    power = np.maximum(
        after_power - 0.1 * np.abs(np.fft.rfft(before * taper, num_bins)) ** 2, 1e-4 * after_power + 1e-20
    )
    step = sample_rate / num_bins
    lowest = int(pitch_hz(timbre, notes_of(timbre)[0]) / NOTE_MARGIN / step)
    highest = int(pitch_hz(timbre, notes_of(timbre)[-1]) * NOTE_MARGIN / step) + 1
    peak = lowest + int(np.argmax(power[lowest:highest]))
    left, middle, right = np.log(power[peak - 1 : peak + 2])
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float((peak + np.clip(shift, -0.5, 0.5)) * step)


def _nearest_colour(timbre: str, pitch: float) -> str:
    return min(notes_of(timbre), key=lambda note: abs(np.log(pitch / pitch_hz(timbre, note))))
