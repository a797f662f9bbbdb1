"""What tests of encoded clips share."""

from pathlib import Path

import torch

from mova.data.latents import open_splits
from mova.train.config import ToyDataConfig
from mova.weights.locate import find_model

CPU = torch.device("cpu")
MODEL = find_model("mova-tiny")
DATA = ToyDataConfig(num_clips=10, validation_clips=2, size=32, num_frames=9, workers=1)


def opened(cache, data=DATA, split="train", **settings):
    """Return one split of some clips, encoded."""
    return open_splits(data, (split,), model=MODEL, cache=cache, device=CPU, **settings)[split]


def files_of(cache):
    """Return the encoded files below a folder."""
    return sorted(path for path in Path(cache).rglob("*.safetensors"))
