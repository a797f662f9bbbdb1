"""Perceptual hashes of the frames and of the audio: near-duplicates differ in few bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.scorers.base import Findings, Measure, Needs, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.motion import small_frames

HASH_WORDS: Final = 4
"""Words of 64 bits in each hash: so many frames, and so many quarters of the audio's bands."""
_SIDE: Final = 32
_LOW: Final = 8
_FLAT: Final = 2.0
_SAMPLE_RATE: Final = 16_000
_BANDS: Final = 32
_TIMES: Final = 64
_BAND_HZ: Final = (100.0, 6000.0)
_SILENT_RMS: Final = 1e-4


class HashScorer:
    """Hashes of 256 bits as 64 hexadecimal digits; none for frames without detail and for silence."""

    name = "hashes"
    measures: tuple[Measure, ...] = ()
    needs = Needs(frames=True)

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the fingerprints of each clip: "image_hash" and "audio_hash"."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        found = {"image_hash": image_hash(small_frames(clip))}
        if clip.has_audio:
            found["audio_hash"] = audio_hash(clip.waveform(_SAMPLE_RATE))
        return Findings({}, fingerprints={name: text for name, text in found.items() if text})


def image_hash(frames: np.ndarray) -> str:
    """Return the hash of a video: the low frequencies of four frames against their median.

    Args:
        frames: (F, H, W, 3) uint8; the middles of the four quarters of the video are taken.

    Returns:
        64 hexadecimal digits; "" where the frames have no detail.
    """
    chosen = [int((2 * quarter + 1) * len(frames) / (2 * HASH_WORDS)) for quarter in range(HASH_WORDS)]
    small = [_shrink(frames[index].mean(axis=2), _SIDE, _SIDE) for index in chosen]
    if max(float(image.std()) for image in small) < _FLAT:
        return ""
    return "".join(_bits(_cosines(image)[:_LOW, :_LOW]) for image in small)


def audio_hash(sound: np.ndarray) -> str:
    """Return the hash of a sound: the low frequencies of its spectrogram (32 bands of 100 to 6000 Hz, 64 times).

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.

    Returns:
        64 hexadecimal digits; "" for silence, and for less than a tenth of a second.
    """
    if len(sound) < _SAMPLE_RATE // 10 or float(np.sqrt(np.mean(np.square(sound)))) < _SILENT_RMS:
        return ""
    window = 1024
    starts = np.linspace(0, max(0, len(sound) - window), 4 * _TIMES).astype(int)
    padded = np.pad(sound, (0, window))
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
    edges = np.geomspace(*_BAND_HZ, _BANDS + 1) * window / _SAMPLE_RATE
    # From half a bin below to half a bin above, so that the narrow low bands have their share of one.
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    place = np.stack([np.interp(edges + 0.5, np.arange(sums.shape[1]), row) for row in sums])
    bands = np.diff(place, axis=1).reshape(_TIMES, 4, _BANDS).mean(axis=1)
    level = np.log(np.maximum(bands, 1e-6 * bands.max()))
    low = _cosines(level)[: 2 * _LOW, : 2 * _LOW]
    return "".join(_bits(part) for half in np.split(low, 2) for part in np.split(half, 2, axis=1))


def words(text: str) -> tuple[int, ...]:
    """Return a fingerprint as numbers of 64 bits, one for each 16 hexadecimal digits."""
    return tuple(int(text[start : start + 16], 16) for start in range(0, len(text), 16))


def _bits(low: np.ndarray) -> str:
    """Return 16 hexadecimal digits: which of 8 x 8 frequencies are above the median of them all.

    What is next to nothing beside the strongest counts as below, since a codec's noise would decide over it.
    """
    flat = np.abs(low).ravel()
    strongest = np.sort(flat)[-2]  # the mean of the whole is one of them, and outweighs everything
    bits = low.ravel() > max(float(np.median(low)), 0.01 * float(strongest))
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def _cosines(image: np.ndarray) -> np.ndarray:
    """Return the discrete cosine transform of both directions, without scale."""
    return np.asarray(_cosine_matrix(image.shape[0]) @ image @ _cosine_matrix(image.shape[1]).T)


def _cosine_matrix(size: int) -> np.ndarray:
    return np.asarray(np.cos(np.pi / size * (np.arange(size) + 0.5) * np.arange(size)[:, None]))


def _shrink(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image (H, W) in another size, each pixel the mean of the area that it covers."""
    return np.asarray(_areas(image.shape[0], height) @ image @ _areas(image.shape[1], width).T)


def _areas(before: int, after: int) -> np.ndarray:
    edges = np.linspace(0, before, after + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, before + 1)) - np.maximum(edges[:-1, None], np.arange(before))
    return np.asarray(np.maximum(overlap, 0.0) * after / before)
