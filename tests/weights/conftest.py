"""A small audio tower, in memory and stored."""

import pytest
import torch

from mova.models.tower import AudioTower
from mova.weights.components import write_component

AUDIO = {
    "dim": 24,
    "in_dim": 8,
    "out_dim": 8,
    "ffn_dim": 48,
    "text_dim": 32,
    "freq_dim": 32,
    "num_heads": 1,
    "num_layers": 2,
}


@pytest.fixture
def tower():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AudioTower(**AUDIO).eval()


@pytest.fixture
def stored(tower, tmp_path):
    write_component(tower, tmp_path / "audio_dit")
    return tmp_path / "audio_dit"
