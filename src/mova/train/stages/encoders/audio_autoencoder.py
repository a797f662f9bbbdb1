"""The audio autoencoder: reconstruction in waveform and in spectra at several resolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import nn

from mova.codecs.audio import pad_to_hop
from mova.errors import ConfigError
from mova.models.audio_vae import AudioAutoencoder
from mova.models.presets import tiny_audio_vae
from mova.train.build.components import component_folder
from mova.train.config import AudioAutoencoderConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import choose_device, noise_generator, step_generator
from mova.train.stages.encoders.rendered import prepare_clips
from mova.train.stages.encoders.seeded import SeededStage
from mova.weights.components import load_component, write_component

_VALIDATION_CLIPS = 64
_WINDOWS = (128, 512, 1024, 2048)


class AudioAutoencoderStage(SeededStage):
    """Trains the continuous audio autoencoder on the audio of toy clips.

    Each segment's loss is divided by its level, so that quiet knocks count as much as ringing metal.

    Args:
        config: the recipe.
        clips: folder of rendered clips, shared with other stages.
    """

    name = "audio_autoencoder"

    def __init__(self, config: AudioAutoencoderConfig, clips: Path) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        self.vae = _new_or_existing(config)
        self.vae.to(self.device).train()
        if not config.train_encoder:
            self.vae.encoder.requires_grad_(False)
            self.vae.quant_conv.requires_grad_(False)
        self.modules: Mapping[str, nn.Module] = {"audio_vae": self.vae}
        waveforms = prepare_clips(clips, config.data, "train").waveforms
        self.waveforms = torch.from_numpy(waveforms.copy()).to(self.device)
        held_out = prepare_clips(clips, config.data, "validation", _VALIDATION_CLIPS).waveforms
        self.validation = torch.from_numpy(held_out.copy()).to(self.device)
        longest = self.waveforms.shape[1] // self.vae.hop_length
        if config.segment_steps > longest:
            raise ConfigError(
                f"segment_steps must be at most {longest} for clips of {config.data.num_frames} frames, "
                f"got {config.segment_steps}"
            )

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Everything that is trained; Snake slopes and the outermost layers are no features for Muon."""
        named = [(name, p) for name, p in self.vae.named_parameters() if p.requires_grad]
        last = max(name.split(".")[2] for name, _ in named if name.startswith("decoder.model."))
        ends = ("encoder.block.0.", "quant_conv", "post_quant_conv", f"decoder.model.{last}.")
        is_end = {name: name.startswith(ends) or name.endswith("alpha") for name, _ in named}
        return [
            ParameterGroup("body", [p for name, p in named if not is_end[name]]),
            ParameterGroup("ends", [p for name, p in named if is_end[name]], matrices=False),
        ]

    def losses(self, step: int, _progress: float, /) -> tuple[dict[str, torch.Tensor]]:
        """Reconstruction of random segments at random levels, and the latent penalty."""
        config = self.config
        target = self._segments(step_generator(config.run.seed, step))
        mean = self.vae.encode(target).mean
        generator = noise_generator(config.run.seed, step, self.device)
        noise = torch.randn(mean.shape, generator=generator, device=self.device)
        decoded = self.vae.decode(mean + config.latent_noise * noise)
        level = target.square().mean((1, 2), keepdim=True).sqrt() + 0.02
        waveform = ((decoded - target).abs() / level).mean()
        spectrum = spectral_distance(decoded[:, 0], target[:, 0])
        penalty = mean.square().mean()
        loss = config.waveform_weight * waveform + spectrum + config.latent_penalty * penalty
        return ({"loss": loss, "waveform": waveform, "spectrum": spectrum, "latent_square": penalty},)

    def validate(self) -> dict[str, float]:
        """Signal-to-error ratio in dB, spectral distance and the difference in level on held-out clips."""
        target = pad_to_hop(self.validation.unsqueeze(1), self.vae.hop_length)
        decoded = torch.cat([self.vae.decode(self.vae.encode(part).mode()) for part in target.split(8)])
        error = (decoded - target).square().sum((1, 2))
        power = target.square().sum((1, 2)).clamp_min(1e-8)
        level = 10 * torch.log10(decoded.square().sum((1, 2)).clamp_min(1e-8) / power)
        return {
            "snr_db": float((10 * torch.log10(power / error.clamp_min(1e-8))).mean()),
            "spectrum": float(spectral_distance(decoded[:, 0], target[:, 0])),
            "level_db_worst": float(level.abs().max()),
        }

    def export(self) -> None:
        """Scale the latents to unit variance inside the 1x1 convolutions around them, then write the component."""
        if self.config.train_encoder:
            self._normalise_latents()
        write_component(self.vae, self.config.model / "audio_vae")

    def _segments(self, generator: torch.Generator) -> torch.Tensor:
        length = self.config.segment_steps * self.vae.hop_length
        batch = self.config.run.batch_size
        clips = torch.randint(len(self.waveforms), (batch,), generator=generator).tolist()
        starts = torch.randint(max(1, self.waveforms.shape[1] - length), (batch,), generator=generator).tolist()
        gains = 10 ** ((torch.rand(batch, generator=generator) * 15 - 12) / 20)
        signs = torch.randint(2, (batch,), generator=generator) * 2 - 1
        rows = [self.waveforms[clip, start : start + length] for clip, start in zip(clips, starts, strict=True)]
        return torch.stack(rows).unsqueeze(1) * (gains * signs).view(-1, 1, 1).to(self.device)

    @torch.no_grad()
    def _normalise_latents(self) -> None:
        # One factor for all channels: a channel that carries nothing stays near zero, where it is easy to predict.
        padded = pad_to_hop(self.waveforms[:512].unsqueeze(1), self.vae.hop_length)
        latents = torch.cat([self.vae.encode(part).mode() for part in padded.split(16)])
        mean = latents.mean((0, 2))
        scale = float((latents - mean.view(1, -1, 1)).square().mean().sqrt())
        channels = len(mean)
        inward, outward = self.vae.quant_conv, self.vae.post_quant_conv
        assert inward.bias is not None
        assert outward.bias is not None
        outward.bias += outward.weight[:, :, 0] @ mean
        outward.weight *= scale
        inward.weight[:channels] /= scale
        inward.bias[:channels] = (inward.bias[:channels] - mean) / scale


def _new_or_existing(config: AudioAutoencoderConfig) -> AudioAutoencoder:
    if config.start == "new":
        new: AudioAutoencoder = AudioAutoencoder(**tiny_audio_vae())
        return new
    folder = component_folder(config.start, "audio_vae", config.model)
    return cast("AudioAutoencoder", load_component(folder, expected_class="DAC").float())


def spectral_distance(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Distance of two waveforms (B, S) in magnitude spectra: relative linear and logarithmic, over four windows."""
    total = decoded.new_zeros(())
    for size in _WINDOWS:
        window = torch.hann_window(size, device=decoded.device)
        mine, theirs = (
            torch.stft(x.float(), size, size // 4, window=window, return_complex=True).abs() / size**0.5
            for x in (decoded, target)
        )
        level = theirs.square().mean((1, 2), keepdim=True).sqrt() + 1e-3
        linear = ((mine - theirs).abs() / level).mean()
        logarithmic = (torch.log(mine + 1e-3) - torch.log(theirs + 1e-3)).abs().mean()
        total = total + linear + 0.3 * logarithmic
    return total / len(_WINDOWS)
