"""Section `cut`: the paper's clip by default, and what it refuses."""

import pytest
from pydantic import ValidationError

from mova.curate.config.cut import CutSection


def test_the_default_is_the_clip_of_the_paper():
    cut = CutSection()
    assert (cut.num_frames, cut.frame_rate, cut.width, cut.height) == (193, 24.0, 1280, 720)
    assert cut.num_frames * cut.sample_rate / cut.frame_rate == 386_000


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"num_frames": 190}, "nearest"),
        ({"width": 720, "height": 1280}, "nearest is 1280x720"),
        ({"frame_rate": 23.976}, "whole number of samples"),
        ({"kinds": ["single_speech", "single_speech"]}, "twice"),
        ({"kinds": []}, "kinds"),
        ({"shots": "transnetv2"}, "shots"),
        ({"crf": float("nan")}, "crf"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, text):
    with pytest.raises(ValidationError, match=text):
        CutSection(**given)
