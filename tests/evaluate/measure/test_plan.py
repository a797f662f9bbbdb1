"""By what findings are known again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evaluated_clips import plan_of
from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan, file_digest
from mova.scorers.by_file.files import NSFW
from mova.scorers.published.audio_classes import CNN14
from mova.scorers.published.dover import DOVER
from mova.scorers.registry import ScorerSettings
from mova.scorers.words.choice import TranscriberChoice


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


def test_a_transcriber_and_a_transcript_change_the_keys_of_those_who_read_them_alone():
    names = ("levels", "said", "cpcer")
    chosen = TranscriberChoice("http://127.0.0.1:1/v1", speakers=True)
    item = ClipItem("a", Path("a.mp4"), "[S01] Hi", columns={"transcript": "[S01] Hi"})
    plans = [MeasurePlan(names, ScorerSettings(transcriber=one)) for one in (None, chosen, replace(chosen, model="b"))]
    none, first, other = (plan.keys(item, "content") for plan in plans)
    assert none["levels"] == first["levels"] == other["levels"]
    assert len({keys["said"] for keys in (none, first, other)}) == 3
    patient = MeasurePlan(names, ScorerSettings(transcriber=replace(chosen, timeout_s=9.0)))
    assert patient.keys(item, "content") == first
    changed = plans[1].keys(replace(item, columns={"transcript": "[S01] Ho"}), "content")
    assert {name for name in names if changed[name] != first[name]} == {"cpcer"}


def test_a_file_of_another_model_leaves_its_scorer_out_or_is_an_error_where_it_was_named(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / CNN14.name)
    (tmp_path / DOVER.name).write_bytes(b"no weights")
    names, settings = ("levels", "cnn14", "dover"), ScorerSettings(tmp_path)
    plan = MeasurePlan(names, settings)
    assert list(plan.keys(ClipItem("a", Path("a.mp4")), "content")) == ["levels"]
    assert "got that of another model, 1 tensors" in plan.refused["cnn14"]
    assert "must be a whole file of torch.save" in plan.refused["dover"]
    assert plan.weights_sha256 == {}
    with pytest.raises(ConfigError, match="got that of another model"):
        MeasurePlan(names, settings, needed=names)


def test_a_file_with_a_known_digest_is_compared_with_it(tmp_path):
    (tmp_path / "nsfw").mkdir()
    (tmp_path / NSFW.name).write_bytes(b"another")
    assert "with SHA-256" in MeasurePlan(("nsfw",), ScorerSettings(tmp_path)).refused["nsfw"]


def test_an_unknown_scorer_is_refused():
    with pytest.raises(ConfigError, match="did you mean levels"):
        plan_of("level")


def test_a_file_is_known_by_its_contents(tmp_path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (file_digest(tmp_path / name) for name in "abc")
    assert a == b != c
