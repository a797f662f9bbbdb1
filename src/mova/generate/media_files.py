"""The picture, film and sound files of a request, read before any weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mova.errors import ReadError
from mova.generate.request import GenerateRequest
from mova.geometry import ClipGeometry
from mova.media.decode_audio import decode_sound
from mova.media.frames import read_image
from mova.media.probe import probe
from mova.media.read import read_clip


def read_inputs(request: GenerateRequest) -> dict[str, Any]:
    """Read what a request names, as arguments of the pipeline.

    Returns:
        `image` and `last_image`: (H, W, 3) uint8; `video`: (F, H, W, 3) uint8 at the clip's size and rate; `audio`:
        (1, S) float32 at the model's rate. Only what was named.

    Raises:
        ReadError: a file that cannot be decoded or is too short.
    """
    geometry = request.settings.geometry
    inputs: dict[str, Any] = {}
    if request.image:
        inputs["image"] = read_image(request.image)
    if request.last_image:
        inputs["last_image"] = read_image(request.last_image)
    if request.video:
        size = (geometry.height, geometry.width)
        rate, count = geometry.frame_rate, geometry.num_frames
        inputs["video"] = read_clip(request.video, frame_rate=rate, num_frames=count, size=size).frames
    if request.audio:
        inputs["audio"] = read_sound(request.audio, geometry)
    return inputs


def read_sound(path: Path, geometry: ClipGeometry) -> np.ndarray:
    """Read the sound of a clip's length from a sound file, or from a film (from its first picture on).

    Returns:
        (1, S) float32 in [-1, 1] at the model's sample rate.

    Raises:
        ReadError: no sound, damaged, or shorter than the clip.
    """
    try:
        origin_s = probe(path).video.start_s
    except ReadError:
        # A sound file has no picture to count from; one that is damaged is refused below.
        origin_s = 0.0
    span = decode_sound(path, origin_s=origin_s, start_s=0.0, duration_s=geometry.duration_s)
    if span is None:
        raise ReadError(f"audio must be a file with sound, got {path} without an audio stream")
    if span.end_s is not None and span.end_s < geometry.duration_s - 1 / geometry.frame_rate:
        raise ReadError(
            f"audio must last as long as the clip ({geometry.num_frames} frames, {geometry.duration_s:.3f} s), "
            f"got {path} of {span.end_s:.3f} s"
        )
    return span.cut(geometry.codec.sample_rate, geometry.num_samples, mono=True)
