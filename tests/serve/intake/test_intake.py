"""From fields to an order that can be queued; nothing stays behind of what came to nothing."""

import asyncio
import base64
import io
import os

import numpy as np
import pytest
from PIL import Image

from mova.serve.artifacts import Artifacts
from mova.serve.faults import FieldError, not_found
from mova.serve.intake.bodies import Upload
from mova.serve.intake.decoders import Decoders
from mova.serve.intake.forms import Asked
from mova.serve.intake.intake import Intake, decode_data_url, orders_of
from mova.serve.intake.offer import Offer
from mova.serve.intake.sources import DataUrl, Link, OfClip
from mova.serve.settings import load_settings
from mova.web.refusals import RefusedError


def png(size=(32, 32), colour=90):
    written = io.BytesIO()
    Image.fromarray(np.full((*size, 3), colour, np.uint8)).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(1, 20.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def offer():
    return Offer(load_settings())


@pytest.fixture
def intake(tmp_path, decoders, offer):
    def find_clip(source, sees):
        raise not_found(source.video_id)

    settings = load_settings(None, {"data": tmp_path, "limits.image_pixels": 4096})
    made = Intake(settings, offer, decoders, Artifacts(settings.artifacts_url()), find_clip)
    made.root = tmp_path
    return made


def files(intake):
    return sorted(path.name for path in intake.root.rglob("*") if path.is_file())


def take(intake, asked, kept=None):
    return asyncio.run(intake.take(asked, None, kept))


def asked(**media):
    return Asked(prompt="a red ball bounces on wood", seed=3, media=media, num_variants=2)


def test_media_are_kept_under_names_of_ours_and_nothing_else_stays(intake):
    content = png()
    taken = take(intake, asked(image=Upload(io.BytesIO(content), len(content))))
    name = taken.inputs["image"]
    assert taken.made == (name,)
    assert files(intake) == [os.path.basename(name)]  # noqa: PTH119 (a name, not a path)
    first, second = orders_of(taken)
    assert (first.seed, second.seed, first.inputs) == (3, 4, {"image": name})
    assert any("colours" in text for text in taken.warnings)
    intake.discard(taken)
    assert files(intake) == []


def test_media_inside_of_a_request_are_kept_too(intake):
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    taken = take(intake, asked(image=DataUrl(url), last_image=DataUrl(url)))
    assert sorted(taken.inputs) == ["image", "last_image"]
    changed = take(intake, asked(image=None), kept=taken.inputs)
    assert changed.inputs == {"last_image": taken.inputs["last_image"]}
    assert changed.made == ()
    os.remove(intake.root / "artifacts" / taken.inputs["last_image"])  # noqa: PTH107
    with pytest.raises(FieldError) as refused:
        take(intake, asked(), kept=changed.inputs)
    assert refused.value.code == "input_gone"


@pytest.mark.parametrize(
    "media",
    [
        {"image": Upload(io.BytesIO(b"nonsense"), 8)},
        {"image": Upload(io.BytesIO(png((100, 100))), 1)},
        {"image": DataUrl("data:image/png;base64,!!!!")},
        {"image": DataUrl("data:image/png,abc")},
        {"image": Link("http://127.0.0.1:1/x")},
        {"image": OfClip("video_1", "first_frame")},
        {"audio": Upload(io.BytesIO(png()), 1)},
        {"video": Upload(io.BytesIO(b"\0" * 5000), 5000)},
    ],
)
def test_what_cannot_be_used_is_refused_with_its_field_and_leaves_nothing(intake, media):
    with pytest.raises(RefusedError) as refused:
        take(intake, asked(**media))
    assert refused.value.status in (400, 404)
    assert refused.value.param in (*media, "video")
    assert str(intake.root) not in refused.value.text
    assert files(intake) == []


def test_what_the_model_cannot_do_is_refused_before_anything_is_kept(intake):
    with pytest.raises(FieldError, match="nearest are 49 and 53"):
        take(intake, Asked(prompt="a", settings={"num_frames": 50}, media={"image": DataUrl("data:x;base64,AA==")}))
    with pytest.raises(FieldError, match="model must be mova-tiny"):
        take(intake, Asked(prompt="a", model="other", media={"image": DataUrl("data:x;base64,AA==")}))
    assert files(intake) == []


def test_what_is_outside_of_the_model_is_said(intake):
    taken = take(intake, Asked(prompt="a zeppelin", ignored=("'x'",)))
    assert any("zeppelin" in text for text in taken.warnings)
    assert "'x' in extra_body is not known here, and was left out" in taken.warnings


def test_leftovers_of_requests_that_never_ended_are_cleared_once_they_are_old(intake):
    for name, age in (("old", 7200), ("new", 0)):
        folder = intake.root / "incoming" / name
        folder.mkdir(parents=True)
        os.utime(folder, (folder.stat().st_mtime - age,) * 2)
    intake.clear()
    assert [path.name for path in (intake.root / "incoming").iterdir()] == ["new"]


def test_a_data_url_is_bounded():
    with pytest.raises(FieldError) as refused:
        decode_data_url("image", "data:x;base64," + "A" * 4000, 100)
    assert refused.value.status == 413
