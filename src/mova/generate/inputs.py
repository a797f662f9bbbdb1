"""Pictures, films and sounds as callers have them, to the tensors of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from mova.codecs.video import frames_to_tensor
from mova.diffusion.noise import draw_latents
from mova.errors import ConfigError, GeometryError
from mova.generate.request import check_tasks
from mova.generate.seeds import Seeds, WholeNumbers, check_index, is_sequence, sample_seeds
from mova.geometry import ClipGeometry
from mova.media.frames import cover, cover_frames
from mova.types import LatentPair

ImageInput = Image.Image | np.ndarray | torch.Tensor


@dataclass(frozen=True, eq=False)
class GivenMedia:
    """Pictures, film and sound of a call, as the caller has them; see `image_tensor` and its neighbours."""

    image: ImageInput | Sequence[ImageInput] | None = None
    last_image: ImageInput | Sequence[ImageInput] | None = None
    video: np.ndarray | torch.Tensor | None = None
    audio: np.ndarray | torch.Tensor | None = None

    def check(self) -> None:
        """Refuse what contradicts itself."""
        check_tasks(
            has_image=self.image is not None or self.last_image is not None,
            has_video=self.video is not None,
            has_audio=self.audio is not None,
        )

    def known_images(self, geometry: ClipGeometry) -> dict[int, torch.Tensor]:
        """Return the pictures by the frame that they fix (-1 is the last)."""
        images = {0: self.image, -1: self.last_image}
        return {index: image_tensor(image, geometry) for index, image in images.items() if image is not None}


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
    """Bring pictures to the size of the clip.

    Args:
        image: a PIL picture, an (H, W, 3) uint8 array or a (3, H, W) or (B, 3, H, W) tensor in [-1, 1]; or a list of
            them. Pictures and arrays of another size are scaled and cut at the edges; tensors must fit.
        geometry: of the clip.

    Returns:
        (B, 3, H, W) in [-1, 1], float32.

    Raises:
        GeometryError: an array or tensor of another form or size.
    """
    if isinstance(image, (list, tuple)):
        if not image:
            raise ConfigError("image must be a picture or a list of them, got an empty list")
        return torch.cat([image_tensor(part, geometry) for part in image])
    if isinstance(image, torch.Tensor):
        pixels = image.unsqueeze(0) if image.ndim == 3 else image
        if pixels.ndim != 4 or pixels.shape[1:] != (3, geometry.height, geometry.width):
            wanted = f"(B, 3, {geometry.height}, {geometry.width})"
            raise GeometryError(f"an image tensor must be {wanted} in [-1, 1], got {tuple(image.shape)}")
        return pixels.float()
    picture = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        raise GeometryError(f"an image must be a PIL picture, a tensor or (H, W, 3) uint8, got {_describe(image)}")
    return frames_to_tensor(cover(picture, (geometry.height, geometry.width))[None])[:, :, 0]


def video_tensor(video: np.ndarray | torch.Tensor, geometry: ClipGeometry) -> torch.Tensor:
    """Bring a film to the size of the clip.

    Args:
        video: (F, H, W, 3) or (B, F, H, W, 3) uint8, or a (B, 3, F, H, W) tensor in [-1, 1] of the clip's size.
        geometry: of the clip; frames after its end are left out.

    Returns:
        (B, 3, F, H, W) in [-1, 1], float32.

    Raises:
        GeometryError: another form, or fewer frames than the clip has.
    """
    if isinstance(video, np.ndarray):
        clips = video[None] if video.ndim == 4 else video
        if clips.ndim != 5 or clips.dtype != np.uint8 or clips.shape[-1] != 3:
            raise GeometryError(f"video must be (B, F, H, W, 3) uint8, got {_describe(video)}")
        size = (geometry.height, geometry.width)
        pixels = frames_to_tensor(np.stack([cover_frames(clip[: geometry.num_frames], size) for clip in clips]))
    else:
        pixels = video[:, :, : geometry.num_frames].float()
    wanted = (3, geometry.num_frames, geometry.height, geometry.width)
    if pixels.ndim != 5 or tuple(pixels.shape[1:]) != wanted:
        raise GeometryError(f"video must be (B, {', '.join(map(str, wanted))}) or longer, got {_describe(video)}")
    return pixels


def waveform_tensor(audio: np.ndarray | torch.Tensor, geometry: ClipGeometry) -> torch.Tensor:
    """Bring a sound to the length of the clip.

    Args:
        audio: (S,), (1, S) or (B, 1, S) in [-1, 1] at the model's sample rate.
        geometry: of the clip; samples after its end are left out.

    Returns:
        (B, 1, S) float32.

    Raises:
        GeometryError: another form, or fewer samples than the clip lasts.
    """
    waveform = torch.as_tensor(audio).float()
    waveform = waveform.reshape(1, 1, -1) if waveform.ndim == 1 or waveform.shape[:-1] == (1,) else waveform
    if waveform.ndim != 3 or waveform.shape[1] != 1:
        raise GeometryError(f"audio must be (S,), (1, S) or (B, 1, S), got {_describe(audio)}")
    if waveform.shape[-1] < geometry.num_samples:
        rate, needed = geometry.codec.sample_rate, geometry.num_samples
        raise GeometryError(f"audio must last {needed} samples at {rate} Hz, got {waveform.shape[-1]}")
    return waveform[..., : geometry.num_samples]


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


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{tuple(shape)} {getattr(value, 'dtype', '')}"
