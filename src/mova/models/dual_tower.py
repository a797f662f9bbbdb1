"""The joint forward: the only place that walks both towers and the bridge. Everything else is applied from outside."""

from __future__ import annotations

import torch
from torch import nn

from mova.errors import ConfigError
from mova.models.bridge import CrossModalBridge
from mova.models.tower import AudioTower, VideoTower
from mova.types import Velocities


class DualTower(nn.Module):
    """A video tower and an audio tower that meet at the layers of a bridge.

    It holds the three components and owns nothing: the two video experts make two of it around the same audio tower and
    the same bridge.

    Args:
        video_tower: one expert.
        audio_tower: shared by the experts.
        bridge: shared by the experts.

    Raises:
        ConfigError: the bridge was made for other towers.
    """

    def __init__(self, video_tower: VideoTower, audio_tower: AudioTower, bridge: CrossModalBridge) -> None:
        super().__init__()
        for name, bridge_size, tower_size in (
            ("visual_hidden_dim", bridge.config.visual_hidden_dim, video_tower.config.dim),
            ("audio_hidden_dim", bridge.config.audio_hidden_dim, audio_tower.config.dim),
            ("visual_layers", bridge.config.visual_layers, video_tower.config.num_layers),
            ("audio_layers", bridge.config.audio_layers, audio_tower.config.num_layers),
        ):
            if bridge_size != tower_size:
                raise ConfigError(f"{name} of the bridge must equal the tower's {tower_size}, got {bridge_size}")
        self.video_tower = video_tower
        self.audio_tower = audio_tower
        self.bridge = bridge

    def forward(
        self,
        video_latents: torch.Tensor,
        audio_latents: torch.Tensor,
        video_timestep: torch.Tensor,
        audio_timestep: torch.Tensor,
        prompt_embeds: torch.Tensor,
        *,
        frame_rate: float,
        use_bridge: bool = True,
    ) -> Velocities:
        """Predict the velocities of video and audio at their own noise levels.

        Args:
            video_latents: (B, 36, T, h, w): 16 noisy, 4 mask and 16 condition channels.
            audio_latents: (B, C, A) noisy.
            video_timestep: (B,) in [0, 1000], float32.
            audio_timestep: (B,) in [0, 1000], float32.
            prompt_embeds: (B, P, C), zeros after the end of the text.
            frame_rate: pixel frames per second; sets how latent frames lie beside audio steps.
            use_bridge: False walks the towers side by side, as the no-bridge branch of guidance needs it.

        Returns:
            (B, 16, T, h, w) and (B, C, A) float32, noise minus clean.
        """
        video = self.video_tower.prepare(video_latents, video_timestep, prompt_embeds)
        audio = self.audio_tower.prepare(audio_latents, audio_timestep, prompt_embeds)
        video_tokens, audio_tokens = video.tokens, audio.tokens
        # From the grids, not from the tokens: context parallelism leaves each process a part of those.
        rotary = self.bridge.rotary_tables(video.grid, audio.grid[0], frame_rate, video_tokens.device)

        video_blocks, audio_blocks = self.video_tower.blocks, self.audio_tower.blocks
        video_shared, audio_shared = (video.time_modulation, video.rotary), (audio.time_modulation, audio.rotary)
        for layer in range(max(len(video_blocks), len(audio_blocks))):
            if use_bridge and self.bridge.interacts_at(layer):
                video_tokens, audio_tokens = self.bridge(layer, video_tokens, audio_tokens, rotary, video.grid[0])
            if layer < len(video_blocks):
                video_tokens = video_blocks[layer](video_tokens, video.contexts[layer], *video_shared)
            if layer < len(audio_blocks):
                audio_tokens = audio_blocks[layer](audio_tokens, audio.contexts[layer], *audio_shared)

        return Velocities(
            video=self.video_tower.finish(video_tokens, video), audio=self.audio_tower.finish(audio_tokens, audio)
        )
