"""Where towers and bridge begin."""

import pytest
import torch

from mova.errors import CheckpointError, ConfigError
from mova.names import COMPONENTS
from mova.train.build.components import build_components
from mova.train.config.joint import StartConfig
from mova.weights.components import load_component
from mova.weights.locate import find_model

NEW = StartConfig(**dict.fromkeys(COMPONENTS, "new"))


def test_new_components_follow_from_the_global_seed_and_begin_in_silence(tmp_path):
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(build_components(NEW, COMPONENTS, tmp_path))
    for name in COMPONENTS:
        one, other = (components[name].state_dict() for components in made)
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not made[0]["video_dit"].head.head.weight.any()
    assert not made[0]["audio_dit"].head.head.bias.any()
    assert all(component.training for component in made[0].values())


@pytest.mark.parametrize("source", ["mova-tiny", "component"])
def test_components_come_from_a_model_or_a_directory_in_float32(tmp_path, source):
    folder = find_model("mova-tiny") / "audio_dit"
    start = StartConfig(audio_dit=str(folder) if source == "component" else source)
    tower = build_components(start, ("audio_dit",), tmp_path)["audio_dit"]
    stored = load_component(folder, dtype=torch.float32).state_dict()
    assert all(
        value.dtype == torch.float32 and torch.equal(value, stored[key]) for key, value in tower.state_dict().items()
    )


def test_sizes_of_new_components_can_be_changed(tmp_path):
    start = StartConfig(dual_tower_bridge="new", changes={"dual_tower_bridge": {"apply_cross_rope": False}})
    assert (
        build_components(start, ("dual_tower_bridge",), tmp_path)["dual_tower_bridge"].config.apply_cross_rope is False
    )


@pytest.mark.parametrize(
    ("start", "error", "text"),
    [
        (StartConfig(), CheckpointError, "start.audio_dit is model, but .*audio_dit is missing"),
        (StartConfig(audio_dit="absent"), CheckpointError, "must be a shipped name"),
        (
            StartConfig(audio_dit="mova-tiny", changes={"audio_dit": {"num_layers": 2}}),
            ConfigError,
            "can change only new components, got audio_dit: mova-tiny",
        ),
        (StartConfig(audio_dit="new", changes={"audio_dit": {"layers": 2}}), ConfigError, "got layers"),
    ],
)
def test_wrong_starts_are_explained(tmp_path, start, error, text):
    with pytest.raises(error, match=text):
        build_components(start, ("audio_dit",), tmp_path)
