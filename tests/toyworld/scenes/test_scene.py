import json

import pytest

from mova.errors import ConfigError
from mova.toyworld import ALL_KINDS, Scene, sample_scene


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_scene_becomes_json_and_back(kind):
    for seed in range(20):
        scene = sample_scene(seed, kind=kind)
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_unknown_kind_is_named():
    with pytest.raises(ConfigError, match="one of ball, balls, duet, face, keys, mallet, got 'piano'"):
        Scene.from_dict({"kind": "piano"})


def test_missing_field_is_named():
    values = sample_scene(0, kind="ball").to_dict()
    del values["drop"]
    with pytest.raises(ConfigError, match=r"not the fields of a ball scene.*drop"):
        Scene.from_dict(values)
