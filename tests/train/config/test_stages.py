"""Recipes of the encoders and of publishing."""

import pytest

from mova.errors import ConfigError
from mova.train.config import load_recipe


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data.size=100", "data.size: must be a multiple of 16; nearest are 96 and 112, got 100"),
        ("data.num_frames=20", "data.num_frames: must be 1 plus a multiple of 4; nearest are 17 and 21, got 20"),
        ("crop=256", "crop must be at most 128 as in data, got 256"),
        ("crop_frames=53", "crop_frames must be at most 49 as in data, got 53"),
        ("train_encoder=false", "train_encoder must be true with start: new"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_explained(recipes, override, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(recipes("tiny_video_autoencoder"), [override])


def test_what_a_model_recommends_is_checked_before_anything_is_trained(recipes):
    with pytest.raises(ConfigError, match="defaults: unknown key heigth; did you mean height"):
        load_recipe(recipes("tiny_publish"), ["defaults.heigth=64"])
    with pytest.raises(ConfigError, match=r"defaults.height: .* valid integer"):
        load_recipe(recipes("tiny_publish"), ["defaults.height=high"])
