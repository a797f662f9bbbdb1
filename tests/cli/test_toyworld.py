"""`mova toyworld` from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from mova.cli.app import main
from mova.media.probe import probe
from mova.toyworld import first_frame, render, sample_scene


def test_render_writes_clips_with_their_truth(tmp_path, capsys):
    out = tmp_path / "clips"
    options = ["--count", "2", "--seed", "5", "--size", "64", "--frames", "25", "--kind", "ball", "--out", str(out)]
    assert main(["toyworld", "render", *options]) == 0
    paths = capsys.readouterr().out.split()
    assert paths == [str(out / "ball_00000005.mp4"), str(out / "ball_00000006.mp4")]
    for path in paths:
        truth = json.loads((out / path).with_suffix(".json").read_text())
        assert truth["num_frames"] == 25
        assert (truth["height"], truth["width"]) == (64, 64)
        assert all({"time_s", "kind"} <= set(event) for event in truth["events"])
        assert probe(path).video is not None
        assert probe(path).audio is not None


@pytest.mark.parametrize("kind", ["keys", "face", "duet", "balls", "board"])
def test_every_kind_can_be_asked_for(tmp_path, capsys, kind):
    picture = tmp_path / "first.png"
    assert main(["toyworld", "prompt", "--seed", "3", "--kind", kind, "--image", str(picture)]) == 0
    assert capsys.readouterr().out.strip() == render(sample_scene(3, kind=kind), num_frames=1).caption


def test_prompt_gives_the_first_frame_and_the_caption_of_the_same_scene(tmp_path, capsys):
    picture = tmp_path / "new" / "first.png"
    assert main(["toyworld", "prompt", "--seed", "2000000007", "--image", str(picture)]) == 0
    rendered = render(sample_scene(2_000_000_007), num_frames=49)
    assert capsys.readouterr().out.strip() == rendered.caption
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), first_frame(rendered.clip))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["render", "--count", "0", "--seed", "1", "--out", "OUT"], "count must be 1 or more, got 0; nearest is 1"),
        (["render", "--count", "1", "--seed", "-1", "--out", "OUT"], "seed must be 0 or more, got -1; nearest is 0"),
        (["render", "--count", "1", "--seed", "1", "--out", "OUT", "--kind", "cat"], "must be one of ball, mallet"),
        (["render", "--count", "1", "--seed", "1", "--out", "OUT", "--size", "4"], "16"),
        (["prompt", "--seed", "1", "--image", "OUT/first.xyz"], "image must be an image file that can be written"),
    ],
)
def test_wrong_input_is_exit_code_2(tmp_path, capsys, arguments, text):
    assert main(["toyworld", *[part.replace("OUT", str(tmp_path / "out")) for part in arguments]]) == 2
    assert text in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_exit_code_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "clips")
    assert main(["toyworld", "render", "--count", "1", "--seed", "1", "--out", out]) == 2
    assert "error: " in capsys.readouterr().err
