"""From an audio stream to the samples of a time span, placed by time stamps, with silence where there are none."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mova.errors import ConfigError, ReadError
from mova.media import limits, media_file
from mova.media.waveform import downmix, resample

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    PathArgument = str | os.PathLike[str]

# Audio whose time stamps wander by less than this is taken as continuous.
_JITTER_S = 0.010
# Decoding starts this much before the span and ends after it: codecs need a run-up, the resampler a margin.
_MARGIN_S = 0.25
_SEEK_FROM_S = 1.0
# FFmpeg seeks these by their average bit rate and then takes the time that was asked for as the time that was found.
_GUESSED_SEEKS = {"mp3", "aac"}
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
        waveform: (channels, S) float32; zero where the file has nothing.
        speakers: FFmpeg's name of each channel's place.
        sample_rate: in Hz.
        lead_s: how long before the span the first sample lies.
        parts: (begin, end) of what is the file's own inside the span, in seconds after its start, in order and apart;
            what lies between and around them is filled in.
        file_end_s: where the file's audio ends, on the clock of `start_s`; None where decoding stopped before.
        declared_end_s: where the file says that its audio ends; None where it does not say.
    """

    waveform: np.ndarray
    speakers: tuple[str, ...]
    sample_rate: int
    lead_s: float
    parts: tuple[tuple[float, float], ...]
    file_end_s: float | None
    declared_end_s: float | None

    @property
    def begin_s(self) -> float:
        """Where the file's own audio begins inside the span, in seconds after its start; 0 where there is none."""
        return self.parts[0][0] if self.parts else 0.0

    @property
    def end_s(self) -> float:
        """Where the file's own audio ends inside the span, in seconds after its start; 0 where there is none."""
        return self.parts[-1][1] if self.parts else 0.0

    def cut(self, sample_rate: int, length: int, *, mono: bool) -> np.ndarray:
        """Mix down, resample and cut to the span: (1, length), or up to two channels if not `mono`; in [-1, 1]."""
        moved = resample(downmix(self.waveform, self.speakers, mono=mono), self.sample_rate, sample_rate)
        first = round(self.lead_s * sample_rate)
        return np.ascontiguousarray(np.clip(moved[:, first : first + length], -1.0, 1.0))


def decode_audio_span(
    path: PathArgument, *, origin_s: float | None, start_s: float, duration_s: float
) -> AudioSpan | None:
    """Decode the audio of a span; None where there is no audio stream.

    Args:
        path: a file that FFmpeg decodes.
        origin_s: what `start_s` counts from on the file's own clock: the time of its first frame; None counts from the
            first sample, wherever its clock stands.
        start_s: start of the span.
        duration_s: duration of the span.

    Raises:
        ReadError: damaged, not finite, or of a kind that cannot be placed or mixed.
    """
    with media_file.open_media(path) as container:
        stream = media_file.audio_stream(container, path)
        if stream is None:
            return None
        origin_s = first_sample_s(path) if origin_s is None else origin_s
        frames = _frames(container, stream, path, origin_s, start_s - 2 * _MARGIN_S)
        first = next(frames, None)
        # Some AAC streams decode to another rate and layout than they declare.
        rate, speakers = audio_kind(stream.codec_context if first is None else first)
        limits.check_audio(rate, len(speakers), path)
        check_speakers(speakers, path)
        window = _Window(rate, speakers, start_s, duration_s, path)
        is_at_end = True
        for frame in frames if first is None else itertools.chain([first], frames):
            if audio_kind(frame) != (rate, speakers):
                raise ReadError(f"audio must keep its rate and channels, got {path} where they change")
            window.add(frame, origin_s)
            if window.is_full:
                is_at_end = False
                break
        stated_s = media_file.stated_duration_s(container, stream)
        declared_s = None if stated_s is None else media_file.start_s(container, stream) - origin_s + stated_s
        return window.span(declared_s, is_at_end=is_at_end)


class _Window:
    """The samples of a span and of a margin around it, filled frame by frame."""

    def __init__(
        self, rate: int, speakers: tuple[str, ...], start_s: float, duration_s: float, path: PathArgument
    ) -> None:
        num_samples = math.ceil((duration_s + 2 * _MARGIN_S) * rate) + 1
        limits.check_waveform(num_samples, len(speakers), path)
        self._rate, self._speakers, self._path = rate, speakers, path
        self._start_s, self._duration_s = start_s, duration_s
        self._first = math.floor((start_s - _MARGIN_S) * rate)
        self._waveform = np.zeros((len(speakers), num_samples), dtype=np.float32)
        self._cursor: int | None = None
        self._filled: list[tuple[int, int]] = []

    @property
    def is_full(self) -> bool:
        return self._cursor is not None and self._cursor >= self._waveform.shape[1]

    def add(self, frame: AudioFrame, origin_s: float) -> None:
        """Put a decoded frame in its place; what lies outside is dropped."""
        if frame.pts is None:
            # Follows the one before; the first one is the origin.
            position = -self._first if self._cursor is None else self._cursor
        else:
            position = round((media_file.frame_time_s(frame, self._path) - origin_s) * self._rate) - self._first
        if self._cursor is not None and abs(position - self._cursor) <= _JITTER_S * self._rate:
            position = self._cursor
        time_s = (position + self._first) / self._rate
        if frame.is_corrupt:
            raise ReadError(f"a video must be undamaged, got {self._path} with broken audio at {time_s:.3f} s")
        self._cursor = position + frame.samples
        begin, end = max(position, 0), min(self._cursor, self._waveform.shape[1])
        if begin < end:
            samples = frame_samples(frame, self._path, time_s)
            self._waveform[:, begin:end] = samples[:, begin - position : end - position]
            if self._filled and begin <= self._filled[-1][1]:
                begin = self._filled.pop()[0]
            self._filled.append((begin, end))

    def span(self, declared_end_s: float | None, *, is_at_end: bool) -> AudioSpan:
        shift_s = self._start_s - self._first / self._rate
        inside = [
            (max(begin / self._rate - shift_s, 0.0), min(end / self._rate - shift_s, self._duration_s))
            for begin, end in sorted(self._filled)
        ]
        end_s = None if self._cursor is None or not is_at_end else (self._first + self._cursor) / self._rate
        parts = tuple((begin, end) for begin, end in inside if begin < end)
        return AudioSpan(self._waveform, self._speakers, self._rate, shift_s, parts, end_s, declared_end_s)


def first_sample_s(path: PathArgument) -> float:
    """Return when the first sample that is heard lies on the file's clock, after what the codec needs as a run-up."""
    with media_file.open_media(path) as container:
        stream = media_file.audio_stream(container, path)
        frame = None if stream is None else next(media_file.decode(container, stream, path), None)
        return 0.0 if frame is None or frame.pts is None else media_file.frame_time_s(frame, path)


def audio_kind(source: AudioFrame | AudioCodecContext) -> tuple[int, tuple[str, ...]]:
    """Return rate and loudspeakers of a decoded frame or of a codec; the usual ones where only the number is known."""
    speakers = tuple(channel.name for channel in source.layout.channels)
    if set(speakers) == {"NONE"}:
        speakers = _USUAL_SPEAKERS.get(len(speakers), speakers)
    return source.sample_rate, speakers


def check_speakers(speakers: tuple[str, ...], path: PathArgument) -> None:
    """Refuse audio that cannot be mixed down.

    Raises:
        ReadError: several channels of which one has an unknown place.
    """
    try:
        downmix(np.zeros((len(speakers), 1), dtype=np.float32), speakers)
    except ConfigError as error:
        raise ReadError(f"audio must be possible to mix down, got {path}: {error}") from error


def _frames(
    container: InputContainer, stream: AudioStream, path: PathArgument, origin_s: float, from_s: float
) -> Iterator[AudioFrame]:
    """Yield frames from `from_s` at the latest, unless the audio starts later."""
    if from_s < _SEEK_FROM_S or container.format.name in _GUESSED_SEEKS:
        yield from media_file.decode(container, stream, path)
        return
    can_seek = media_file.seek(container, stream, origin_s + from_s)
    decoded = media_file.decode_audio_from_seek(container, stream, path)
    landed = next(decoded, None) if can_seek else None
    if (
        landed is not None
        and landed.pts is not None
        and media_file.frame_time_s(landed, path) <= origin_s + from_s + _MARGIN_S
    ):
        yield landed
        yield from decoded
        return
    # Audio that starts later, or a seek that ended too late: only reading from the start tells.
    with media_file.open_media(path) as unmoved:
        again = media_file.audio_stream(unmoved, path)
        if again is not None:
            yield from media_file.decode(unmoved, again, path)


def frame_samples(frame: AudioFrame, path: PathArgument, time_s: float) -> np.ndarray:
    """Return (channels, S) float32 in about [-1, 1] from any sample format."""
    name = frame.format.name.removesuffix("p")
    if name not in _SCALES:
        raise ReadError(f"a sample format must be one of {', '.join(_SCALES)}, got {name} in {path}")
    zero, scale = _SCALES[name]
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if scale == 1.0:
        # False for NaN too.
        is_usable = np.abs(values) <= limits.MAX_SAMPLE
        if not is_usable.all():
            worst = values[~is_usable][0]
            raise ReadError(
                f"floating-point audio must hold finite numbers within {limits.MAX_SAMPLE:g} times full scale, got "
                f"{worst} at {time_s:.3f} s in {path}"
            )
    scaled: np.ndarray = ((values - zero) / scale).astype(np.float32)
    return scaled
