"""Small real components, seeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower

VIDEO = {"dim": 48, "in_dim": 36, "ffn_dim": 96, "out_dim": 16, "text_dim": 32, "freq_dim": 32, "num_heads": 2}
AUDIO = {"dim": 24, "in_dim": 8, "ffn_dim": 48, "out_dim": 8, "text_dim": 32, "freq_dim": 32, "num_heads": 1}


@pytest.fixture
def make_dual_tower() -> Callable[..., DualTower]:
    """Return a function that builds both towers and a bridge: 3 video layers, 2 audio layers, heads of 24."""

    def make(seed: int = 0, video_layers: int = 3, audio_layers: int = 2, **bridge: Any) -> DualTower:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return DualTower(
                VideoTower(**VIDEO, num_layers=video_layers),
                AudioTower(**AUDIO, num_layers=audio_layers),
                CrossModalBridge(
                    visual_layers=video_layers,
                    audio_layers=audio_layers,
                    visual_hidden_dim=VIDEO["dim"],
                    audio_hidden_dim=AUDIO["dim"],
                    head_dim=24,
                    **bridge,
                ),
            ).eval()

    return make


@pytest.fixture
def make_inputs() -> Callable[..., dict[str, torch.Tensor]]:
    """Return a function that draws inputs of the joint forward; every sample has its own timesteps."""

    def make(batch: int = 1, seed: int = 1) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {
            "video_latents": torch.randn(batch, 36, 3, 4, 6, generator=generator),
            "audio_latents": torch.randn(batch, 8, 25, generator=generator),
            "video_timestep": 1000 * torch.rand(batch, generator=generator),
            "audio_timestep": 1000 * torch.rand(batch, generator=generator),
            "prompt_embeds": torch.randn(batch, 5, 32, generator=generator),
        }

    return make
