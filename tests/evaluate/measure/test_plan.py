"""By what findings are known again."""

from pathlib import Path

import pytest

from evaluated_clips import plan_of
from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan, file_digest
from mova.scorers.registry import ScorerSettings


def test_keys_differ_by_contents_scorer_and_settings_and_not_by_name_or_an_unread_prompt():
    plan, item = plan_of("levels", "motion"), ClipItem("a", Path("a.mp4"), "a dog")
    keys = plan.keys(item, "content")
    assert list(keys) == ["levels", "motion"]
    assert keys["levels"] != keys["motion"]
    assert plan.keys(ClipItem("b", Path("b.mp4"), "a cat"), "content") == keys
    assert plan.keys(item, "other content") != keys
    coarse = MeasurePlan(("levels", "motion"), ScorerSettings(text_rate=2.0))
    assert coarse.keys(item, "content")["levels"] != keys["levels"]


def test_weights_that_appear_change_the_key_of_their_scorer_alone(tmp_path):
    item = ClipItem("a", Path("a.mp4"))
    before = MeasurePlan(("levels", "video_dummy")[:1], ScorerSettings(tmp_path)).keys(item, "content")
    assert before == plan_of("levels").keys(item, "content")


def test_an_unknown_scorer_is_refused():
    with pytest.raises(ConfigError, match="did you mean levels"):
        plan_of("level")


def test_a_file_is_known_by_its_contents(tmp_path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (file_digest(tmp_path / name) for name in "abc")
    assert a == b != c
