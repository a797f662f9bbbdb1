"""Text that was drawn is found, and nothing is fetched for it."""

import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mova.scorers import text_area
from mova.scorers.text_area import TextAreaScorer, text_share
from shared_scoring import clip_of, texture, value


def subtitled(text="Hello, this is a subtitle", height=360, width=640):
    image = Image.new("RGB", (width, height), (70, 90, 110))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(28)
    draw.text((120, 300), text, fill=(255, 255, 255), font=font)
    left, top, right, bottom = draw.textbbox((120, 300), text, font=font)
    return np.asarray(image), (right - left) * (bottom - top) / (height * width)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    text_area._detector.cache_clear()


def test_a_line_of_text_covers_about_its_area(offline):
    frame, area = subtitled()
    assert text_share(frame) == pytest.approx(area, rel=0.6)


def test_no_text_covers_nothing():
    assert text_share(np.full((360, 640, 3), 90, np.uint8)) == 0.0
    assert text_share(texture(360, 640, smooth=40)) == 0.0


def test_text_in_half_of_the_clip_counts_half(tmp_path):
    with_text, area = subtitled()
    without = np.full_like(with_text, 90)
    frames = np.concatenate([np.repeat(one[None], 12, 0) for one in (with_text, without)])
    found = value(TextAreaScorer(2.0), clip_of(tmp_path / "a.mp4", frames), "text_area")
    assert found == pytest.approx(area / 2, rel=0.6)
