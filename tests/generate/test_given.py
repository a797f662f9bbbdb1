"""Moments and spans as people write them."""

from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.generate.given import KeyframeFile, Retake, kept_spans, parse_keyframe, parse_only, parse_retake


def test_keyframes_and_retakes_are_read_as_they_are_written():
    assert parse_keyframe("1.5=a=b.png") == KeyframeFile(1.5, Path("a=b.png"))
    assert parse_keyframe("0=a.png", Path("list")) == KeyframeFile(0.0, Path("list/a.png"))
    assert parse_retake("0.5-1.2") == Retake((0.5, 1.2))
    assert parse_retake(" .5-2:audio") == Retake((0.5, 2.0), "audio")
    for text in ("0.5-1.2", "1-2:video"):
        assert str(parse_retake(text)) == text
    assert parse_only("audio") == {"audio"}
    assert parse_only(None) == {"video", "audio"}


@pytest.mark.parametrize("text", ["a.png", "1.5", "1.5=", "soon=a.png", "=a.png"])
def test_keyframes_of_another_form_are_refused(text):
    with pytest.raises(ConfigError, match=r"keyframe must be TIME=IMAGE, .* such as 1\.5=middle\.png"):
        parse_keyframe(text)


@pytest.mark.parametrize("text", ["1", "1-", "-1-2", "1:2", "1-2:", "1-2:smell", "a-b"])
def test_spans_of_another_form_are_refused(text):
    with pytest.raises(ConfigError, match="retake must"):
        parse_retake(text)


def test_what_is_made_anew_leaves_the_rest():
    assert kept_spans([Retake((1.0, 2.0))], 4.0) == {
        "video": ((0.0, 1.0), (2.0, 4.0)),
        "audio": ((0.0, 1.0), (2.0, 4.0)),
    }
    one = kept_spans([Retake((1.0, 2.0), "audio"), Retake((3.0, 4.0), "audio")], 4.0)
    assert one == {"video": None, "audio": ((0.0, 1.0), (2.0, 3.0))}
    assert kept_spans([Retake((0.0, 4.0), "audio")], 4.0) == {"video": None, "audio": ()}


@pytest.mark.parametrize(
    ("retakes", "text"),
    [
        ([Retake((2.0, 1.0))], "retake must end after it starts, got 2 to 1 s; nearest is 1 to 2 s"),
        ([Retake((1.0, 5.0))], "retake must lie inside the clip, 0 to 4 s, got 1 to 5 s; nearest is 1 to 4 s"),
        ([Retake((0.0, 2.0)), Retake((1.0, 3.0), "video")], "do not overlap"),
        ([Retake((0.0, 4.0))], "retake must leave a part of the clip as it is, got 0-4 of 4 s"),
    ],
)
def test_spans_that_cannot_be_made_anew_are_refused(retakes, text):
    with pytest.raises(ConfigError, match=text):
        kept_spans(retakes, 4.0)
