"""Text that was drawn is found, and nothing is fetched for it."""

import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mova.scorers import text_area
from mova.scorers.text_area import TextAreaScorer, text_share
from mova.toyworld import render, sample_scene
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


def leaves(seed):
    """Dim and fine patterns in a corner: the detector takes them for a block of text, with a score of 0.71 to 0.73."""
    grains = np.random.default_rng(seed).normal(size=(23, 40)) * 18 + 60
    light = Image.fromarray(grains.clip(0, 255).astype(np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
    frame = np.full((360, 640, 3), (20, 25, 30), np.uint8)
    pattern = np.asarray(light)[..., None] / 255 * np.array([90, 140, 50])
    frame[235:, 417:] = pattern[235:, 417:]
    return frame


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_leaves_are_no_text(seed):
    frame = leaves(seed)
    found = text_area._detector(text_area.LEAST_SCORE)(np.ascontiguousarray(frame[..., ::-1]))
    assert found.boxes is not None
    assert text_share(frame) == 0.0


def test_a_title_that_fills_the_middle_is_text():
    image = Image.new("RGB", (640, 360), (200, 225, 240))
    font = ImageFont.load_default(84)
    ImageDraw.Draw(image).multiline_text((150, 40), "THE BIG\nTITLE\nCARD", font=font, fill=(70, 40, 20), spacing=0)
    assert text_share(np.asarray(image)) > 0.15


def test_leaves_beside_a_subtitle_take_nothing_away_and_add_nothing():
    frame, area = on_footage(leaves(0), "I have not seen her since.", 26, "outlined")
    alone, _ = on_footage(np.full_like(frame, 40), "I have not seen her since.", 26, "outlined")
    assert text_share(frame) == pytest.approx(text_share(alone), rel=0.3)
    assert text_share(frame) > area


def on_footage(background, text, size, look):
    """A subtitle on a frame, and the share of it that its lines cover."""
    image = Image.fromarray(background)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    x, y = (image.width - right + left) // 2, image.height - 30 - bottom
    if look == "boxed":
        draw.rectangle((x - 8, y, x + right + 8, y + bottom + 8), fill=(0, 0, 0))
    colour = {"dark": (8, 8, 8), "yellow": (250, 230, 60)}.get(look, (255, 255, 255))
    width = 2 if look == "outlined" else 0
    draw.multiline_text((x, y), text, font=font, fill=colour, stroke_width=width, stroke_fill=(0, 0, 0))
    return np.asarray(image), (right - left) * (bottom - top) / (image.width * image.height)


@pytest.fixture(scope="module")
def footage():
    """Frames of 720 lines: a toy scene, a bright gradient, leaves."""
    scene = render(sample_scene(3), size=128, num_frames=5).clip.frames[0]
    slope = np.linspace(150, 235, 1280)[None, :, None] * np.linspace(1, 0.85, 720)[:, None, None]
    frames = {
        "dim": np.full((720, 1280, 3), (45, 60, 40), np.uint8),
        "bright": (slope * [1, 0.97, 0.9]).astype(np.uint8),
    }
    for name, small in (("scene", scene), ("leaves", leaves(0))):
        frames[name] = np.asarray(Image.fromarray(small).resize((1280, 720), Image.Resampling.BICUBIC))
    return frames


@pytest.mark.parametrize(
    ("under", "look"),
    [
        *[("dim", "plain"), ("dim", "yellow"), ("scene", "outlined"), ("scene", "boxed")],
        *[("leaves", "plain"), ("leaves", "outlined"), ("bright", "dark"), ("bright", "boxed")],
    ],
)
def test_subtitles_are_found_on_all_footage_small_and_large(footage, under, look):
    for size, text in (
        (26, "I have not seen her since."),
        (44, "Where are you going?\nI do not know yet."),
        (80, "Chapter Two"),
    ):
        frame, area = on_footage(footage[under], text, size, look)
        assert text_share(frame) > 0.4 * area


def test_text_in_half_of_the_clip_counts_half(tmp_path):
    with_text, area = subtitled()
    without = np.full_like(with_text, 90)
    frames = np.concatenate([np.repeat(one[None], 12, 0) for one in (with_text, without)])
    found = value(TextAreaScorer(2.0), clip_of(tmp_path / "a.mp4", frames), "text_area")
    assert found == pytest.approx(area / 2, rel=0.6)
