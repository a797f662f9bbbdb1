"""Clips made while training."""

import dataclasses
import json

import pytest

from mova.errors import ConfigError
from mova.media.probe import probe
from mova.toyworld import first_frame, render, sample_scene, score_clip
from mova.train.config import load_recipe
from mova.train.ladder import run_recipe
from mova.train.validation import together


@pytest.fixture
def changes(tmp_path, minimal, recipes):
    from mova.train.config import accepts

    known = load_recipe(recipes / "tiny_joint.yaml")
    starts = [f"start.{name}=mova-tiny" for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")]
    sizes = [text for text in minimal if accepts(known, text)]
    return [
        *sizes,
        *starts,
        "encoders=mova-tiny",
        "validation.clips=2",
        "validation.num_inference_steps=2",
        f"model={tmp_path}/run/model",
        "run.validate_every=1",
    ]


def test_each_validation_leaves_clips_with_sound_and_their_scores(recipes, changes, tmp_path):
    run_recipe(recipes / "tiny_joint.yaml", overrides=changes)
    home = tmp_path / "run" / "tiny_joint"
    assert sorted(path.name for path in (home / "validation").iterdir()) == ["step_00000001", "step_00000002"]
    for folder in (home / "validation").iterdir():
        assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "01.mp4", "scores.json"]
        info = probe(folder / "00.mp4")
        assert info.video.display_size == (32, 32)
        assert info.audio is not None
        assert info.duration_s == pytest.approx(17 / 24, abs=0.05)
        record = json.loads((folder / "scores.json").read_text())
        assert record["problem"] == ""
        assert len(record["clips"]) == 2
    logged = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    figures = [event for event in logged if event["event"] == "validate"]
    assert all({"clips_recall", "clips_precision", "clips_offset_ms", "video_error_0.6"} <= set(one) for one in figures)


def test_clips_need_one_process(recipes, changes):
    with pytest.raises(ConfigError, match=r"validation\.clips needs one process"):
        load_recipe(recipes / "tiny_joint.yaml", [*changes, "parallel.shard=2"])


def test_shares_count_what_is_seen_and_heard_together():
    clip = render(sample_scene(3)).clip
    right = score_clip(sample_scene(3), clip, first_frame=first_frame(clip))
    found = together([right])
    assert (found["clips_recall"], found["clips_precision"]) == (1.0, 1.0)
    assert found["clips_offset_ms"] < 10
    empty = dataclasses.replace(right, seen_s=(), heard_s=(), offsets_ms=())
    count = len(right.offsets_ms)
    assert together([right, empty])["clips_recall"] == pytest.approx(count / (count + 1))
    assert together([]) == {}
