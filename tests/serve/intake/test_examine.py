"""Uploads are decoded once; images become PNG of the same pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from footage_kit import beeps, flash_frames, steady_ticks, write_video
from mova.errors import MovaError, ReadError
from mova.media.frames import read_image
from mova.serve.intake.examine import Bounds, Staged, examine, warm
from mova.serve.intake.forms import Asked
from mova.serve.intake.offer import Offer
from mova.serve.jobs.records import Extent
from mova.serve.settings import load_settings

BOUNDS = Bounds(image_pixels=10_000, video_pixels=20_000)


@pytest.fixture(scope="module")
def offer():
    return Offer(load_settings())


@pytest.fixture(scope="module")
def request_of(offer):
    def made(files=None, **settings):
        return offer.complete(Asked(prompt="a red ball bounces on wood", settings=settings), files or {}).request

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
    found = examine({"image": file}, request_of(), offer.scope, "", BOUNDS, tmp_path)
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
        examine({"image": staged(tmp_path, content)}, request_of(), offer.scope, "", BOUNDS, tmp_path)
    assert str(tmp_path) not in str(refused.value)


def test_frames_of_a_clip_are_images(tmp_path, offer, request_of, clip):
    files = {"image": Staged(clip, "first_frame"), "last_image": Staged(clip, "last_frame")}
    found = examine(files, request_of(), offer.scope, "", BOUNDS, tmp_path)
    assert [read_image(path).shape for path in found.paths.values()] == [(64, 96, 3)] * 2


def test_video_and_audio_are_decoded_as_the_clip_needs_them(tmp_path, offer, request_of, clip):
    sizes = {"width": 96, "height": 64, "num_frames": 21}
    damaged = staged(tmp_path, encoded("PNG")[:50])
    for name in ("video", "audio"):
        request = request_of({name: clip}, **sizes)
        assert examine({name: Staged(clip)}, request, offer.scope, "", BOUNDS, tmp_path).paths == {name: clip}
        longer = request_of({name: clip}, num_frames=49)
        with pytest.raises(MovaError) as refused:
            examine({name: Staged(clip)}, longer, offer.scope, "", BOUNDS, tmp_path)
        assert str(clip.parent) not in str(refused.value)
        padded = replace(longer, fit="pad")
        assert examine({name: Staged(clip)}, padded, offer.scope, "", BOUNDS, tmp_path).paths == {name: clip}
        with pytest.raises(MovaError):
            examine({name: damaged}, request, offer.scope, "", BOUNDS, tmp_path)
    with pytest.raises(ReadError, match="frames of a video must have at most 1000 pixels"):
        examine({"video": Staged(clip)}, request_of({"video": clip}), offer.scope, "", Bounds(1000, 1000), tmp_path)


def test_a_clip_to_go_on_from_is_measured_where_it_is_decoded(tmp_path, offer, clip):
    asked = Asked(prompt="a red ball bounces on wood", seconds=3.0, settings={"width": 96, "height": 64})
    request = offer.complete(asked, {"extend": clip}).request
    found = examine({"extend": Staged(clip)}, request, offer.scope, "", BOUNDS, tmp_path)
    # 24 frames are there; 48 more end a latent frame.
    assert found.extent == Extent(num_frames=72, new_frames=48, windows=2)
    assert "3.000 s" in found.notes[0]
    small = offer.complete(replace(asked, settings={}), {"extend": clip}).request
    with pytest.raises(MovaError, match="got extend of 96x64") as refused:
        examine({"extend": Staged(clip)}, small, offer.scope, "", BOUNDS, tmp_path)
    assert clip.name not in str(refused.value)
