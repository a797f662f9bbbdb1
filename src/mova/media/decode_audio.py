"""From an audio stream to the samples of a time span, placed by time stamps, with silence where there are none."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mova.errors import ConfigError, ReadError
from mova.media import probe
from mova.media.waveform import downmix, resample

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    PathArgument = str | os.PathLike[str]

# Sound whose time stamps wander by less than this is taken as continuous.
_JITTER_S = 0.010
# Decoding starts this much before the span and ends after it: codecs need a run-up, the resampler a margin.
_MARGIN_S = 0.25
_SEEK_FROM_S = 1.0
# What a sample format's values mean: (zero, full scale).
_SCALES = {"u8": (128.0, 2.0**7), "s16": (0.0, 2.0**15), "s32": (0.0, 2.0**31), "flt": (0.0, 1.0), "dbl": (0.0, 1.0)}
# As FFmpeg assumes them.
_USUAL_SPEAKERS = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "LFE"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@dataclass(frozen=True)
class AudioSpan:
    """Samples of a span with a margin on both sides, as stored.

    Attributes:
        waveform: (channels, S) float32.
        speakers: FFmpeg's name of each channel's place.
        sample_rate: in Hz.
        lead_s: how long before the span the first sample lies.
        end_s: where the sound ends, after the file's first picture; None where decoding stopped before.
    """

    waveform: np.ndarray
    speakers: tuple[str, ...]
    sample_rate: int
    lead_s: float
    end_s: float | None

    def cut(self, sample_rate: int, length: int, *, mono: bool) -> np.ndarray:
        """Mix down, resample and cut to the span: (1, length), or up to two channels if not `mono`; in [-1, 1]."""
        moved = resample(downmix(self.waveform, self.speakers, mono=mono), self.sample_rate, sample_rate)
        first = round(self.lead_s * sample_rate)
        return np.ascontiguousarray(np.clip(moved[:, first : first + length], -1.0, 1.0))


def decode_sound(path: PathArgument, *, origin_s: float, start_s: float, duration_s: float) -> AudioSpan | None:
    """Decode the sound of a span; None where there is no audio stream.

    Args:
        path: the film.
        origin_s: time of its first picture on its own clock.
        start_s: of the span, after the first picture.
        duration_s: of the span.

    Raises:
        ReadError: damaged, or of a kind that cannot be placed or mixed.
    """
    with probe.open_media(path) as container:
        stream = probe.audio_stream(container, path)
        if stream is None:
            return None
        frames = _frames(container, stream, path, origin_s, start_s - 2 * _MARGIN_S)
        first = next(frames, None)
        # Some AAC streams decode to another rate and layout than they declare.
        rate, speakers = _kind(stream.codec_context if first is None else first)
        _check_speakers(speakers, path)
        first_sample = math.floor((start_s - _MARGIN_S) * rate)
        waveform = np.zeros((len(speakers), math.ceil((duration_s + 2 * _MARGIN_S) * rate) + 1), dtype=np.float32)
        cursor, is_at_end = None, True
        for frame in frames if first is None else itertools.chain([first], frames):
            if _kind(frame) != (rate, speakers):
                raise ReadError(f"sound must keep its rate and channels, got {path} where they change")
            time_s = probe.frame_time_s(frame, path) - origin_s
            if frame.is_corrupt:
                raise ReadError(f"a film must be undamaged, got {path} with broken sound at {time_s:.3f} s")
            position = round(time_s * rate) - first_sample
            if cursor is not None and abs(position - cursor) <= _JITTER_S * rate:
                position = cursor
            _lay(waveform, _samples(frame, path), position)
            cursor = position + frame.samples
            if cursor >= waveform.shape[1]:
                is_at_end = False
                break
        end_s = None if cursor is None or not is_at_end else (first_sample + cursor) / rate
        return AudioSpan(waveform, speakers, rate, start_s - first_sample / rate, end_s)


def _kind(source: Any) -> tuple[int, tuple[str, ...]]:
    """Return rate and loudspeakers of a decoded frame or of a codec; the usual ones where only the number is known."""
    speakers = tuple(channel.name for channel in source.layout.channels)
    if set(speakers) == {"NONE"}:
        speakers = _USUAL_SPEAKERS.get(len(speakers), speakers)
    return source.sample_rate, speakers


def _check_speakers(speakers: tuple[str, ...], path: PathArgument) -> None:
    try:
        downmix(np.zeros((len(speakers), 1), dtype=np.float32), speakers)
    except ConfigError as error:
        raise ReadError(f"sound must be possible to mix down, got {path}: {error}") from error


def _frames(container: Any, stream: Any, path: PathArgument, origin_s: float, from_s: float) -> Iterator[Any]:
    """Yield frames from `from_s` at the latest, unless the sound starts later."""
    if from_s < _SEEK_FROM_S:
        yield from probe.decode(container, stream, path)
        return
    container.seek(math.floor((origin_s + from_s) / stream.time_base), stream=stream)
    decoded = probe.decode(container, stream, path)
    landed = next(decoded, None)
    if landed is not None and probe.frame_time_s(landed, path) <= origin_s + from_s + _MARGIN_S:
        yield landed
        yield from decoded
        return
    # Sound that starts later, or a seek that ended too late: only reading from the start tells.
    with probe.open_media(path) as unmoved:
        yield from probe.decode(unmoved, probe.audio_stream(unmoved, path), path)


def _samples(frame: Any, path: PathArgument) -> np.ndarray:
    """Return (channels, S) float32 in about [-1, 1] from any sample format."""
    name = frame.format.name.removesuffix("p")
    if name not in _SCALES:
        raise ReadError(f"a sample format must be one of {', '.join(_SCALES)}, got {name} in {path}")
    zero, scale = _SCALES[name]
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    scaled: np.ndarray = ((values - zero) / scale).astype(np.float32)
    return scaled


def _lay(waveform: np.ndarray, samples: np.ndarray, position: int) -> None:
    """Write `samples` into `waveform` from `position` on; what lies outside is dropped."""
    begin, end = max(position, 0), min(position + samples.shape[1], waveform.shape[1])
    if begin < end:
        waveform[:, begin:end] = samples[:, begin - position : end - position]
