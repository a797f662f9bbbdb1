"""Enhanced prompts of clips, with first frames beside them."""

import numpy as np
import pytest
from PIL import Image

from mova.errors import MuxError
from mova.generate.enhance.clips import Enhancer, lines_of, write_frame
from mova.generate.enhance.enhanced import Enhanced
from mova.generate.enhance.settings import OFFLINE
from mova.generate.request import ClipOptions, MediaFiles
from mova.settings.sampling import GivenSettings
from mova.weights.locate import find_model


def enhancer(notes):
    return Enhancer(OFFLINE, "mova-tiny", find_model("mova-tiny"), notes.append)


def test_options_get_the_caption_the_frame_and_the_record(tmp_path):
    notes = []
    asked = ClipOptions(prompt="黄球在铁板上", settings=GivenSettings(height=64, width=64))
    found = enhancer(notes).enhance(asked, tmp_path / "a.first.png")
    assert "yellow" in found.prompt
    assert found.enhancement.original == "黄球在铁板上"
    assert found.files.image == tmp_path / "a.first.png"
    with Image.open(found.files.image) as image:
        assert image.size == (64, 64)
    assert notes[-1].startswith("first frame:")
    assert any(note.startswith("prompt: ") for note in notes)


def test_a_given_image_or_video_stays_the_only_one(tmp_path):
    image = tmp_path / "own.png"
    Image.new("RGB", (64, 64)).save(image)
    for files in (MediaFiles(image=image), MediaFiles(video=tmp_path / "x.mp4")):
        found = enhancer([]).enhance(ClipOptions(prompt="a ball", files=files), tmp_path / "a.first.png")
        assert found.files == files
        assert not (tmp_path / "a.first.png").exists()


def test_users_are_told_of_a_fallback_first():
    lines = lines_of(Enhanced("t", "t", ("c",), ("p",), is_fallback=True))
    assert lines == ["NOT ENHANCED: the prompt is the text as it was written", "changed: c", "problem: p", "prompt: t"]


def test_a_frame_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(MuxError, match="first frame"):
        write_frame(np.zeros((4, 4, 3), np.uint8), tmp_path / "none" / "a.png")


def test_settings_that_suit_the_text_are_taken_where_none_are_given(tmp_path):
    asked = ClipOptions(prompt="a green ball on wood")
    assert enhancer([]).enhance(asked, tmp_path / "a.png").settings.guidance_scale == 2.0
    own = ClipOptions(prompt="a green ball on wood", settings=GivenSettings(guidance_scale=5.0))
    assert enhancer([]).enhance(own, tmp_path / "a.png").settings.guidance_scale == 5.0
    plain = ClipOptions(prompt="a red ball on wood")
    assert enhancer([]).enhance(plain, tmp_path / "a.png").settings.guidance_scale is None
