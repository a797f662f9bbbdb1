"""Where media of a request come from."""

import io

import pytest

from mova.serve.faults import FieldError
from mova.serve.intake.bodies import Upload
from mova.serve.intake.sources import DataUrl, Link, OfClip, source_of


def test_a_file_a_data_url_an_address_and_a_part_of_a_clip_are_sources():
    file = Upload(io.BytesIO(b"x"), 1)
    assert source_of("image", file, usual_part="video") is file
    assert source_of("image", "data:x", usual_part="video") == DataUrl("data:x")
    assert source_of("image", {"image_url": "data:x"}, usual_part="video") == DataUrl("data:x")
    assert source_of("image", "https://example.org/a", usual_part="video") == Link("https://example.org/a")
    assert source_of("image", {"video_id": "v"}, usual_part="last_frame") == OfClip("v", "last_frame")


@pytest.mark.parametrize("value", [3, "a.png", {"video_id": 3}, {"video_id": "v", "part": "middle"}, {"file_id": "f"}])
def test_nothing_else_is(value):
    with pytest.raises(FieldError) as refused:
        source_of("image", value, usual_part="video")
    assert refused.value.param == "image"
