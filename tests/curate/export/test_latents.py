"""Encoded clips on request: those that a training asks for."""

import numpy as np
import pytest
import torch

from mova.curate.config.export import LatentsSection
from mova.curate.export.kept import KeptClip
from mova.curate.export.latents import cache_latents
from mova.curate.export.shards import plan_shards, write_shards
from mova.data.config import MediaDataConfig
from mova.data.latents import open_splits
from mova.errors import CheckpointError, DataError
from mova.media.write import write_clip
from mova.types import Clip
from mova.weights.locate import find_model

SECTION = LatentsSection(model="mova-tiny", sizes=("64x32",), num_frames=5, validation_clips=2, device="cpu", workers=1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    clips = []
    for number in range(4):
        frames = np.full((25, 32, 64, 3), 50 * number, np.uint8)
        waveform = np.full((1, 50_000), 0.1 * (number + 1), np.float32)
        path = folder / f"{number}.mp4"
        write_clip(path, Clip(frames, waveform, 24.0, 48_000), preset="ultrafast")
        clips.append(KeptClip(f"clip{number}", path, path.stat().st_size, f"A box, {number}.", {}))
    write_shards(folder / "shards", clips, plan_shards(clips, 1e9))
    return folder / "shards"


def test_a_training_finds_every_clip_encoded(shards, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    told = []
    section = SECTION.model_copy(update={"compute": "bfloat16"})
    assert cache_latents(section, shards, cache, lambda done, of: told.append((done, of))) == 4
    assert told[-1] == (2, 2)

    def encoded_again(*_):
        raise AssertionError

    monkeypatch.setattr("mova.data.cache_plan.ClipEncoder", encoded_again)
    monkeypatch.setattr("mova.data.cache_plan.TextEncoder", encoded_again)
    data = MediaDataConfig(
        source="shards", path=shards, sizes=("64x32",), num_frames=5, min_frames=5, validation_clips=2, workers=1
    )
    encoding = {"model": find_model("mova-tiny"), "device": torch.device("cpu"), "compute": "bfloat16"}
    splits = open_splits(data, cache=cache, **encoding)
    assert sorted(len(split.facts) for split in splits.values()) == [2, 2]
    assert cache_latents(section, shards, cache) == 4


def test_what_cannot_be_encoded_is_told_of(shards, tmp_path):
    with pytest.raises(CheckpointError, match="no-such-model"):
        cache_latents(SECTION.model_copy(update={"model": "no-such-model"}), shards, tmp_path / "cache")
    with pytest.raises(DataError):
        cache_latents(SECTION.model_copy(update={"validation_clips": 5}), shards, tmp_path / "cache")
