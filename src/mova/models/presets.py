"""Sizes of the components, as keyword arguments: numbers only.

Keys are those of the published config.json files; the dictionaries of whole models are keyed by the published folder
names (`video_dit` is the high-noise expert, `video_dit_2` the low-noise one).
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def tiny_video_tower() -> Config:
    """Return a video tower of 4.0 M parameters: 4 heads of 48, 6 layers."""
    return {
        "dim": 192,
        "in_dim": 36,
        "ffn_dim": 768,
        "out_dim": 16,
        "text_dim": 192,
        "freq_dim": 256,
        "eps": 1e-6,
        "patch_size": [1, 2, 2],
        "num_heads": 4,
        "num_layers": 6,
    }


def tiny_audio_tower() -> Config:
    """Return an audio tower of 2.3 M parameters: 3 heads of 48, 6 layers."""
    return {
        "dim": 144,
        "in_dim": 32,
        "ffn_dim": 576,
        "out_dim": 32,
        "text_dim": 192,
        "freq_dim": 256,
        "eps": 1e-6,
        "patch_size": [1],
        "num_heads": 3,
        "num_layers": 6,
    }


def tiny_bridge() -> Config:
    """Return a bridge of 1.4 M parameters between the tiny towers, at all 6 layers, for 50 audio latents per second."""
    return {
        "visual_layers": 6,
        "audio_layers": 6,
        "visual_hidden_dim": 192,
        "audio_hidden_dim": 144,
        "audio_fps": 50.0,
        "head_dim": 48,
        "interaction_strategy": "full",
        "apply_cross_rope": True,
        "apply_first_frame_bias_in_rope": False,
        "trainable_condition_scale": False,
        "pooled_adaln": False,
    }


def tiny_audio_vae() -> Config:
    """Return an audio autoencoder of 1.2 M parameters: 16 kHz, hop 320, 32 channels."""
    return {
        "encoder_dim": 16,
        "encoder_rates": [4, 4, 4, 5],
        "latent_dim": 32,
        "decoder_dim": 128,
        "decoder_rates": [5, 4, 4, 4],
        "sample_rate": 16_000,
        "continuous": True,
        "use_weight_norm": False,
    }


def tiny_video_vae() -> Config:
    """Return arguments of diffusers' `AutoencoderKLWan` for 4.2 M parameters: strides 8 and 4, 16 channels."""
    return {
        "base_dim": 24,
        "z_dim": 16,
        "dim_mult": [1, 2, 4],
        "num_res_blocks": 1,
        "temperal_downsample": [True, True],
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": 8,
    }


def tiny_text_encoder() -> Config:
    """Return arguments of transformers' `UMT5Config` for 1.5 M parameters: 192 wide, 3 layers, 1024 tokens."""
    return {
        "vocab_size": 1024,
        "d_model": 192,
        "d_ff": 512,
        "d_kv": 48,
        "num_heads": 4,
        "num_layers": 3,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "tie_word_embeddings": False,
    }


def tiny() -> dict[str, Config]:
    """Return all components of the tiny model."""
    return {
        "video_dit": tiny_video_tower(),
        "video_dit_2": tiny_video_tower(),
        "audio_dit": tiny_audio_tower(),
        "dual_tower_bridge": tiny_bridge(),
        "audio_vae": tiny_audio_vae(),
        "video_vae": tiny_video_vae(),
        "text_encoder": tiny_text_encoder(),
    }


def mova_360p() -> dict[str, Config]:
    """Return all components of MOVA-360p (fact sheet section 8): 352x640, 193 frames."""
    return _published()


def mova_720p() -> dict[str, Config]:
    """Return all components of MOVA-720p: 720x1280, 193 frames; the same sizes as MOVA-360p."""
    return _published()


def _published() -> dict[str, Config]:
    video_tower = {
        "dim": 5120,
        "in_dim": 36,
        "ffn_dim": 13824,
        "out_dim": 16,
        "text_dim": 4096,
        "freq_dim": 256,
        "eps": 1e-6,
        "patch_size": [1, 2, 2],
        "num_heads": 40,
        "num_layers": 40,
    }
    return {
        "video_dit": dict(video_tower),
        "video_dit_2": dict(video_tower),
        "audio_dit": {
            "dim": 1536,
            "in_dim": 128,
            "ffn_dim": 8960,
            "out_dim": 128,
            "text_dim": 4096,
            "freq_dim": 256,
            "eps": 1e-6,
            "patch_size": [1],
            "num_heads": 12,
            "num_layers": 30,
            "vae_type": "dac",
        },
        "dual_tower_bridge": {
            "visual_layers": 40,
            "audio_layers": 30,
            "visual_hidden_dim": 5120,
            "audio_hidden_dim": 1536,
            "audio_fps": 50.0,
            "head_dim": 128,
            "interaction_strategy": "full",
            "apply_cross_rope": True,
            "apply_first_frame_bias_in_rope": False,
            "trainable_condition_scale": False,
            "pooled_adaln": False,
        },
        "audio_vae": {
            "encoder_dim": 128,
            "encoder_rates": [2, 3, 4, 5, 8],
            "latent_dim": 128,
            "decoder_dim": 2048,
            "decoder_rates": [8, 5, 4, 3, 2],
            "sample_rate": 48_000,
            "continuous": True,
            "use_weight_norm": False,
        },
        "video_vae": {"base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2},
        "text_encoder": {
            "vocab_size": 256_384,
            "d_model": 4096,
            "d_ff": 10_240,
            "d_kv": 64,
            "num_heads": 64,
            "num_layers": 24,
            "feed_forward_proj": "gated-gelu",
            "dropout_rate": 0.1,
            "layer_norm_epsilon": 1e-6,
            "tie_word_embeddings": False,
        },
    }
