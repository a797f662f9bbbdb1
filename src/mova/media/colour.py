"""High dynamic range and wide colour to what the models know: SDR in BT.709, as shown by a display of gamma 2.4.

PQ and HLG are tone-mapped with the EETF of ITU-R BT.2390 (a Hermite spline above a knee, in PQ), on the largest of red,
green and blue of BT.709, so that hues stay. Reference white is 203 cd/m² (BT.2408) and becomes the peak of SDR.
Colours outside of BT.709 are cut at its edge.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from mova.errors import ReadError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

PQ, HLG = 16, 18  # transfer characteristics, numbers of ITU-T H.273
_UNSPECIFIED, _BT2020, _DISPLAY_P3 = 2, 9, 12
_SDR_TRANSFERS = {1, 6, 14, 15}
WHITE_NITS = 203.0
USUAL_PEAK_NITS = 1000.0
_MOST_NITS = 10_000.0
_DISPLAY_GAMMA = 2.4
# Linear light of each set of primaries to BT.709, both with D65; BT.2020 as in BT.2087.
_TO_BT709 = {
    _BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    _DISPLAY_P3: ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09827)),
}
_BT2020_LUMA = (0.2627, 0.6780, 0.0593)
# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
# ARIB STD-B67.
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2  # of a display of 1000 cd/m² (BT.2100)
_PIXELS_AT_ONCE = 1 << 20
# Matrices of YCbCr that the scaler does not have.
_MATRICES = {8: "YCgCo", 10: "BT.2020 constant luminance", 13: "chroma-derived constant luminance", 14: "ICtCp"}
_IPT = 15
_DOLBY_TAGS = {"dvh1", "dvhe", "dvav", "dva1", "dav1"}
_DOLBY_DATA = ("DOVI_METADATA", "DOVI_RPU_BUFFER")


@dataclass(frozen=True)
class ColourMap:
    """Maps 16-bit RGB of one kind to 8-bit SDR in BT.709.

    Attributes:
        transfer: `PQ`, `HLG` or anything else for SDR.
        primaries: number of ITU-T H.273.
        peak_nits: peak brightness of the display that the colours were chosen on.
    """

    transfer: int
    primaries: int
    peak_nits: float

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Map (H, W, 3) uint16, full range, to (H, W, 3) uint8."""
        mapped = np.empty(rgb.shape, dtype=np.uint8)
        # In strips, since floating point takes eight times as much.
        rows = max(1, _PIXELS_AT_ONCE // max(1, rgb.shape[1]))
        for top in range(0, len(rgb), rows):
            mapped[top : top + rows] = self._map(rgb[top : top + rows])
        return mapped

    def _map(self, rgb: np.ndarray) -> np.ndarray:
        table = _linear_table(self.transfer)
        light = table[rgb]
        if self.transfer == HLG:
            luma = light @ np.array(_BT2020_LUMA, dtype=np.float32)
            light *= USUAL_PEAK_NITS * np.power(luma, _HLG_GAMMA - 1.0)[..., None]
        matrix = _TO_BT709.get(self.primaries)
        if matrix is not None:
            light = light @ np.array(matrix, dtype=np.float32).T
        if self.transfer in (PQ, HLG):
            light *= self._ratio(light.max(axis=2))[..., None]
        shown: np.ndarray = np.rint(255.0 * np.power(light.clip(0.0, 1.0), 1.0 / _DISPLAY_GAMMA)).astype(np.uint8)
        return shown

    def _ratio(self, most: np.ndarray) -> np.ndarray:
        """Return what to multiply light by, per pixel, from its largest component in cd/m²; the result is 1 at most."""
        nits, ratios = _ratio_table(self.peak_nits)
        return np.asarray(np.interp(most, nits, ratios), dtype=np.float32)


@dataclass(frozen=True)
class ColourTags:
    """What a video's colours are, as numbers of ITU-T H.273; 2 is "unspecified"."""

    transfer: int
    primaries: int
    matrix: int


def colour_tags(
    source: VideoCodecContext | VideoFrame, other: ColourTags = ColourTags(_UNSPECIFIED, _UNSPECIFIED, _UNSPECIFIED)
) -> ColourTags:
    """Read the tags of a codec or a frame; what it leaves open is taken from `other`."""
    own = (int(source.color_trc), int(source.color_primaries), int(source.colorspace))
    others = (other.transfer, other.primaries, other.matrix)
    return ColourTags(*(second if first == _UNSPECIFIED else first for first, second in zip(own, others, strict=True)))


def colour_map(stream: VideoStream, first: VideoFrame, tags: ColourTags, path: object) -> ColourMap | None:
    """Choose how the colours of a video are mapped; None where they are SDR in BT.709 or BT.601 already.

    Args:
        stream: video stream of a file.
        first: its first frame, with the side data.
        tags: colour tags of the stream.
        path: names the file in errors.

    Raises:
        ReadError: colours that cannot be mapped: Dolby Vision without a base layer, or an unusual matrix.
    """
    transfer, primaries, matrix = tags.transfer, tags.primaries, tags.matrix
    side_data = first.side_data
    is_dolby = _tag(stream) in _DOLBY_TAGS or any(side_data.get(name) is not None for name in _DOLBY_DATA)
    if matrix == _IPT or (is_dolby and transfer not in {PQ, HLG, *_SDR_TRANSFERS}):
        raise ReadError(
            f"a video's colours must be SDR, PQ or HLG, got {path} in Dolby Vision without a base layer of these "
            "(profile 5); convert it to HDR10 or SDR first"
        )
    if matrix in _MATRICES:
        raise ReadError(
            f"a video's colours must be RGB or YCbCr of BT.601, BT.709 or BT.2020, got {path} in "
            f"{_MATRICES[matrix]}; convert it first"
        )
    if transfer in (PQ, HLG):
        peak = _mastering_peak(side_data.get("MASTERING_DISPLAY_METADATA")) if transfer == PQ else None
        return ColourMap(transfer, _BT2020 if primaries == _UNSPECIFIED else primaries, peak or USUAL_PEAK_NITS)
    return ColourMap(transfer, primaries, WHITE_NITS) if primaries in _TO_BT709 else None


def tone_map(nits: np.ndarray, peak_nits: float) -> np.ndarray:
    """Apply the EETF of BT.2390 to light in cd/m², from a display of `peak_nits` to one of `WHITE_NITS`; black is 0."""
    source = _pq_signal(np.array(peak_nits))
    e1 = np.minimum(_pq_signal(nits) / source, 1.0)
    most = float(_pq_signal(np.array(WHITE_NITS)) / source)
    if most >= 1.0:
        return np.asarray(np.minimum(nits, WHITE_NITS))
    knee = 1.5 * most - 0.5
    t = (e1 - knee) / (1.0 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1.0 - knee) + (-2 * t**3 + 3 * t**2) * most
    return _pq_light(np.where(e1 < knee, e1, spline) * source)


@lru_cache(maxsize=4)
def _linear_table(transfer: int) -> np.ndarray:
    """Return the light of each 16-bit code: cd/m² (PQ), of the scene in [0, 1] (HLG), or of the display in [0, 1]."""
    signal = np.arange(65_536) / 65_535.0
    if transfer == PQ:
        return np.asarray(_pq_light(signal), dtype=np.float32)
    if transfer == HLG:
        bright = (np.exp((signal - _C) / _A) + _B) / 12.0
        return np.asarray(np.where(signal <= 0.5, signal**2 / 3.0, bright), dtype=np.float32)
    return np.asarray(signal**_DISPLAY_GAMMA, dtype=np.float32)


@lru_cache(maxsize=16)
def _ratio_table(peak_nits: float) -> tuple[np.ndarray, np.ndarray]:
    nits = _pq_light(np.linspace(0.0, 1.0, 4096))
    mapped = tone_map(nits, peak_nits)
    return nits, np.where(nits > 1e-4, mapped / np.maximum(nits, 1e-4), 1.0) / WHITE_NITS


def _pq_light(signal: np.ndarray) -> np.ndarray:
    power = np.power(signal, 1.0 / _M2)
    return np.asarray(_MOST_NITS * np.power(np.maximum(power - _C1, 0.0) / (_C2 - _C3 * power), 1.0 / _M1))


def _pq_signal(nits: np.ndarray) -> np.ndarray:
    power = np.power(nits / _MOST_NITS, _M1)
    return np.asarray(np.power((_C1 + _C2 * power) / (1.0 + _C3 * power), _M2))


def _mastering_peak(data: object) -> float | None:
    """Return the peak of the mastering display in cd/m² out of FFmpeg's record; None where it says nothing sensible."""
    if data is None:
        return None
    raw = bytes(cast("bytes", data))
    if len(raw) < 88:
        return None
    # Ten fractions (primaries, white point, least and most light), then two flags.
    numbers = struct.unpack("=22i", raw[:88])
    numerator, denominator, has_light = numbers[18], numbers[19], numbers[21]
    peak = numerator / denominator if has_light and denominator else math.nan
    return peak if WHITE_NITS / 2 <= peak <= _MOST_NITS else None


def _tag(stream: VideoStream) -> str:
    return str(stream.codec_context.codec_tag).strip("\0 ").lower()
