"""What the video tower is told beside the noisy latents: which pixel frames are known, and their latents.

One construction for every task (none, first frame, first and last frame, keyframes, continuation): a mask of known
pixel frames folded to 4 channels of the latent grid, and the latents of a clip in which the unknown frames are
mid-grey (value 0). Together (B, 4 + C, T, h, w), concatenated to the noisy latents in the order noisy, mask, latents.
First frame only is the published case (fact sheet, 1.2); the fold of the mask for other frames is that of the Wan
family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import einops
import torch

from mova.codecs.video import encode_video
from mova.conditioning.remembered import remembered_latents
from mova.errors import ConfigError, GeometryError

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

    from mova.codecs.video_beginnings import Beginning
    from mova.conditioning.spec import Held
    from mova.geometry import ClipGeometry

# What stands in for the first frame where there is none: "white" is the paper's text-only task (fact sheet, section 6);
# "none" leaves mask and latents zero.
NullImage = Literal["white", "none"]
NULL_IMAGES: tuple[NullImage, ...] = ("white", "none")


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """What is known of B clips in two parts: which pixel frames, and latents of clips in which the others are grey.

    Generation joins them at once; training keeps encoded clips, and decides for every step anew what is left out.

    Attributes:
        mask: (B, stride, T) of zeros and ones, see `fold_mask`.
        latents: (B, C, T, h, w).
    """

    mask: torch.Tensor
    latents: torch.Tensor

    def joined(self) -> torch.Tensor:
        """Return the condition (B, stride + C, T, h, w): mask, then latents."""
        mask = self.mask[..., None, None].expand(-1, -1, -1, *self.latents.shape[-2:])
        return torch.cat([mask, self.latents], dim=1)

    def with_first_frame(self, chosen: torch.Tensor, latents: torch.Tensor) -> KnownFrames:
        """Return the clips with another first frame, and no other known frame, in some of them.

        Args:
            chosen: (B,) bool.
            latents: (C, T, h, w) of a clip of which that first frame alone is known.
        """
        chosen = chosen.to(self.latents.device)
        first_only = torch.zeros_like(self.mask[:1])
        first_only[..., 0] = 1
        return KnownFrames(
            torch.where(chosen[:, None, None], first_only, self.mask),
            torch.where(chosen[:, None, None, None, None], latents, self.latents),
        )

    def without(self, chosen: torch.Tensor) -> KnownFrames:
        """Return the clips with no known frame in some of them, which (B,) bool says."""
        chosen = chosen.to(self.latents.device)
        return KnownFrames(
            self.mask.masked_fill(chosen[:, None, None], 0.0),
            self.latents.masked_fill(chosen[:, None, None, None, None], 0.0),
        )


def frame_condition(
    vae: AutoencoderKLWan,
    images: Mapping[int, torch.Tensor],
    geometry: ClipGeometry,
    *,
    null_image: NullImage = "white",
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Return the condition (B, 4 + C, T, h, w) float32 of a clip: `known_images`, joined."""
    return known_images(vae, images, geometry, null_image=null_image, device=device).joined()


def known_images(
    vae: AutoencoderKLWan,
    images: Mapping[int, torch.Tensor],
    geometry: ClipGeometry,
    *,
    null_image: NullImage = "white",
    device: torch.device | str | None = None,
) -> KnownFrames:
    """Encode the frames of a clip that are known.

    Args:
        vae: video autoencoder.
        images: pixel frame index (negative counts from the end) to (B, 3, H, W) in [-1, 1]; B is the same or 1.
            An empty mapping means that no frame is known.
        geometry: of the clip.
        null_image: what stands in where `images` is empty.
        device: to build on; None is the autoencoder's.

    Returns:
        Mask and latents, float32.

    Raises:
        GeometryError: an index outside the clip, or an image of another size.
        ConfigError: unknown `null_image`.
    """
    if null_image not in NULL_IMAGES:
        raise ConfigError(f"null_image must be one of {', '.join(NULL_IMAGES)}, got {null_image!r}")
    device = vae.device if device is None else device
    channels, num_latent_frames, height, width = geometry.video_latent_shape
    if not images and null_image == "none":
        mask = torch.zeros(1, geometry.codec.temporal_stride, num_latent_frames, device=device)
        return KnownFrames(mask, torch.zeros(1, channels, num_latent_frames, height, width, device=device))
    if not images:
        return _white_frame(vae, geometry, torch.device(device))
    placed = _place(images, geometry)
    batch_size = max(image.shape[0] for image in placed.values())
    frames = torch.zeros(batch_size, 3, geometry.num_frames, geometry.height, geometry.width, device=device)
    known = torch.zeros(geometry.num_frames, dtype=torch.bool)
    for index, image in placed.items():
        frames[:, :, index] = image.to(frames)
        known[index] = True
    return known_frames(vae, frames, known)


def known_parts(
    vae: AutoencoderKLWan,
    frames: torch.Tensor | None,
    held: Held,
    images: Mapping[int, torch.Tensor],
    geometry: ClipGeometry,
    *,
    latents: torch.Tensor | None = None,
    device: torch.device | str | None = None,
) -> KnownFrames:
    """Encode what is known of a clip of which parts are held: frames of those parts, and images between them.

    Args:
        vae: video autoencoder.
        frames: (B, 3, F, H, W) in [-1, 1]; what lies outside of the parts is not read. None: only latents are known.
        held: the parts.
        images: as in `known_images`.
        geometry: of the clip.
        latents: (B, C, T, h, w) of the clip. Without `frames` they stand in the held parts of the condition, where
            those of frames between grey ones stand otherwise.
        device: to build on; None is the autoencoder's.

    Raises:
        GeometryError: an index outside the clip, or an image of another size.
    """
    device = vae.device if device is None else device
    known = torch.zeros(geometry.num_frames, dtype=torch.bool)
    placed = _place(images, geometry) if images else {}
    count = max(len(part) for part in (frames, latents, *placed.values(), torch.zeros(1)) if part is not None)
    shape = (count, 3, geometry.num_frames, geometry.height, geometry.width)
    shown = torch.zeros(shape, device=device)
    for first, end in held.media:
        known[first:end] = True
        if frames is not None:
            shown[:, :, first:end] = frames[:, :, first:end].to(shown)
    for index, image in placed.items():
        shown[:, :, index] = image.to(shown)
    visible = known.clone() if frames is not None else torch.zeros_like(known)
    visible[list(placed)] = known[list(placed)] = True
    encoded = known_frames(vae, shown, visible).latents
    if frames is None and latents is not None:
        for first, end in held.latents:
            encoded[:, :, first:end] = latents[:, :, first:end].to(encoded)
    mask = fold_mask(known[None], geometry.codec.temporal_stride)
    return KnownFrames(mask.to(encoded).expand(count, -1, -1), encoded)


def known_frames(
    vae: AutoencoderKLWan, frames: torch.Tensor, known: torch.Tensor, *, beginning: Beginning | None = None
) -> KnownFrames:
    """Encode what is known of whole clips, which are at hand in training.

    Args:
        vae: video autoencoder.
        frames: (B, 3, F, H, W) in [-1, 1].
        known: (F,) or (B, F) bool.
        beginning: with which the clips were encoded, as in `encode_video`.

    Returns:
        Mask and latents, float32. Samples without any known frame get zeros throughout.

    Raises:
        GeometryError: `known` is for another number of frames.
    """
    known = known.to(frames.device).expand(frames.shape[0], -1)
    if known.shape[1] != frames.shape[2]:
        raise GeometryError(f"known must name {frames.shape[2]} frames, got {known.shape[1]}")
    # Zeros without a sign: frames that are all alike are encoded once.
    latents = encode_video(vae, frames.masked_fill(~known[:, None, :, None, None], 0.0), beginning=beginning)
    latents = latents * known.any(1)[:, None, None, None, None]
    return KnownFrames(fold_mask(known, int(vae.config.scale_factor_temporal)).to(latents), latents)


def _white_frame(vae: AutoencoderKLWan, geometry: ClipGeometry, device: torch.device) -> KnownFrames:
    """Return what is known of a clip whose first frame is white: the same for every clip of a model and a size."""
    known = torch.zeros(1, geometry.num_frames, dtype=torch.bool)
    known[:, 0] = True
    shape = (1, 3, geometry.num_frames, geometry.height, geometry.width)

    def encode() -> torch.Tensor:
        return known_frames(vae, torch.ones(shape, device=device), known).latents

    latents = remembered_latents(vae, shape, device, encode)
    return KnownFrames(fold_mask(known, int(vae.config.scale_factor_temporal)).to(latents), latents)


def fold_mask(known: torch.Tensor, temporal_stride: int) -> torch.Tensor:
    """Fold known pixel frames into channels of the latent grid.

    The first frame, which stands alone in the first latent frame, fills all its channels; pixel frame i > 0 is channel
    (i - 1) mod stride of latent frame 1 + (i - 1) // stride.

    Args:
        known: (B, F) bool, F = 1 plus a multiple of the stride.
        temporal_stride: pixel frames per latent frame.

    Returns:
        (B, stride, T) float32 of zeros and ones.
    """
    repeated = torch.cat([known[:, :1].expand(-1, temporal_stride), known[:, 1:]], dim=1).float()
    folded: torch.Tensor = einops.rearrange(repeated, "b (t stride) -> b stride t", stride=temporal_stride)
    return folded


def _place(images: Mapping[int, torch.Tensor], geometry: ClipGeometry) -> dict[int, torch.Tensor]:
    placed: dict[int, torch.Tensor] = {}
    for index, image in images.items():
        position = index + geometry.num_frames if index < 0 else index
        if not 0 <= position < geometry.num_frames:
            last = geometry.num_frames - 1
            raise GeometryError(f"frame index must lie in [{-last - 1}, {last}], got {index}; the last frame is {last}")
        if position in placed:
            raise ConfigError(f"frame {position} is given twice")
        if image.ndim != 4 or image.shape[1] != 3 or image.shape[2:] != (geometry.height, geometry.width):
            wanted = f"(B, 3, {geometry.height}, {geometry.width})"
            raise GeometryError(f"image of frame {position} must be {wanted}, got {tuple(image.shape)}")
        placed[position] = image
    return placed
