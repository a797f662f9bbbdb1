import json

import pytest

from mova.errors import ConfigError, MediaError
from mova.media.read import read_clip
from mova.toyworld import sample_scene, score_clip
from mova.toyworld.export import render_clips, truth


def test_written_clips_pass_every_measure_when_read_back(tmp_path):
    finished = []
    paths = render_clips(2, 40, tmp_path / "clips", size=64, kind="mallet", on_clip=finished.append)
    assert finished == paths
    for path in paths:
        known = json.loads(path.with_suffix(".json").read_text())
        scene = sample_scene(known["scene"]["seed"], kind=known["scene"]["kind"])
        assert json.loads(json.dumps(scene.to_dict())) == known["scene"]
        score = score_clip(scene, read_clip(path, sample_rate=16_000))
        assert (score.order_right, score.pitch_right, score.faithful) == (True, True, True)
        assert len(score.offsets_ms) == len(known["events"])
        assert max(map(abs, score.offsets_ms)) < 10


def test_truth_tells_sizes_rates_and_events(rendered):
    clip = rendered(0)
    known = json.loads(json.dumps(truth(clip)))
    assert (known["height"], known["num_frames"], known["num_samples"]) == (64, 49, 32_666)
    assert known["caption"] == clip.caption
    assert [event["time_s"] for event in known["events"]] == [event.time_s for event in clip.events]


def test_count_below_one_writes_nothing(tmp_path):
    with pytest.raises(ConfigError, match="count must be 1 or more, got 0"):
        render_clips(0, 0, tmp_path / "clips")
    assert not (tmp_path / "clips").exists()


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path):
    (tmp_path / "clips").write_text("")
    with pytest.raises(MediaError, match="output must be a directory"):
        render_clips(1, 0, tmp_path / "clips")
