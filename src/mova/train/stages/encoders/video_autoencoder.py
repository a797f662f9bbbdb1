"""The video autoencoder: crops that follow the moving object first, whole frames in turn with them later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from mova.codecs.video import decode_unclamped, encode_posterior, to_unit
from mova.device import autocast
from mova.models.presets import tiny_video_vae
from mova.train.build.components import component_folder
from mova.train.config import VideoAutoencoderConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import choose_device, noise_generator, step_generator
from mova.train.stages.encoders.clip_pool import ClipPool, motion_mask
from mova.train.stages.encoders.rendered import prepare_clips
from mova.train.stages.encoders.seeded import SeededStage
from mova.weights.components import load_component, write_component

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

_VALIDATION_CLIPS = 24


class VideoAutoencoderStage(SeededStage):
    """Trains `AutoencoderKLWan` at tiny width on toy clips.

    The latents get a fixed noise and a small penalty instead of a learned variance: at the default initial variance no
    information passes for thousands of steps.

    Args:
        config: the recipe.
        clips: folder of rendered clips, shared with other stages.
    """

    name = "video_autoencoder"

    def __init__(self, config: VideoAutoencoderConfig, clips: Path) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        self.vae = _new_or_existing(config).to(self.device).train()
        if not config.train_encoder:
            self.vae.encoder.requires_grad_(False)
            self.vae.quant_conv.requires_grad_(False)
        self.modules: Mapping[str, nn.Module] = {"video_vae": self.vae}
        self.pool = ClipPool(prepare_clips(clips, config.data, "train").frames, self.device)
        self.validation = prepare_clips(clips, config.data, "validation", _VALIDATION_CLIPS).frames
        if config.run.compile and self.device.type == "cuda":
            self.vae.encoder.compile()
            self.vae.decoder.compile()

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Everything that is trained; first and last convolutions are no features for Muon."""
        ends = {
            "encoder.conv_in.weight",
            "encoder.conv_out.weight",
            "decoder.conv_in.weight",
            "decoder.conv_out.weight",
        }
        named = [(name, p) for name, p in self.vae.named_parameters() if p.requires_grad]
        is_end = {name: name in ends or "quant_conv" in name or "gamma" in name for name, _ in named}
        return [
            ParameterGroup("body", [p for name, p in named if not is_end[name]]),
            ParameterGroup("ends", [p for name, p in named if is_end[name]], matrices=False),
        ]

    def losses(self, step: int, progress: float, /) -> Iterator[dict[str, torch.Tensor]]:
        """Weighted L1 and L2 of the reconstruction, and the latent penalty: of clips, then of single frames."""
        config = self.config
        choices = step_generator(config.run.seed, step)
        noise = noise_generator(config.run.seed, step, self.device)
        whole = progress >= config.full_frame_from and step % 2 == 1
        batch, size = (config.full_frame_batch, None) if whole else (config.run.batch_size, config.crop)
        share = config.image_share if config.images else 0.0
        yield self._loss(self.pool.crops(choices, batch, size, config.crop_frames), noise, 1 - share)
        if config.images:
            yield self._loss(self.pool.crops(choices, config.images, None, 1), noise, share)

    def _loss(
        self, crops: tuple[torch.Tensor, torch.Tensor], noise: torch.Generator, share: float
    ) -> dict[str, torch.Tensor]:
        config = self.config
        frames, moving = crops
        with autocast(self.device, config.run.computes_in):
            mean, _ = encode_posterior(self.vae, frames)
            drawn = torch.randn(mean.shape, generator=noise, device=self.device)
            decoded = decode_unclamped(self.vae, mean + config.latent_noise * drawn)
        weight = 1 + config.motion_weight * moving
        error = decoded - frames
        reconstruction = (weight * (error.abs() + 2 * error.square())).sum() / (3 * weight.sum())
        penalty = mean.square().mean()
        parts = {"l1": error.abs().mean(), "latent_square": penalty}
        loss = reconstruction + config.latent_penalty * penalty
        return {name: share * part for name, part in ({"loss": loss} | parts).items()}

    def validate(self) -> dict[str, float]:
        """PSNR in dB over the frame and inside the box of what moves, on whole held-out clips."""
        psnr, box_psnr = [], []
        for start in range(0, len(self.validation), 4):
            raw = torch.from_numpy(self.validation[start : start + 4].copy()).to(self.device)
            frames = to_unit(raw)
            with autocast(self.device, self.config.run.computes_in):
                decoded = decode_unclamped(self.vae, encode_posterior(self.vae, frames)[0]).clamp(-1, 1)
            error = (decoded - frames).square().mean(1, keepdim=True)
            box = _boxes(motion_mask(raw, raw.median(dim=1).values, margin=3))
            for clip_error, clip_box in zip(error, box, strict=True):
                psnr.append(_decibels(clip_error.mean()))
                box_psnr.append(_decibels((clip_error * clip_box).sum() / clip_box.sum().clamp_min(1)))
        return {"psnr_db": sum(psnr) / len(psnr), "box_psnr_db": sum(box_psnr) / len(box_psnr)}

    def export(self) -> None:
        """Measure the latents' mean and deviation per channel, then write the component."""
        if self.config.train_encoder:
            mean, deviation = self._latent_statistics()
            self.vae.register_to_config(latents_mean=mean, latents_std=deviation)
        write_component(self.vae, self.config.model / "video_vae")

    @torch.no_grad()
    def _latent_statistics(self) -> tuple[list[float], list[float]]:
        total = torch.zeros(self.vae.config.z_dim, dtype=torch.float64, device=self.device)
        squares, count = torch.zeros_like(total), 0
        for start in range(0, min(len(self.pool), 256), 4):
            frames = to_unit(self.pool.frames[start : start + 4].to(self.device))
            latents = encode_posterior(self.vae, frames)[0].double()
            total += latents.sum((0, 2, 3, 4))
            squares += latents.square().sum((0, 2, 3, 4))
            count += latents[:, 0].numel()
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        # A channel that carries nothing must not be blown up to unit variance.
        deviation = deviation.clamp_min(0.2 * float(deviation.mean()))
        return [round(float(m), 4) for m in mean], [round(float(d), 4) for d in deviation]


def _new_or_existing(config: VideoAutoencoderConfig) -> AutoencoderKLWan:
    if config.start != "new":
        folder = component_folder(config.start, "video_vae", config.model)
        return load_component(folder, expected_class="AutoencoderKLWan").float()
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan(**tiny_video_vae())
    # The log-variance half is not trained; exp(-9.2 / 2) = 0.01 keeps a sampled posterior close to its mode.
    with torch.no_grad():
        half = vae.config.z_dim
        vae.quant_conv.weight[half:] = 0
        vae.quant_conv.bias[half:] = -9.2
    return vae


def _boxes(mask: torch.Tensor) -> torch.Tensor:
    """Fill the bounding box of each frame's mask (B, 1, T, H, W)."""
    rows, columns = mask.amax(-1, keepdim=True), mask.amax(-2, keepdim=True)
    return _filled(rows, -2) * _filled(columns, -1)


def _filled(line: torch.Tensor, dim: int) -> torch.Tensor:
    return line.cummax(dim).values * line.flip(dim).cummax(dim).values.flip(dim)


def _decibels(mean_square: torch.Tensor) -> float:
    return 10 * math.log10(4.0 / max(float(mean_square), 1e-10))
