"""Frames to normalised video latents and back, through a Wan video autoencoder (`AutoencoderKLWan`).

Works for the published autoencoder (8x in space, 4x in time, 16 channels) and for small ones with a pixel patch.
Latents outside this file are always normalised: (z - mean) / std with the constants of the autoencoder's config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mova.codecs.video_beginnings import Beginning
from mova.codecs.video_repeats import encode_parts
from mova.errors import ConfigError, GeometryError
from mova.geometry import nearest_multiples

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

DECODER_PARTS = ("post_quant_conv", "decoder")
"""Parts of the video autoencoder that latents are turned into frames with."""

# Elements that the widest activation of one chunk of latent frames may have. A CPU is fastest while they stay in its
# caches; a GPU wants few large calls.
CPU_CHUNK_ELEMENTS = 2**20
GPU_CHUNK_ELEMENTS = 2**28


def encode_video(vae: AutoencoderKLWan, frames: torch.Tensor, *, beginning: Beginning | None = None) -> torch.Tensor:
    """Encode frames to normalised latents: the mode of the posterior.

    Args:
        vae: the autoencoder; frames go to its dtype.
        frames: (B, 3, F, H, W) in [-1, 1], F = 1 plus a multiple of the temporal stride.
        beginning: of other clips, encoded by the same autoencoder in the same way: a first frame that is theirs, bit
            for bit, is not encoded again. The latents are the same bits with it and without.

    Returns:
        (B, C, T, h, w) float32.

    Raises:
        GeometryError: a shape that the autoencoder cannot represent.
    """
    return normalise_latents(vae, encode_posterior(vae, frames, beginning)[0])


def decode_video(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Decode normalised latents to frames.

    Args:
        vae: the autoencoder; latents go to the dtype of its decoder.
        latents: (B, C, T, h, w) normalised.

    Returns:
        (B, 3, F, H, W) in [-1, 1], float32.
    """
    return decode_unclamped(vae, denormalise_latents(vae, latents)).clamp(-1, 1)


def encode_posterior(
    vae: AutoencoderKLWan, frames: torch.Tensor, beginning: Beginning | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log-variance of the latents of frames (B, 3, F, H, W).

    Both are (B, C, T, h, w) float32, not normalised; `beginning` as in `encode_video`.
    """
    _check_frames(vae, frames)
    frames = frames.to(vae.dtype)
    if needs_own_methods(vae):
        posterior = vae.encode(frames).latent_dist
        return posterior.mean.float(), posterior.logvar.float()
    patched = _to_patches(frames, vae.config.patch_size)
    per_latent = _temporal_stride(vae)
    chunk = per_latent * _latent_frames_per_chunk(vae, frames)
    parts = [part for part in (patched[:, :, :1], *patched[:, :, 1:].split(chunk, dim=2)) if part.shape[2]]
    encoded = encode_parts(vae, parts, [None] * _num_convolutions(vae, "encoder"), beginning)
    mean, log_variance = vae.quant_conv(torch.cat(encoded, dim=2)).float().chunk(2, dim=1)
    return mean, log_variance.clamp(-30.0, 20.0)


class DecoderCache:
    """What the decoder keeps of the frames before, for the piece that follows.

    Args:
        vae: the autoencoder.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self._vae = vae
        self.frames: list[torch.Tensor | None] = [None] * _num_convolutions(vae, "decoder")

    @property
    def is_begun(self) -> bool:
        """Whether the first latent frame of the video has been decoded."""
        return any(one is not None for one in self.frames)

    def copy(self) -> DecoderCache:
        """Return the same place in the same video, from which another piece can follow."""
        other = DecoderCache(self._vae)
        # Layers put new tensors into the list, and never write into those that lie there.
        other.frames[:] = self.frames
        return other


def check_streams(vae: AutoencoderKLWan) -> None:
    """Refuse an autoencoder that cannot decode piece by piece.

    Raises:
        ConfigError: tiling, slicing or hooks of its own, which begin anew with every piece.
    """
    if needs_own_methods(vae):
        raise ConfigError(
            "a long clip is decoded piece by piece, got a video autoencoder with tiling, slicing or hooks of its own; "
            "disable them (memory=phases needs less memory as well)"
        )


def decode_part(vae: AutoencoderKLWan, latents: torch.Tensor, cache: DecoderCache) -> torch.Tensor:
    """Decode the next normalised latent frames of one video.

    Args:
        vae: the autoencoder, one that `check_streams` accepts.
        latents: (B, C, n, h, w) normalised.
        cache: of this video; filled.

    Returns:
        (B, 3, f, H, W) in [-1, 1], float32: the temporal stride times n frames, but one for the video's first latent.
    """
    hidden = vae.post_quant_conv(denormalise_latents(vae, latents).to(decoder_dtype(vae)))
    return (
        _from_patches(torch.cat(_decode_hidden(vae, hidden, cache), dim=2), vae.config.patch_size).float().clamp(-1, 1)
    )


def decode_unclamped(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Decode latents (B, C, T, h, w), not normalised, to (B, 3, F, H, W) float32 that may leave [-1, 1].

    Training needs this form: a clamp gives saturated pixels no gradient.
    """
    latents = latents.to(decoder_dtype(vae))
    if needs_own_methods(vae):
        decoded: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return decoded.float()
    parts = _decode_hidden(vae, vae.post_quant_conv(latents), DecoderCache(vae))
    return _from_patches(torch.cat(parts, dim=2), vae.config.patch_size).float()


def _decode_hidden(vae: AutoencoderKLWan, hidden: torch.Tensor, cache: DecoderCache) -> list[torch.Tensor]:
    """Decode what `post_quant_conv` gives, in chunks; the first latent frame of a video goes alone."""
    chunk = _latent_frames_per_chunk(vae, hidden, vae.config.scale_factor_spatial)
    parts: list[torch.Tensor] = []
    if not cache.is_begun:
        parts.append(vae.decoder(hidden[:, :, :1], feat_cache=cache.frames, feat_idx=[0], first_chunk=True))
        hidden = hidden[:, :, 1:]
    if hidden.shape[2]:
        parts += [vae.decoder(part, feat_cache=cache.frames, feat_idx=[0]) for part in hidden.split(chunk, dim=2)]
    return parts


def decoder_dtype(vae: AutoencoderKLWan) -> torch.dtype:
    """Return the dtype that an autoencoder decodes in; it may encode in another."""
    dtype: torch.dtype = vae.post_quant_conv.weight.dtype
    return dtype


def cast_decoder(vae: AutoencoderKLWan, dtype: torch.dtype) -> None:
    """Let an autoencoder decode in a dtype; what it encodes with stays as it is."""
    for part in DECODER_PARTS:
        for tensor in vae.get_submodule(part).state_dict(keep_vars=True).values():
            tensor.data = tensor.data.to(dtype)


def normalise_latents(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Return (z - mean) / std of (B, C, T, h, w) latents as the autoencoder gives them, in float32."""
    mean, deviation = _statistics(vae, latents.device)
    return (latents.float() - mean) / deviation


def denormalise_latents(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Return z * std + mean: what the autoencoder decodes, in float32."""
    mean, deviation = _statistics(vae, latents.device)
    return latents.float() * deviation + mean


def frames_to_tensor(frames: np.ndarray, *, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn (F, H, W, 3) or (B, F, H, W, 3) uint8 frames into (B, 3, F, H, W) in [-1, 1], float32."""
    if frames.dtype != np.uint8 or frames.ndim not in (4, 5) or frames.shape[-1] != 3:
        raise GeometryError(f"frames must be (F, H, W, 3) or (B, F, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    pixels = torch.from_numpy(np.require(frames, requirements=["C", "W"])).to(device)
    pixels = pixels.unsqueeze(0) if pixels.ndim == 4 else pixels
    return pixels.movedim(-1, 1).contiguous().float().div(127.5).sub(1.0)


def tensor_to_frames(frames: torch.Tensor) -> np.ndarray:
    """Turn (B, 3, F, H, W) in [-1, 1] into (B, F, H, W, 3) uint8, rounded to the nearest level."""
    levels = frames.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.movedim(1, -1).contiguous().cpu().numpy()


def _statistics(vae: AutoencoderKLWan, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, vae.config.z_dim, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean, dtype=torch.float32, device=device).view(shape)
    return mean, torch.tensor(vae.config.latents_std, dtype=torch.float32, device=device).view(shape)


def _temporal_stride(vae: AutoencoderKLWan) -> int:
    return int(vae.config.scale_factor_temporal)


def _check_frames(vae: AutoencoderKLWan, frames: torch.Tensor) -> None:
    if frames.ndim != 5 or frames.shape[1] != 3:
        raise GeometryError(f"frames must be (B, 3, F, H, W), got {tuple(frames.shape)}")
    num_frames, stride = frames.shape[2], _temporal_stride(vae)
    if (num_frames - 1) % stride:
        # The autoencoder would drop the rest in silence.
        below = (num_frames - 1) // stride * stride + 1
        raise GeometryError(
            f"frames must be 1 plus a multiple of {stride}, got {num_frames}; nearest are {below} and {below + stride}"
        )
    for name, value in zip(("height", "width"), frames.shape[-2:], strict=True):
        if value % (step := int(vae.config.scale_factor_spatial)):
            low, high = nearest_multiples(value, step)
            raise GeometryError(f"{name} must be a multiple of {step}, got {value}; nearest are {low} and {high}")


def needs_own_methods(vae: AutoencoderKLWan) -> bool:
    """Say whether an autoencoder must be called as a whole: tiling, slicing and offload are in its own methods."""
    return vae.use_tiling or vae.use_slicing or hasattr(vae, "_hf_hook")


def _num_convolutions(vae: AutoencoderKLWan, part: str) -> int:
    return int(vae._cached_conv_counts[part])


def _latent_frames_per_chunk(vae: AutoencoderKLWan, grid: torch.Tensor, pixels_per_cell: int = 1) -> int:
    """Latent frames after the first that go through together; any number gives the same result (within 4e-6)."""
    cell = pixels_per_cell / (vae.config.patch_size or 1)
    widest = 2 * max(vae.config.base_dim, vae.config.decoder_base_dim or 0)
    per_latent = grid.shape[0] * _temporal_stride(vae) * widest * grid.shape[-2] * grid.shape[-1] * cell**2
    limit = CPU_CHUNK_ELEMENTS if grid.device.type == "cpu" else GPU_CHUNK_ELEMENTS
    return max(1, int(limit // per_latent))


def _to_patches(frames: torch.Tensor, patch_size: int | None) -> torch.Tensor:
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    return frames if patch_size is None else patchify(frames, patch_size)


def _from_patches(patched: torch.Tensor, patch_size: int | None) -> torch.Tensor:
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    return patched if patch_size is None else unpatchify(patched, patch_size)


def to_unit(frames: torch.Tensor) -> torch.Tensor:
    """Turn (B, T, H, W, 3) uint8 into (B, 3, T, H, W) float32 in [-1, 1]."""
    return frames.movedim(-1, 1).float().div_(127.5).sub_(1.0)
