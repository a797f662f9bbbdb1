"""Audio alone into a file: AAC in .m4a and .mp4, or whole numbers of 16 bits in .wav."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import av.error
import numpy as np

from mova.errors import MuxError
from mova.media.mp4.streams import AUDIO_CHUNK, aac_stream, audio_frame
from mova.media.provenance import append_source_type
from mova.media.write import AAC_RATES, check_writable, complete_file, metadata_tags

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

SOUND_SUFFIXES: Final = (".m4a", ".mp4", ".wav")


def write_sound(
    path: str | os.PathLike[str],
    waveform: np.ndarray,
    sample_rate: int,
    *,
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Write audio as a file that says how it was made, or raise and leave everything as it was.

    Args:
        path: ends in one of `SOUND_SUFFIXES`.
        waveform: (1 or 2, S) float32 in [-1, 1].
        sample_rate: in Hz; one of `AAC_RATES` but for .wav.
        metadata: kept in the file; `read_metadata` returns it.

    Raises:
        MuxError: samples or a path that cannot be written, or a failure on the way.
    """
    target = check_writable(path, SOUND_SUFFIXES)
    is_wav = target.suffix.lower() == ".wav"
    if not is_wav and sample_rate not in AAC_RATES:
        nearest = min(AAC_RATES, key=lambda rate: abs(rate - sample_rate))
        raise MuxError(f"sample rate must be one that AAC has, got {sample_rate} Hz; nearest is {nearest} Hz, or .wav")
    if waveform.ndim != 2 or len(waveform) not in (1, 2) or not waveform.shape[1]:
        raise MuxError(f"audio must be (1 or 2, S), got {tuple(waveform.shape)}")
    if not np.isfinite(waveform).all():
        raise MuxError("samples must be finite, got some that are not")
    tags = metadata_tags(metadata or {}, path)
    try:
        with complete_file(target) as temporary:
            _encode(str(temporary), waveform, sample_rate, tags, is_wav=is_wav)
            if not is_wav:
                append_source_type(temporary, "trainedAlgorithmicMedia")
            _check_complete(str(temporary), waveform.shape[1] / sample_rate)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MuxError(f"audio must be written whole, got stopped at {path}: {reason}; nothing was kept") from error


def _encode(path: str, waveform: np.ndarray, sample_rate: int, tags: dict[str, str], *, is_wav: bool) -> None:
    options = {} if is_wav else {"movflags": "+faststart", "movie_timescale": str(sample_rate)}
    container = av.open(path, "w", format="wav" if is_wav else "mp4", options=options)
    try:
        container.metadata.update(tags)
        if is_wav:
            stream = container.add_stream(
                "pcm_s16le", rate=sample_rate, layout="mono" if len(waveform) == 1 else "stereo"
            )
            stream.codec_context.time_base = Fraction(1, sample_rate)
        else:
            stream = aac_stream(container, len(waveform), sample_rate)
        for first in range(0, waveform.shape[1], AUDIO_CHUNK):
            frame = audio_frame(waveform[:, first : first + AUDIO_CHUNK], sample_rate, first)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    except BaseException:
        with suppress(OSError, ValueError, av.error.FFmpegError):
            container.close()
        raise
    container.close()


def _check_complete(path: str, duration_s: float) -> None:
    """Measure what arrived in the file: an encoder or a disk may have dropped some without a word."""
    seconds = Fraction(0)
    with av.open(path) as container:
        for packet in container.demux():
            if packet.size and not packet.is_corrupt:
                seconds += (packet.duration or 0) * packet.time_base
    if float(seconds) < duration_s - 1e-4:
        raise OSError(f"only {float(seconds):g} of {duration_s:g} s reached the file")
