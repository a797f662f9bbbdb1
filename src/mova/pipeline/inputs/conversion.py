"""Images, videos and audio as callers have them, to tensors of the size and the length of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry
from mova.media.frames import Fit
from mova.pipeline.inputs.pixels import array_to_float, audio_to_float, describe, pil_to_float, tensor_to_float

ImageInput = Image.Image | np.ndarray | torch.Tensor
# A list holds frames, or videos; see `video_tensor`.
VideoInput = np.ndarray | torch.Tensor | Sequence[Any]
AudioInput = np.ndarray | torch.Tensor


def image_tensor(image: ImageInput | Sequence[ImageInput], geometry: ClipGeometry, fit: Fit = "crop") -> torch.Tensor:
    """Bring images to the size of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        image: a PIL image; an array (H, W, 3), (H, W, 4), (H, W) or (B, H, W, 3); a tensor (3, H, W) or (B, 3, H, W);
            or a list of them. Images of another size are scaled; floating-point tensors must fit.
        geometry: of the clip.
        fit: what is done with images of another shape.

    Returns:
        (B, 3, H, W) in [-1, 1], float32.

    Raises:
        ConfigError: an empty list.
        GeometryError: an array or tensor of another form, type, range or size.
    """
    size = (geometry.height, geometry.width)
    if isinstance(image, (list, tuple)):
        if not image:
            raise ConfigError("image must be one image or a list of them, got an empty list")
        return torch.cat([image_tensor(part, geometry, fit) for part in image])
    if isinstance(image, Image.Image):
        return pil_to_float(image, size, "image", fit).movedim(1, 0)
    if isinstance(image, torch.Tensor):
        pixels = image.unsqueeze(0) if image.ndim == 3 else image
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            wanted = f"(B, 3, {geometry.height}, {geometry.width})"
            raise GeometryError(f"an image tensor must be {wanted} in [-1, 1], got {describe(image)}")
        return tensor_to_float(pixels, size, "image", fit).movedim(1, 0)
    if isinstance(image, np.ndarray):
        grey = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
        images = grey[None] if grey.ndim == 3 else grey
        if images.ndim == 4 and images.shape[-1] in (3, 4) and images.size:
            return array_to_float(images, size, "image", fit).movedim(1, 0)
    raise GeometryError(f"an image must be a PIL image, a tensor or (H, W, 3) uint8, got {describe(image)}")


def video_tensor(
    video: VideoInput, geometry: ClipGeometry, fit: Fit = "crop", *, needed: int | None = None
) -> torch.Tensor:
    """Bring videos to the size of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        video: a list of frames (PIL images, arrays or tensors, as in `image_tensor`); an array (F, H, W, 3) or
            (B, F, H, W, 3); a tensor (F, 3, H, W), (B, F, 3, H, W), (3, F, H, W) or (B, 3, F, H, W); or a list of
            such videos. What the pipeline returns as `frames`, or one clip of it, is one of these.
        geometry: of the clip; frames after its end are left out.
        fit: what is done with frames of another shape; "pad" repeats the last frame of a video that is too short.
        needed: frames that must be there; the last one is repeated behind them. None: all of the clip.

    Returns:
        (B, 3, F, H, W) in [-1, 1], float32.

    Raises:
        GeometryError: another form, type, range or size, no frame, or fewer than needed.
    """
    if isinstance(video, (list, tuple)):
        if not video:
            raise GeometryError("video must hold at least one frame, got an empty list")
        if not _is_frame(video[0]):
            return torch.cat([video_tensor(part, geometry, fit, needed=needed) for part in video])
        _check_length(len(video), geometry, video, fit, needed)
        return _to_length(_frames_tensor(video[: geometry.num_frames], geometry, fit)[None], geometry)
    clips: np.ndarray | torch.Tensor
    if isinstance(video, np.ndarray) and video.ndim in (4, 5) and video.shape[-1] in (3, 4):
        clips = video[None] if video.ndim == 4 else video
    elif isinstance(video, torch.Tensor) and video.ndim in (4, 5):
        clips = _frames_first(video)
    else:
        raise GeometryError(
            f"video must be (B, F, H, W, 3), (B, 3, F, H, W) or a list of frames, got {describe(video)}"
        )
    _check_length(clips.shape[1], geometry, video, fit, needed)
    size, clips = (geometry.height, geometry.width), clips[:, : geometry.num_frames]
    if isinstance(clips, torch.Tensor):
        # Together, since the range of floating point is decided for all of them.
        joined = tensor_to_float(clips.flatten(0, 1), size, "video", fit)
        found = joined.reshape(3, len(clips), clips.shape[1], *size).movedim(1, 0)
    else:
        found = torch.stack([array_to_float(clip, size, "video", fit) for clip in clips])
    return _to_length(found, geometry)


def waveform_tensor(
    audio: AudioInput, geometry: ClipGeometry, fit: Fit = "crop", *, needed: int | None = None
) -> torch.Tensor:
    """Bring audio to the length of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        audio: (S,), (1, S) or (B, 1, S) at the model's sample rate; int16, int32, uint8, or in [-1, 1].
        geometry: of the clip; samples after its end are left out.
        fit: "pad" adds silence to audio that is too short.
        needed: samples that must be there; there is silence behind them. None: all of the clip.

    Returns:
        (B, 1, S) float32.

    Raises:
        GeometryError: another form, type or range, or fewer samples than needed.
    """
    waveform = audio_to_float(audio)
    waveform = waveform.reshape(1, 1, -1) if waveform.ndim == 1 or waveform.shape[:-1] == (1,) else waveform
    if waveform.ndim != 3 or waveform.shape[1] != 1:
        raise GeometryError(f"audio must be (S,), (1, S) or (B, 1, S), got {describe(audio)}")
    needed = geometry.num_samples if needed is None else needed
    if waveform.shape[-1] < (1 if fit == "pad" else max(1, needed)):
        rate = geometry.codec.sample_rate
        raise GeometryError(
            f"audio must last {needed} samples at {rate} Hz, got {waveform.shape[-1]}; fit='pad' adds silence"
        )
    missing = max(0, geometry.num_samples - waveform.shape[-1])
    waveform = torch.nn.functional.pad(waveform, (0, missing)) if missing else waveform
    return waveform[..., : geometry.num_samples]


def _is_frame(value: Any) -> bool:
    return isinstance(value, Image.Image) or (isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim in (2, 3))


def _frames_tensor(frames: Sequence[Any], geometry: ClipGeometry, fit: Fit) -> torch.Tensor:
    """Join single frames to (3, F, H, W)."""
    if all(isinstance(frame, torch.Tensor) for frame in frames) and len({frame.shape for frame in frames}) == 1:
        return video_tensor(torch.stack(list(frames)), geometry, fit, needed=len(frames))[0, :, : len(frames)]
    return torch.cat([image_tensor(frame, geometry, fit) for frame in frames]).movedim(1, 0)


def _to_length(clips: torch.Tensor, geometry: ClipGeometry) -> torch.Tensor:
    """Repeat the last frame of (B, 3, F, H, W) to the length of a clip."""
    missing = geometry.num_frames - clips.shape[2]
    return torch.cat([clips, clips[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2) if missing > 0 else clips


def _frames_first(video: torch.Tensor) -> torch.Tensor:
    """Return a tensor of any admitted layout as (B, F, 3, H, W)."""
    clips = video[None] if video.ndim == 4 else video
    # Where both fit: a batch is in the model's own layout, a single clip in the pipeline's.
    for channel_axis in (1, 2) if video.ndim == 5 else (2, 1):
        if clips.shape[channel_axis] == 3:
            return clips.movedim(2, 1) if channel_axis == 1 else clips
    if clips.shape[-1] == 3 and clips.dtype == torch.uint8:
        return clips.movedim(-1, 2)
    raise GeometryError(f"video must be (B, 3, F, H, W) or (B, F, 3, H, W) as a tensor, got {describe(video)}")


def _check_length(num_frames: int, geometry: ClipGeometry, video: Any, fit: Fit, needed: int | None) -> None:
    needed = geometry.num_frames if needed is None else needed
    if num_frames < (1 if fit == "pad" else max(1, needed)):
        got = f"a list of {num_frames}" if isinstance(video, (list, tuple)) else describe(video)
        raise GeometryError(
            f"video must be {max(1, needed)} frames or longer, got {got}; fit='pad' holds its last frame"
        )
