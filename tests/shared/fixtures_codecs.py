"""Small real codecs: the recorded checkpoint, and an autoencoder with a pixel patch like that of the shipped model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

RECORDS = Path(__file__).parents[1] / "numerics" / "records"


@pytest.fixture(scope="session")
def record():
    return load_file(RECORDS / "pipeline.safetensors")


@pytest.fixture(scope="session")
def recorded_call():
    return json.loads((RECORDS / "pipeline.json").read_text())["call"]


@pytest.fixture(scope="session")
def published_vae(checkpoint):
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan.from_pretrained(checkpoint / "video_vae").eval().requires_grad_(False)


@pytest.fixture
def patched_vae():
    """A fresh autoencoder with patch size 2: tests change its methods and settings."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    model = AutoencoderKLWan(
        base_dim=8,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        patch_size=2,
        in_channels=12,
        out_channels=12,
    )
    return model.eval().requires_grad_(False)
