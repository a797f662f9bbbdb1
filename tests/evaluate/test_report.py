"""The folder of a report: what it keeps, and with what it goes on."""

import json

import pytest

from mova.errors import ConfigError
from mova.evaluate.report import open_report
from mova.evaluate.toyworld import Scored, report_on
from mova.media.read import read_clip
from mova.toyworld import render, sample_scene
from mova.toyworld.score import Known, score_clip

RUN = {"model": "some", "weights_sha256": "ab", "seed": 3, "num_clips": 2, "command": "mova evaluate toyworld"}


@pytest.fixture(scope="module")
def scored():
    made = []
    for seed, kind in ((0, "ball"), (1, "face")):
        rendered = render(sample_scene(seed, kind=kind), size=64, num_frames=9)
        score = score_clip(rendered.scene, rendered.clip)
        made.append((rendered, Scored(score, score)))
    return made


def keep(folder, scored):
    with open_report(folder, RUN) as report:
        for index, (rendered, made) in enumerate(scored):
            report.add(index, rendered, rendered.clip, made)


def test_clips_and_measures_are_kept_and_known_again(tmp_path, scored):
    keep(tmp_path, scored)
    assert sorted(path.name for path in (tmp_path / "clips").glob("*.mp4")) == ["0000_ball.mp4", "0001_face.mp4"]
    clip = read_clip(tmp_path / "clips" / "0000_ball.mp4")
    assert clip.frames.shape == (9, 64, 64, 3)
    with open_report(tmp_path, RUN) as report:
        assert report.known(2) == {index: made for index, (_, made) in enumerate(scored)}
        assert set(report.known(1)) == {0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda clips: (clips / "0001_face.mp4").unlink(),
        lambda clips: (clips / "0001_face.json").unlink(),
        lambda clips: (clips / "0001_face.json").write_text("{"),
        lambda clips: (clips / "0001_face.json").write_text('{"score": {"kind": "face"}, "ceiling": null}'),
        lambda clips: (clips / "0001_face.json").write_text('{"score": 3, "ceiling": null}'),
        lambda clips: (clips / "9_x_y.json").write_text("[]"),
    ],
)
def test_a_clip_that_is_not_complete_is_made_again(tmp_path, scored, damage):
    keep(tmp_path, scored)
    damage(tmp_path / "clips")
    with open_report(tmp_path, RUN) as report:
        assert 0 in report.known(2)
        assert set(report.known(2)) <= {0, 1}


def test_a_report_says_what_was_measured_and_how(tmp_path, scored):
    with open_report(tmp_path, RUN) as report:
        report.finish(report_on([made.score for _, made in scored]))
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["run"] == RUN
    assert document["num_clips"] == 2
    text = (tmp_path / "report.md").read_text()
    assert "- weights sha256: `ab`" in text
    assert "visible events with a sound" in text


def test_another_run_is_refused_and_says_what_differs(tmp_path, scored):
    keep(tmp_path, scored)
    with (
        pytest.raises(ConfigError, match="of which weights_sha256 was 'ab', got 'cd'; nearest is another folder"),
        open_report(tmp_path, RUN | {"weights_sha256": "cd"}),
    ):
        pass
    with open_report(tmp_path, RUN | {"num_clips": 9, "command": "other"}) as report:
        assert set(report.known(9)) == {0, 1}


def test_a_folder_that_is_in_use_is_refused(tmp_path):
    with (
        open_report(tmp_path, RUN),
        pytest.raises(ConfigError, match="one process at a time"),
        open_report(tmp_path, RUN),
    ):
        pass


def test_measures_from_before_there_were_some_are_known(tmp_path, scored):
    keep(tmp_path, scored)
    stored = (tmp_path / "clips" / "0000_ball.json").read_text()
    assert "held_psnr" not in stored, "as before there was such a measure"
    assert "frame_given" not in stored
    with open_report(tmp_path, RUN) as report:
        assert report.known(1) == {0: scored[0][1]}


def test_measures_of_clips_without_a_first_frame_are_known_again(tmp_path):
    rendered = render(sample_scene(0, kind="ball"), size=64, num_frames=9)
    score = score_clip(rendered.scene, rendered.clip, known=Known({8: rendered.clip.frames[8]}))
    keep(tmp_path, [(rendered, Scored(score, None))])
    with open_report(tmp_path, RUN) as report:
        assert report.known(1) == {0: Scored(score, None)}
