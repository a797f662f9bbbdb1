"""A prompt that the model knows, with a first frame, in one call."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from serve_site import served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


def enhance(site, status=200, **said):
    return site.post("/v1/enhance", status, json=said)


def frame_of(url):
    assert url.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_free_words_become_a_prompt_that_the_model_knows_and_a_first_frame(site):
    for text in ("a red ball bounces on wood", "一个红球在木头上弹跳"):
        found = enhance(site, prompt=text)
        assert (found["object"], found["original"], found["is_fallback"]) == ("enhancement", text, False)
        assert "red ball" in found["prompt"]
        assert frame_of(found["first_frame"]).size == (128, 128)
        sent = {"prompt": found["prompt"], "image": found["first_frame"], **found["settings"]}
        rest = {name: value for name, value in found.items() if name not in ("first_frame", "prompt")}
        made = site.post(json={**sent, "enhancement": rest})
        assert (made["warnings"], made["inputs"], made["enhancement"]["original"]) == ([], ["image"], text)


def test_a_given_image_is_kept_and_a_size_is_that_of_the_frame(site):
    written = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(written, "PNG")
    url = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
    assert enhance(site, prompt="a red ball", image=url)["first_frame"] is None
    assert frame_of(enhance(site, prompt="a red ball", size="96x64")["first_frame"]).size == (96, 64)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": "x" * 5000}, "prompt"),
        ({"prompt": "a", "image": "nonsense"}, "image"),
        ({"prompt": "a", "image": "data:image/png;base64,AAAA"}, "image"),
        ({"prompt": "a", "audio": "data:x;base64,AA=="}, "audio"),
        ({"prompt": "a", "seed": 3}, "seed"),
        ({"prompt": "a", "language": "french"}, "language"),
        ({"prompt": "a", "size": "100x100"}, "size"),
    ],
)
def test_what_cannot_be_enhanced_is_refused(site, said, param):
    assert enhance(site, 400, **said)["error"]["param"] == param
    assert site.files() == [] or all("uploads" in name for name in site.files())
