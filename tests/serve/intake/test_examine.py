"""Uploads are decoded once; images become PNG of the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from footage_kit import beeps, flash_frames, steady_ticks, write_video
from mova.errors import MovaError, ReadError
from mova.media.frames import read_image
from mova.serve.intake.examine import Bounds, Staged, examine, warm
from mova.serve.intake.forms import Asked
from mova.serve.intake.offer import Offer
from mova.serve.settings import load_settings

BOUNDS = Bounds(image_pixels=10_000, video_pixels=20_000)


@pytest.fixture(scope="module")
def offer():
    return Offer(load_settings())


@pytest.fixture(scope="module")
def request_of(offer):
    def made(**settings):
        return offer.complete(Asked(prompt="a red ball bounces on wood", settings=settings), {}).request

    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    ticks, base = steady_ticks(24, 1.0)
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, flash_frames(ticks, base, [0.5]), ticks, base, audio=beeps([0.5], 1.0))


def pixels(size=(48, 64)):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def staged(tmp_path, content):
    path = tmp_path / "incoming"
    path.write_bytes(content)
    return Staged(path)


def encoded(kind, size=(48, 64), **options):
    written = io.BytesIO()
    Image.fromarray(pixels(size)).save(written, kind, **options)
    return written.getvalue()


def test_a_child_may_be_warmed_up():
    assert warm()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_is_written_anew_with_the_same_pixels_and_nothing_else(tmp_path, offer, request_of, kind):
    file = staged(tmp_path, encoded(kind) + b"<script>alert(1)</script>")
    found = examine({"image": file}, request_of(), offer.scope, BOUNDS, tmp_path)
    path = found.paths["image"]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert b"script" not in path.read_bytes()
    assert np.array_equal(read_image(path), read_image(file.path))
    assert any("colours" in text for text in found.outside)
    assert not any("png" in text for text in found.outside)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no image", "must be one of"),
        (encoded("PNG")[:100], "image"),
        (encoded("PNG", (200, 200)), "at most 10000 pixels, got 200x200; nearest is 100x100"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "must be one of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "must be one of"),
        (b"", "must be one of"),
    ],
)
def test_what_is_no_image_is_refused_without_a_word_of_where_it_lies(tmp_path, offer, request_of, content, text):
    with pytest.raises(ReadError, match=text) as refused:
        examine({"image": staged(tmp_path, content)}, request_of(), offer.scope, BOUNDS, tmp_path)
    assert str(tmp_path) not in str(refused.value)


def test_frames_of_a_clip_are_images(tmp_path, offer, request_of, clip):
    files = {"image": Staged(clip, "first_frame"), "last_image": Staged(clip, "last_frame")}
    found = examine(files, request_of(), offer.scope, BOUNDS, tmp_path)
    assert [read_image(path).shape for path in found.paths.values()] == [(64, 96, 3)] * 2


def test_video_and_audio_are_decoded_as_the_clip_needs_them(tmp_path, offer, request_of, clip):
    request = request_of(width=96, height=64, num_frames=21)
    assert examine({"video": Staged(clip)}, request, offer.scope, BOUNDS, tmp_path).paths == {"video": clip}
    assert examine({"audio": Staged(clip)}, request, offer.scope, BOUNDS, tmp_path).paths == {"audio": clip}
    for name in ("video", "audio"):
        with pytest.raises(MovaError) as refused:
            examine({name: Staged(clip)}, request_of(num_frames=49), offer.scope, BOUNDS, tmp_path)
        assert str(clip.parent) not in str(refused.value)
        with pytest.raises(MovaError):
            examine({name: staged(tmp_path, encoded("PNG")[:50])}, request, offer.scope, BOUNDS, tmp_path)
    with pytest.raises(ReadError, match="frames of a video must have at most 1000 pixels"):
        examine({"video": Staged(clip)}, request, offer.scope, Bounds(1000, 1000), tmp_path)
