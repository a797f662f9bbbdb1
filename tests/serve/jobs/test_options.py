"""Orders in the words of the command."""

import pytest

from mova.errors import ConfigError
from mova.generate.given import KeyframeFile, Retake
from mova.serve.jobs.options import options_of
from serve_kit import order


def test_what_an_order_asks_for_is_what_the_command_would_be_told(tmp_path):
    files = {name: tmp_path / name for name in ("video", "keyframe_0", "keyframe_1")}
    asked = order(
        inputs=dict.fromkeys(files, "uploads/a"),
        keyframes=(0.5, 1.0),
        retakes=("0.25-1:video",),
        only="video",
        fit="pad",
        retries=7,
        settings={"height": 64},
        start_s=0.5,
    )
    found = options_of(asked, files)
    assert found.keyframes == (KeyframeFile(0.5, files["keyframe_0"]), KeyframeFile(1.0, files["keyframe_1"]))
    assert found.retakes == (Retake((0.25, 1.0), "video"),)
    assert (found.only, found.fit, found.start_s, found.settings.height) == ("video", "pad", 0.5, 64)
    assert found.retries == 7
    assert (found.files.video, found.files.image, found.long) == (files["video"], None, None)


def test_a_long_clip_goes_on_from_its_input(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    long = {"length_s": 4.0, "overlap_s": 0.5, "prompts_at": [[2.0, "b"]]}
    found = options_of(order(inputs={"extend": "a"}, long=long), {"extend": tmp_path / "a.mp4"}).long
    assert (found.length_s, found.overlap_s, found.method, found.prompts_at) == (4.0, 0.5, "continue", ((2.0, "b"),))
    assert found.extend == tmp_path / "a.mp4"
    with pytest.raises(ConfigError, match="windows must be one of"):
        options_of(order(long={"length_s": 4.0, "method": "jump"}), {})


def test_an_enhancement_that_is_none_is_left_out():
    assert options_of(order(enhancement={"original": "ball", "provider": "offline"}), {}).enhancement.original == "ball"
    assert options_of(order(enhancement={"original": 3}), {}).enhancement is None
