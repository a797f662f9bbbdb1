"""The towers by themselves: arguments, single forward, saving with diffusers."""

from __future__ import annotations

import pytest
import torch

from mova.errors import ConfigError
from mova.models.tower import AudioTower, VideoTower

VIDEO = {"dim": 48, "ffn_dim": 96, "text_dim": 32, "freq_dim": 32, "num_heads": 2, "num_layers": 2}
AUDIO = {**VIDEO, "in_dim": 8, "out_dim": 8}


def _audio_inputs(batch=1):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(batch, 8, 11, generator=generator),
        torch.full((batch,), 400.0),
        torch.randn(batch, 3, 32, generator=generator),
    )


@pytest.mark.parametrize("length", [1, 2, 103])
def test_the_audio_tower_runs_alone_at_any_length(length):
    tower = AudioTower(**AUDIO)
    velocity = tower(torch.randn(2, 8, length), torch.tensor([0.0, 1000.0]), torch.randn(2, 3, 32))
    assert velocity.shape == (2, 8, length)
    velocity.square().mean().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())


def test_the_timestep_changes_the_velocity():
    tower = AudioTower(**AUDIO)
    latents, timestep, prompt = _audio_inputs()
    assert not torch.allclose(tower(latents, timestep, prompt), tower(latents, timestep / 2, prompt), atol=1e-4)


@pytest.mark.parametrize(
    "flag",
    [
        "has_image_input",
        "has_image_pos_emb",
        "has_ref_conv",
        "add_control_adapter",
        "seperated_timestep",
        "fuse_vae_embedding_in_latents",
    ],
)
@pytest.mark.parametrize(("cls", "sizes"), [(VideoTower, VIDEO), (AudioTower, AUDIO)])
def test_parts_that_no_published_weights_have_are_refused(cls, sizes, flag):
    with pytest.raises(ConfigError, match=f"{flag} must be false"):
        cls(**sizes, **{flag: True})


@pytest.mark.parametrize(
    ("cls", "sizes", "text"),
    [
        (VideoTower, {**VIDEO, "dim": 128}, "got 64; nearest are 62 and 66"),
        (VideoTower, {**VIDEO, "num_heads": 5}, "num_heads must divide dim 48, got 5"),
        (VideoTower, {**VIDEO, "patch_size": [2]}, r"patch_size must have 3 numbers .* got \[2\]"),
        (AudioTower, {**AUDIO, "patch_size": [1, 2, 2]}, "patch_size must have 1 number"),
        (AudioTower, {**AUDIO, "vae_type": "oobleck"}, "vae_type must be 'dac', got 'oobleck'"),
        (AudioTower, {**AUDIO, "dim": 30}, "head dimension must be even, got 15"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(cls, sizes, text):
    with pytest.raises(ConfigError, match=text):
        cls(**sizes)


def test_diffusers_saves_and_loads_a_tower_and_keeps_the_noise_level_in_float32(tmp_path):
    tower = AudioTower(**AUDIO).eval()
    tower.save_pretrained(tmp_path)
    loaded = AudioTower.from_pretrained(tmp_path)
    inputs = _audio_inputs()
    assert torch.equal(loaded(*inputs), tower(*inputs))
    low = AudioTower.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert low.blocks[0].ffn[0].weight.dtype == torch.bfloat16
    assert low.time_projection[1].weight.dtype == torch.float32
    assert low.blocks[0].modulation.dtype == torch.float32
