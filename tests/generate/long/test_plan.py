"""Long clips that cannot be, refused before weights are loaded."""

import pytest

from long_kit import asked, clip_of
from mova.errors import ConfigError, GeometryError, MovaError, ReadError
from mova.generate.long.choice import LongChoice
from mova.generate.request import MediaFiles
from mova.generate.run import generate_file
from mova.media.write import write_clip


@pytest.mark.parametrize(
    ("source", "changes", "text"),
    [
        (
            {"height": 64},
            {},
            r"clip of the size that is made, 48x32, got own.mp4 of 48x64; nearest is --size 48x64",
        ),
        (
            {"frame_rate": 30.0},
            {},
            "frame rate that is made, 24, got own.mp4 with 30 frames .* nearest is --fps 30",
        ),
        ({}, {"length_s": 0.4}, r"length must be more than that of the clip that is extended \(0.458 s\), got 0.4"),
        ({}, {"overlap_s": 9.0}, "overlap must be above 0 and less than a window"),
        ({}, {"prompts_at": ((9.0, "b"),)}, "prompt-at must lie in what is made"),
        ({}, {"prompts_at": ((0.1, "b"),)}, "prompt-at must lie in what is made"),
    ],
)
def test_a_clip_that_cannot_be_extended_is_refused_before_weights_are_loaded(
    checkpoint, tmp_path, monkeypatch, source, changes, text
):
    monkeypatch.setattr("mova.pipeline.load.load_pipeline", lambda *_, **__: pytest.fail("weights were loaded"))
    write_clip(tmp_path / "own.mp4", clip_of(11, **source))
    folder, request = asked(checkpoint, LongChoice(**{"extend": tmp_path / "own.mp4", "length_s": 2.0} | changes))
    with pytest.raises(MovaError, match=text):
        generate_file(request, folder, tmp_path / "b.mp4")


def test_a_clip_of_another_model_is_refused(checkpoint, tmp_path):
    write_clip(tmp_path / "own.mp4", clip_of(11), metadata={"model": "mova-other", "weights_sha256": "0" * 64})
    folder, request = asked(checkpoint, LongChoice(extend=tmp_path / "own.mp4"))
    with pytest.raises(ConfigError, match=r"a clip of the same model, got own.mp4, which mova-other made"):
        generate_file(request, folder, tmp_path / "b.mp4")


def test_what_is_no_video_is_refused(checkpoint, tmp_path):
    (tmp_path / "own.mp4").write_bytes(b"no video")
    folder, request = asked(checkpoint, LongChoice(extend=tmp_path / "own.mp4"))
    with pytest.raises(ReadError):
        generate_file(request, folder, tmp_path / "b.mp4")


def test_other_media_do_not_go_with_a_long_clip(checkpoint, tmp_path):
    write_clip(tmp_path / "own.mp4", clip_of(40))
    folder, request = asked(checkpoint, LongChoice(length_s=1.0), MediaFiles(video=tmp_path / "own.mp4"))
    with pytest.raises(ConfigError, match=r"a long clip is made from a prompt, .* or a clip to extend, got video"):
        generate_file(request, folder, tmp_path / "b.mp4")


def test_a_length_that_no_file_can_have_is_refused(checkpoint, tmp_path):
    folder, request = asked(checkpoint, LongChoice(length_s=1e6))
    with pytest.raises(GeometryError, match="frames must be at most"):
        generate_file(request, folder, tmp_path / "b.mp4")
