"""The stage that fills a cache."""

import pytest
import torch

from mova.data.latents import CachedLatents, open_splits
from mova.train.config import LatentsConfig
from mova.train.stages.latents import LatentsStage


def test_both_splits_are_encoded_and_nothing_twice(make_config, ladder_run, tmp_path):
    folder, _ = ladder_run
    changes = ("data.num_clips=9", "data.validation_clips=2", "known=[last_frame]")
    config = make_config("tiny_latents", folder / "model", *changes)
    assert isinstance(config, LatentsConfig)
    shown = []
    LatentsStage(config, tmp_path / "cache").run(shown.append)
    assert [(one.stage, one.step, one.total) for one in shown] == [
        ("latents of train", 0, 9),
        ("latents of train", 4, 9),
        ("latents of train", 8, 9),
        ("latents of train", 9, 9),
        ("latents of validation", 0, 2),
        ("latents of validation", 2, 2),
    ]
    LatentsStage(config, tmp_path / "cache").run(shown.append)
    assert len(shown) == 6
    device = torch.device("cpu")
    opened = open_splits(
        config.data, model=config.model, cache=tmp_path / "cache", device=device, known=("last_frame",)
    )
    assert isinstance(opened["validation"], CachedLatents)
    assert len(opened["validation"].facts) == 2
    (mask,) = opened["train"].batch([3], 0, ["last_frame"]).mask
    assert mask.sum() == mask[-1, -1] == 1


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_ladders_cache_holds_its_clips(ladder_run, make_config, split):
    folder, _ = ladder_run
    data = make_config("tiny_joint", folder / "model").data
    model, cache = folder / "model", folder / "latents"
    assert len(open_splits(data, model=model, cache=cache, device=torch.device("cpu"))[split].facts) in (8, 10)
