"""When a file is heard: where its audio has samples that are not digitally silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mova.media import media_file
from mova.media.decode_audio import frame_samples
from mova.media.probe import video_start_s

if TYPE_CHECKING:
    import os

# Half a step of 16 bits: what lossy codecs make of digital silence stays below.
_SILENCE = 2.0**-16
# Pauses shorter than this belong to what is heard.
_PAUSE_S = 0.5
# Longer lists are thinned out by joining parts over longer pauses.
_MOST_PARTS = 256


def heard_parts(path: str | os.PathLike[str]) -> tuple[tuple[float, float], ...]:
    """Return when a file is heard. Decodes all of its audio, in a stream.

    Args:
        path: a file that FFmpeg decodes, with or without video.

    Returns:
        (begin, end) in seconds after the first frame, or after the first sample where there is no video; in order and
        apart by half a second or more. Empty where there is no audio, or nothing but zeros.

    Raises:
        ReadError: the file is missing or damaged, or its audio is not finite.
    """
    origin_s = video_start_s(path)
    parts: list[tuple[float, float]] = []
    with media_file.open_media(path) as container:
        stream = media_file.audio_stream(container, path)
        if stream is None:
            return ()
        cursor_s: float | None = None
        for frame in media_file.decode(container, stream, path):
            time_s = cursor_s or 0.0 if frame.pts is None else media_file.frame_time_s(frame, path)
            origin_s = time_s if origin_s is None else origin_s
            cursor_s = time_s + frame.samples / frame.sample_rate
            if frame.is_corrupt or np.abs(frame_samples(frame, path, time_s - origin_s)).max(initial=0.0) < _SILENCE:
                continue
            begin, end = time_s - origin_s, cursor_s - origin_s
            if parts and begin - parts[-1][1] < _PAUSE_S:
                parts[-1] = parts[-1][0], max(parts[-1][1], end)
            elif end > 0.0:
                parts.append((max(begin, 0.0), end))
    return tuple(_thinned(parts))


def _thinned(parts: list[tuple[float, float]]) -> list[tuple[float, float]]:
    pause_s = _PAUSE_S
    while len(parts) > _MOST_PARTS:
        pause_s *= 2
        joined = parts[:1]
        for begin, end in parts[1:]:
            if begin - joined[-1][1] < pause_s:
                joined[-1] = joined[-1][0], end
            else:
                joined.append((begin, end))
        parts = joined
    return parts
