"""The sizes of the named models."""

from __future__ import annotations

import pytest
import torch

from mova.geometry import ClipGeometry, CodecGeometry
from mova.models import presets
from mova.models.audio_vae import AudioAutoencoder
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.weights.components import build_empty

CLASSES = {
    "video_dit": "WanModel",
    "video_dit_2": "WanModel",
    "audio_dit": "WanAudioModel",
    "dual_tower_bridge": "DualTowerConditionalBridge",
    "audio_vae": "DAC",
    "video_vae": "AutoencoderKLWan",
    "text_encoder": "UMT5EncoderModel",
}
MILLIONS = {
    "video_dit": 3.99,
    "video_dit_2": 3.99,
    "audio_dit": 2.25,
    "dual_tower_bridge": 1.37,
    "audio_vae": 1.23,
    "video_vae": 4.18,
    "text_encoder": 1.53,
}


@pytest.mark.parametrize("name", CLASSES)
def test_tiny_components_have_their_stated_size(name):
    component = build_empty(CLASSES[name], presets.tiny()[name])
    size = sum(parameter.numel() for parameter in component.parameters()) / 1e6
    assert size == pytest.approx(MILLIONS[name], abs=0.01)


def test_tiny_components_fit_each_other():
    model = DualTower(
        VideoTower(**presets.tiny_video_tower()),
        AudioTower(**presets.tiny_audio_tower()),
        CrossModalBridge(**presets.tiny_bridge()),
    )
    sound = AudioAutoencoder(**presets.tiny_audio_vae())
    codec = CodecGeometry(
        sample_rate=sound.sample_rate, hop_length=sound.hop_length, audio_channels=sound.latent_channels
    )
    assert codec.audio_latent_rate == presets.tiny_bridge()["audio_fps"]
    clip = ClipGeometry(height=32, width=48, num_frames=9, codec=codec)
    batch, (_, *video_grid) = 2, clip.video_latent_shape
    with torch.no_grad():
        velocities = model(
            torch.randn(batch, 36, *video_grid),
            torch.randn(batch, *clip.audio_latent_shape),
            torch.tensor([10.0, 990.0]),
            torch.tensor([990.0, 10.0]),
            torch.randn(batch, 16, presets.tiny_text_encoder()["d_model"]),
            frame_rate=clip.frame_rate,
        )
    assert velocities.video.shape == (batch, *clip.video_latent_shape)
    assert velocities.audio.shape == (batch, *clip.audio_latent_shape)


def test_presets_can_be_changed_without_changing_the_next():
    presets.mova_360p()["video_dit"]["num_layers"] = 1
    presets.tiny()["audio_dit"]["patch_size"].append(2)
    assert presets.mova_360p()["video_dit"]["num_layers"] == 40
    assert presets.mova_360p()["video_dit_2"]["num_layers"] == 40
    assert presets.tiny()["audio_dit"]["patch_size"] == [1]
