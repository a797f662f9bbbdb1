"""Shares of conditions in a recipe."""

import pytest

from mova.errors import ConfigError


def test_without_the_section_nothing_is_asked_for(make_config, tmp_path):
    conditions = make_config("tiny_joint", tmp_path).conditions
    assert conditions.frames() == {}
    assert conditions.video_held == conditions.audio_held == conditions.audio_only == 0


def test_tasks_come_with_their_shares(make_config, tmp_path):
    changes = ("image_dropout=0.5", "conditions.keyframes=0.2", "conditions.last_frame=0.3")
    config = make_config("tiny_joint", tmp_path, *changes)
    assert config.conditions.frames() == {"last_frame": 0.3, "keyframes": 0.2}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            ("image_dropout=0.5", "conditions.prefix=0.4", "conditions.keyframes=0.3"),
            r"image_dropout, conditions.keyframes, conditions.prefix must add up to at most 1, got 1.2; "
            r"nearest is image_dropout 0.3",
        ),
        (
            ("conditions.audio_held=0.7", "conditions.video_held=0.4"),
            r"conditions.video_held, conditions.audio_held must add up to at most 1, got 1.1; "
            r"nearest is conditions.audio_held 0.6",
        ),
        (("conditions.keyframes=1.5",), r"conditions.keyframes.*less than or equal to 1"),
        (("conditions.keyframe=0.5",), r"keyframe.*did you mean keyframes"),
    ],
)
def test_shares_over_one_are_refused_with_the_nearest(make_config, tmp_path, changes, text):
    with pytest.raises(ConfigError, match=text):
        make_config("tiny_joint", tmp_path, *changes)


def test_a_distillation_refuses_them(make_config, tmp_path):
    with pytest.raises(ConfigError, match="conditions must be left out"):
        make_config("tiny_distill", tmp_path, "conditions.prefix=0.1")
