"""A clip that goes on from a video: what stands before it there, and the clip, as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mova.geometry import num_samples
from mova.types import Clip


def joined(source: Path, clip: Clip, start_s: float) -> Clip:
    """Return a clip behind the beginning of a file.

    Args:
        source: video with audio, of which the clip takes over the frames and samples at its own beginning.
        clip: that begins in the source.
        start_s: seconds after which it does so; whole frames.

    Raises:
        ReadError: the source cannot be read.
    """
    from mova.media.read import read_audio, read_frames

    count = round(start_s * clip.frame_rate)
    if not count:
        return clip
    height, width = clip.frames.shape[1:3]
    before = read_frames(source, frame_rate=clip.frame_rate, num_frames=count, size=(height, width))
    frames = np.concatenate([before, clip.frames])
    if clip.waveform is None:
        return Clip(frames, None, clip.frame_rate, clip.sample_rate)
    length = num_samples(len(frames), clip.frame_rate, clip.sample_rate) - clip.waveform.shape[1]
    sound = read_audio(source, sample_rate=clip.sample_rate, length=length).waveform
    return Clip(frames, np.concatenate([sound, clip.waveform], axis=1), clip.frame_rate, clip.sample_rate)
