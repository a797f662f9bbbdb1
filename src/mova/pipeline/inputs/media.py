"""Images, videos and audio as callers have them, to the tensors of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from mova.conditioning.spec import check_tasks
from mova.diffusion.noise import draw_latents
from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry
from mova.pipeline.inputs.pixels import array_to_float, audio_to_float, describe, pil_to_float, tensor_to_float
from mova.settings.seeds import Seeds, WholeNumbers, check_index, is_sequence, sample_seeds
from mova.types import LatentPair

ImageInput = Image.Image | np.ndarray | torch.Tensor
# A list holds frames, or videos; see `video_tensor`.
VideoInput = np.ndarray | torch.Tensor | Sequence[Any]
AudioInput = np.ndarray | torch.Tensor


@dataclass(frozen=True, eq=False)
class GivenMedia:
    """Images, video and audio of a call, as the caller has them; see `image_tensor` and its neighbours."""

    image: ImageInput | Sequence[ImageInput] | None = None
    last_image: ImageInput | Sequence[ImageInput] | None = None
    video: VideoInput | None = None
    audio: AudioInput | None = None
    _ready: dict[tuple[str, ClipGeometry], torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def check(self, geometry: ClipGeometry) -> None:
        """Refuse what contradicts itself or cannot be used for a clip of this geometry, before anything is computed.

        Raises:
            ConfigError, GeometryError, ReadError: see `image_tensor`, `video_tensor` and `waveform_tensor`.
        """
        check_tasks(
            has_image=self.image is not None or self.last_image is not None,
            has_video=self.video is not None,
            has_audio=self.audio is not None,
        )
        self.known_images(geometry)
        self.known_video(geometry)
        self.known_audio(geometry)

    def known_images(self, geometry: ClipGeometry) -> dict[int, torch.Tensor]:
        """Return the images (B, 3, H, W) by the frame that they fix (-1 is the last)."""
        found = {
            0: self._once("image", image_tensor, geometry),
            -1: self._once("last_image", image_tensor, geometry),
        }
        return {index: image for index, image in found.items() if image is not None}

    def known_video(self, geometry: ClipGeometry, device: torch.device | str = "cpu") -> torch.Tensor | None:
        """Return the video (B, 3, F, H, W)."""
        video = self._once("video", video_tensor, geometry)
        return None if video is None else video.to(device)

    def known_audio(self, geometry: ClipGeometry, device: torch.device | str = "cpu") -> torch.Tensor | None:
        """Return the audio (B, 1, S)."""
        audio = self._once("audio", waveform_tensor, geometry)
        return None if audio is None else audio.to(device)

    def _once(self, name: str, convert: Callable[..., torch.Tensor], geometry: ClipGeometry) -> torch.Tensor | None:
        """Convert what was given, once for all who ask."""
        value = getattr(self, name)
        if value is None:
            return None
        if (name, geometry) not in self._ready:
            self._ready[name, geometry] = convert(value, geometry)
        return self._ready[name, geometry]


@dataclass(frozen=True, eq=False)
class GivenNoise:
    """Where the initial noise of a call comes from: seeds, generators, or the caller's own tensors for one or both."""

    seed: WholeNumbers | None = None
    generator: torch.Generator | Sequence[torch.Generator] | None = None
    video: torch.Tensor | None = None
    audio: torch.Tensor | None = None
    index: WholeNumbers = 0

    def check(self) -> None:
        """Refuse what contradicts itself."""
        if self.seed is not None and self.generator is not None:
            raise ConfigError("seed and generator are both given; give one of them")
        if self.generator is not None and (is_sequence(self.index) or check_index(self.index)):
            raise ConfigError(f"index counts the clips of a seed, got {self.index} with a generator; leave one out")

    def draw(self, geometry: ClipGeometry, batch_size: int) -> tuple[LatentPair, Seeds | None]:
        """Return the noise of B clips, float32, and the seeds that it came from (None where there are none)."""
        seeds = None
        if self.generator is not None:
            noise = draw_from_generator(geometry, self.generator, batch_size)
        elif self.video is not None and self.audio is not None:
            noise = LatentPair(video=self.video, audio=self.audio)
        else:
            seeds = sample_seeds(self.seed, batch_size, self.index)
            noise = draw_batch(geometry, seeds)
        video, audio = self.video, self.audio
        video = (
            noise.video
            if video is None
            else check_latents(video, (batch_size, *geometry.video_latent_shape), "latents")
        )
        audio = (
            noise.audio
            if audio is None
            else check_latents(audio, (batch_size, *geometry.audio_latent_shape), "audio_latents")
        )
        return LatentPair(video=video, audio=audio), seeds


def image_tensor(image: ImageInput | Sequence[ImageInput], geometry: ClipGeometry) -> torch.Tensor:
    """Bring images to the size of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        image: a PIL image; an array (H, W, 3), (H, W, 4), (H, W) or (B, H, W, 3); a tensor (3, H, W) or (B, 3, H, W);
            or a list of them. Images of another size are scaled and cut at the edges; floating-point tensors must fit.
        geometry: of the clip.

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
        return torch.cat([image_tensor(part, geometry) for part in image])
    if isinstance(image, Image.Image):
        return pil_to_float(image, size, "image").movedim(1, 0)
    if isinstance(image, torch.Tensor):
        pixels = image.unsqueeze(0) if image.ndim == 3 else image
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            wanted = f"(B, 3, {geometry.height}, {geometry.width})"
            raise GeometryError(f"an image tensor must be {wanted} in [-1, 1], got {describe(image)}")
        return tensor_to_float(pixels, size, "image").movedim(1, 0)
    if isinstance(image, np.ndarray):
        grey = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
        images = grey[None] if grey.ndim == 3 else grey
        if images.ndim == 4 and images.shape[-1] in (3, 4) and images.size:
            return array_to_float(images, size, "image").movedim(1, 0)
    raise GeometryError(f"an image must be a PIL image, a tensor or (H, W, 3) uint8, got {describe(image)}")


def video_tensor(video: VideoInput, geometry: ClipGeometry) -> torch.Tensor:
    """Bring videos to the size of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        video: a list of frames (PIL images, arrays or tensors, as in `image_tensor`); an array (F, H, W, 3) or
            (B, F, H, W, 3); a tensor (F, 3, H, W), (B, F, 3, H, W), (3, F, H, W) or (B, 3, F, H, W); or a list of
            such videos. What the pipeline returns as `frames`, or one clip of it, is one of these.
        geometry: of the clip; frames after its end are left out.

    Returns:
        (B, 3, F, H, W) in [-1, 1], float32.

    Raises:
        GeometryError: another form, type, range or size, or fewer frames than the clip has.
    """
    if isinstance(video, (list, tuple)):
        if not video:
            raise GeometryError("video must hold at least one frame, got an empty list")
        if not _is_frame(video[0]):
            return torch.cat([video_tensor(part, geometry) for part in video])
        _check_length(len(video), geometry, video)
        return _frames_tensor(video[: geometry.num_frames], geometry)[None]
    clips: np.ndarray | torch.Tensor
    if isinstance(video, np.ndarray) and video.ndim in (4, 5) and video.shape[-1] in (3, 4):
        clips = video[None] if video.ndim == 4 else video
    elif isinstance(video, torch.Tensor) and video.ndim in (4, 5):
        clips = _frames_first(video)
    else:
        raise GeometryError(
            f"video must be (B, F, H, W, 3), (B, 3, F, H, W) or a list of frames, got {describe(video)}"
        )
    _check_length(clips.shape[1], geometry, video)
    size, count = (geometry.height, geometry.width), geometry.num_frames
    if isinstance(clips, torch.Tensor):
        # Together, since the range of floating point is decided for all of them.
        joined = tensor_to_float(clips[:, :count].flatten(0, 1), size, "video")
        return joined.reshape(3, len(clips), count, *size).movedim(1, 0)
    return torch.stack([array_to_float(clip[:count], size, "video") for clip in clips])


def waveform_tensor(audio: AudioInput, geometry: ClipGeometry) -> torch.Tensor:
    """Bring audio to the length of the clip; ranges follow from the type (`mova.pipeline.inputs.pixels`).

    Args:
        audio: (S,), (1, S) or (B, 1, S) at the model's sample rate; int16, int32, uint8, or in [-1, 1].
        geometry: of the clip; samples after its end are left out.

    Returns:
        (B, 1, S) float32.

    Raises:
        GeometryError: another form, type or range, or fewer samples than the clip lasts.
    """
    waveform = audio_to_float(audio)
    waveform = waveform.reshape(1, 1, -1) if waveform.ndim == 1 or waveform.shape[:-1] == (1,) else waveform
    if waveform.ndim != 3 or waveform.shape[1] != 1:
        raise GeometryError(f"audio must be (S,), (1, S) or (B, 1, S), got {describe(audio)}")
    if waveform.shape[-1] < geometry.num_samples:
        rate, needed = geometry.codec.sample_rate, geometry.num_samples
        raise GeometryError(f"audio must last {needed} samples at {rate} Hz, got {waveform.shape[-1]}")
    return waveform[..., : geometry.num_samples]


def _is_frame(value: Any) -> bool:
    return isinstance(value, Image.Image) or (isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim in (2, 3))


def _frames_tensor(frames: Sequence[Any], geometry: ClipGeometry) -> torch.Tensor:
    """Join single frames to (3, F, H, W)."""
    if all(isinstance(frame, torch.Tensor) for frame in frames) and len({frame.shape for frame in frames}) == 1:
        return video_tensor(torch.stack(list(frames)), geometry)[0]
    return torch.cat([image_tensor(frame, geometry) for frame in frames]).movedim(1, 0)


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


def _check_length(num_frames: int, geometry: ClipGeometry, video: Any) -> None:
    if num_frames < geometry.num_frames:
        got = f"a list of {num_frames}" if isinstance(video, (list, tuple)) else describe(video)
        raise GeometryError(f"video must be {geometry.num_frames} frames or longer, got {got}")


def expand_batch(value: torch.Tensor, num_prompts: int, per_prompt: int, name: str) -> torch.Tensor:
    """Repeat (1 or num_prompts, ...) so that each prompt's samples stand together: (num_prompts * per_prompt, ...)."""
    if value.shape[0] == num_prompts * per_prompt:
        return value
    if value.shape[0] not in (1, num_prompts):
        raise ConfigError(f"{name} must hold 1 or {num_prompts} items for {num_prompts} prompts, got {value.shape[0]}")
    per_item = per_prompt if value.shape[0] == num_prompts else num_prompts * per_prompt
    return value.repeat_interleave(per_item, dim=0)


def draw_batch(geometry: ClipGeometry, seeds: Seeds) -> LatentPair:
    """Draw the initial noise of a batch: float32 on the CPU."""
    shapes = geometry.video_latent_shape, geometry.audio_latent_shape
    parts = [draw_latents(*shapes, seed=seed, sample_indices=[index]) for seed, index in seeds]
    return LatentPair(torch.cat([part.video for part in parts]), torch.cat([part.audio for part in parts]))


def draw_from_generator(
    geometry: ClipGeometry, generator: torch.Generator | Sequence[torch.Generator], batch_size: int
) -> LatentPair:
    """Draw noise from the caller's generators, video first: one for the whole batch, or one per sample."""
    each = isinstance(generator, Sequence)
    generators = list(generator) if isinstance(generator, Sequence) else [generator]
    if each and len(generators) != batch_size:
        raise ConfigError(f"generator must be one or one per clip ({batch_size}), got {len(generators)}")
    size = 1 if each else batch_size
    pairs = []
    for one in generators:
        shapes = [(size, *shape) for shape in (geometry.video_latent_shape, geometry.audio_latent_shape)]
        pairs.append([torch.randn(shape, generator=one, device=one.device).cpu() for shape in shapes])
    return LatentPair(torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs]))


def check_latents(latents: torch.Tensor, shape: tuple[int, ...], name: str) -> torch.Tensor:
    """Return given initial noise as float32, or say which shape it must have."""
    if tuple(latents.shape) != shape:
        raise GeometryError(f"{name} must be {shape} for this clip, got {tuple(latents.shape)}")
    return latents.float()
