"""A first frame is made of a text: its prompt first, then the image."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from fake_endpoint import draws, says, sends, status
from mova.generate.enhance.enhanced import CallEnd
from mova.generate.enhance.first_frame import make_first_frame, size_of

WRITTEN = "Medium shot at eye level. " + "A baker stands at his oven in warm light. " * 12


def png(size=(8, 6)):
    file = io.BytesIO()
    Image.new("RGB", size, (9, 8, 7)).save(file, "PNG")
    return file.getvalue()


def make(fake, settings, shared, *script, roles=("text", "images"), **more):
    fake.reset(*script)
    return asyncio.run(make_first_frame("a baker says “Hot!”", settings(*roles, **more), shared))


def test_the_prompt_is_written_first_and_the_size_follows_the_orientation(fake, settings, shared):
    frame, calls = make(fake, settings, shared, says(WRITTEN), draws(png()), orientation="portrait")
    assert frame.shape == (6, 8, 3)
    assert [call.end for call in calls] == [CallEnd.OK] * 2
    path, body, _ = fake.requests[1]
    assert path.endswith("/images/generations")
    assert body["prompt"] == WRITTEN.strip()
    assert (body["size"], body["response_format"], body["n"]) == ("720x1280", "b64_json", 1)


def test_a_prompt_of_another_length_is_asked_for_once_more(fake, settings, shared):
    frame, calls = make(fake, settings, shared, says("A baker."), says(WRITTEN), draws(png()))
    assert frame is not None
    assert [call.end for call in calls] == [CallEnd.FAULTY, CallEnd.OK, CallEnd.OK]
    assert "100 to 250" in fake.requests[1][1]["messages"][-1]["content"]


def test_without_a_good_prompt_the_text_is_drawn(fake, settings, shared):
    frame, calls = make(fake, settings, shared, status(401), draws(png()))
    assert frame is not None
    assert fake.requests[-1][1]["prompt"] == "a baker says “Hot!”"
    assert calls[0].end is CallEnd.NOT_ACCEPTED
    assert len(make(fake, settings, shared, draws(png()), roles=("images",))[1]) == 1
    quoting = WRITTEN + ' A sign reads "BUY".'
    make(fake, settings, shared, says(quoting), says(quoting), draws(png()))
    assert fake.requests[-1][1]["prompt"] == "a baker says “Hot!”"


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (draws(b"no image"), CallEnd.INVALID),
        (draws(png()[:40]), CallEnd.INVALID),
        (sends(b'{"data": [{"url": "http://x/y.png"}]}'), CallEnd.EMPTY),
        (status(500), CallEnd.SERVER_ERROR),
    ],
)
def test_what_is_no_image_is_told(answer, end, fake, settings, shared):
    frame, calls = make(fake, settings, shared, answer, roles=("images",))
    assert frame is None
    assert calls[-1].end is end


def test_a_local_pipeline_that_is_missing_is_told(fake, settings, shared, tmp_path):
    frame, calls = make(fake, settings, shared, roles=(), local_images={"folder": str(tmp_path)})
    assert frame is None
    assert calls[-1].end is CallEnd.INVALID
    assert "model_index.json" in calls[-1].detail


def test_sizes_are_those_of_the_orientation_or_as_given(settings):
    assert size_of(settings(orientation="square")) == (1024, 1024)
    assert size_of(settings(image_size="640x352")) == (640, 352)
    assert np.prod(size_of(settings())) == 1280 * 720
