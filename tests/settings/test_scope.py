"""What a model was trained for, and the one line that says what of a request it was not."""

import json

import numpy as np
import pytest
from PIL import Image

from mova.errors import CheckpointError
from mova.generate.request import ClipOptions, MediaFiles, warn_outside
from mova.generate.run import make_request
from mova.names import SHIPPED_MODELS
from mova.settings.sampling import GivenSettings
from mova.settings.scope import Scope, read_scope
from mova.toyworld import first_frame, render, sample_scene
from mova.toyworld.caption import caption
from mova.toyworld.scenes.registry import DEFAULT_KINDS

TINY = read_scope(SHIPPED_MODELS / "mova-tiny")
KNOWN = "A small red ball falls from high up onto a drum skin."


def asked(prompt=KNOWN, files=None, **given):
    options = ClipOptions(prompt=prompt, files=MediaFiles(**(files or {})), settings=GivenSettings(**given))
    return warn_outside(make_request("mova-tiny", options)[1], TINY)


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_all_that_the_tiny_model_learned_is_inside(tmp_path, kind):
    for seed in range(20):
        scene = sample_scene(seed, kind=kind)
        image = first_frame(render(scene, size=128, num_frames=1).clip)
        Image.fromarray(image).save(tmp_path / "first.png")
        assert asked(caption(scene), {"image": tmp_path / "first.png"}) is None
    assert asked(KNOWN, height=64, width=64) is None


def test_the_board_is_a_scene_that_the_tiny_model_never_saw():
    line = asked(caption(sample_scene(3, kind="board")))
    assert "board" in line
    assert "a scene without any of ball" in line


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"prompt": "A dragon and a ball at a castle."}, "the words dragon, castle"),
        ({"prompt": "The audio has drum beats."}, "a scene without any of ball, bar"),
        ({"prompt": "红色的球"}, "the word 红色的球"),
        ({"height": 256, "width": 256}, "256x256 pixels (it knows 128x128 and 64x64)"),
        ({"num_frames": 97}, "97 frames (it knows 49)"),
        ({"frame_rate": 30.0}, "30 frames per second (it knows 24)"),
    ],
    ids=str,
)
def test_what_lies_outside_is_named_in_one_line(given, text):
    line = asked(**given)
    assert text in line
    assert line.startswith("warning: mova-tiny was not trained for this")
    assert "\n" not in line


def test_photographs_and_a_last_frame_alone_are_named(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "photo.jpg")
    Image.fromarray(first_frame(render(sample_scene(1), size=128, num_frames=1).clip)).save(tmp_path / "known.png")
    assert "a first frame in other colours than its own (photo.jpg)" in asked(files={"image": tmp_path / "photo.jpg"})
    assert asked(files={"last_image": tmp_path / "known.png"}).endswith("a last frame without a first one")
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert asked(files={"image": tmp_path / "broken.png"}) is None, "it is refused where it is read"


def test_a_model_without_the_file_says_nothing(checkpoint):
    assert read_scope(checkpoint) == Scope()
    assert warn_outside(make_request(str(checkpoint), ClipOptions(prompt="dragons"))[1], read_scope(checkpoint)) is None


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ([], "must be a JSON object"),
        ({"words": [1]}, "words must be a list of texts"),
        ({"sizes": [128]}, "sizes must be numbers, 2 each"),
        ({"image_colours": [[1, 2, "3"]]}, "image_colours must be numbers, 3 each"),
        ({"last_image_alone": "no"}, "last_image_alone must be true or false"),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused_with_its_key(tmp_path, record, text):
    (tmp_path / "mova_scope.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=text):
        read_scope(tmp_path)
