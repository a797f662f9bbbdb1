"""What is learned from: toy scenes and clips in files."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mova.data.config import DataConfig, MediaDataConfig, ToyDataConfig

ADAPTER: TypeAdapter = TypeAdapter(DataConfig)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kinds": ("ball", "dog")}, "kinds must be of ball, .*; got dog"),
        ({"kinds": ()}, "at least 1 item"),
        ({"notes": {"red": "blue"}}, r"with them kinds must be \[ball\], got"),
        ({"kinds": ("ball",), "notes": {"red": "mauve"}}, "notes must pair red, .*; got mauve"),
        ({"skins": ("dark", "green")}, "skins must be of light, medium, dark; got green"),
    ],
)
def test_toy_scenes_that_do_not_exist_are_explained(values, text):
    with pytest.raises(ValidationError, match=text):
        ToyDataConfig(num_clips=3, **values)


@pytest.mark.parametrize(
    ("size", "text"),
    [("640", "WIDTHxHEIGHT"), ("640x360", "nearest are 352 and 368"), ("-16x16", "WIDTHxHEIGHT")],
)
def test_buckets_are_sizes_that_the_networks_can_take(tmp_path, size, text):
    with pytest.raises(ValidationError, match=text):
        MediaDataConfig(source="metadata", path=tmp_path, sizes=(size,))


def test_the_source_decides_which_keys_there_are(tmp_path):
    assert isinstance(ADAPTER.validate_python({"source": "toy", "num_clips": 3}), ToyDataConfig)
    assert isinstance(ADAPTER.validate_python({"num_clips": 3}), ToyDataConfig)
    media = ADAPTER.validate_python({"source": "shards", "path": tmp_path})
    assert isinstance(media, MediaDataConfig)
    assert media.num_frames == 193
