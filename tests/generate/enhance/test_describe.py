"""A first frame is described under four heads."""

import asyncio

import numpy as np

from fake_endpoint import tells
from mova.generate.enhance.describe import MOST_TEXTS, describe_frame, smaller

IMAGE = np.zeros((40, 60, 3), np.uint8)
SEEN = {"visual_style": "photo", "cinematography": "wide", "elements": "a shop"}


def describe(fake, settings, shared, **more):
    fake.reset(tells(SEEN | more))
    return asyncio.run(describe_frame(IMAGE, settings("vision").vision, shared))


def test_heads_and_texts_are_kept(fake, settings, shared):
    found, call = describe(fake, settings, shared, on_screen_text=["OPEN  24h", "开门", "OPEN 24h"], more="ignored")
    assert (found.style, found.camera, found.elements) == ("photo", "wide", "a shop")
    assert found.texts == ("OPEN 24h", "开门")
    assert call.model == "m-vision"
    content = fake.requests[0][1]["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"]


def test_a_page_of_text_is_not_all_kept(fake, settings, shared):
    texts = ["x" * 300, *map(str, range(50))]
    assert len(describe(fake, settings, shared, on_screen_text=texts)[0].texts) == MOST_TEXTS
    assert describe(fake, settings, shared, on_screen_text=None)[0].texts == ()
    assert describe(fake, settings, shared, on_screen_text="null")[0].texts == ()


def test_images_are_sent_small():
    assert smaller(np.zeros((2000, 3000, 3), np.uint8), 100).shape == (100, 150, 3)
    assert smaller(np.zeros((100, 9000, 3), np.uint8), 100).shape == (4, 400, 3)
    assert smaller(IMAGE, 100) is IMAGE
