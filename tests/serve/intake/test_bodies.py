"""Bodies, bounded in bytes, time and pace."""

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect

from mova.serve.intake import bodies
from mova.serve.intake.bodies import read_object, read_request
from mova.serve.settings import LimitsSection
from mova.web.refusals import RefusedError
from serve_bodies import form, gone, request

LIMITS = LimitsSection(upload_bytes=4096, upload_s=1.0)
JSON = "application/json"


def read(one, limits=LIMITS):
    return asyncio.run(read_request(one, limits))


def refused(one, limits=LIMITS):
    with pytest.raises(RefusedError) as found:
        read(one, limits)
    return found.value


def test_fields_and_files_of_a_form_are_read_whatever_parts_they_come_in():
    content = form(("prompt", "ein Ball, 你好"), ("input_reference", "../../x.png", b"\x00\x01" * 500))
    first, second = (read(request(content, size=size)) for size in (7, 5000))
    assert first.values == second.values == {"prompt": "ein Ball, 你好"}
    assert first.uploads["input_reference"].size_bytes == 1000
    assert first.uploads["input_reference"].file.read() == b"\x00\x01" * 500
    assert first.digest == second.digest
    first.close()
    second.close()


def test_requests_that_say_something_else_differ():
    found = [
        read(request(content))
        for content in (
            form(("prompt", "a")),
            form(("prompt", "b")),
            form(("prompt", "a"), ("image", "x", b"1")),
            form(("prompt", "a"), ("image", "x", b"2")),
        )
    ]
    found.append(read(request(b'{"prompt": "a"}', JSON)))
    assert len({one.digest for one in found}) == 5
    for one in found:
        one.close()
    assert read(request(b'{"a":1,"b":2}', JSON)).digest == read(request(b'{"b": 2, "a": 1}', JSON)).digest


def test_json_is_read_as_an_object():
    assert read(request(json.dumps({"prompt": "a", "n": 2}).encode(), JSON)).values == {"prompt": "a", "n": 2}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 3000, b'"x"', b"null"])
def test_what_is_no_object_of_json_is_refused(content):
    assert refused(request(content, JSON)).status == 400


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", None])
def test_another_content_type_is_refused(kind):
    assert refused(request(b"prompt=a", kind)).status == 415


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"nonsense", None),
        (form(("prompt", "a"))[:-20], None),
        (form(("prompt", "a")), "multipart/form-data"),
        (form(("prompt", "a")).replace(b"; name=", b"; nome="), None),
        (form(("prompt", "a"), ("prompt", "b")), None),
        (form(*((f"f{number}", "x") for number in range(150))), None),
    ],
)
def test_a_damaged_form_is_refused(content, kind):
    one = request(content, kind) if kind else request(content)
    assert refused(one).status in (400, 413)


def test_more_bytes_than_are_admitted_are_refused_while_they_come_and_by_what_is_said_of_them():
    assert refused(request(form(("image", "x", b"0" * 5000)))).status == 413
    assert refused(request(b"{}", JSON, content_length="1" * 30)).status == 413
    assert refused(request(b"{}", JSON, content_length="5000")).status == 413
    with pytest.raises(RefusedError) as found:
        asyncio.run(read_object(request(b'{"x": "' + b"y" * 200 + b'"}', JSON), LIMITS, most_bytes=100))
    assert found.value.status == 413


def test_what_does_not_come_to_its_end_is_refused(monkeypatch):
    monkeypatch.setattr(bodies, "_IDLE_S", 0.05)
    assert refused(request(form(("prompt", "a"))[:30], ends=False)).status == 408


def test_what_comes_too_slowly_is_refused(monkeypatch):
    monkeypatch.setattr(bodies, "_GRACE_S", 0.05)
    limits = LimitsSection(upload_bytes=4096, least_bytes_per_s=10**6)
    assert refused(request(form(("prompt", "a")), size=1, wait_s=0.02), limits).status == 408


def test_a_sender_that_goes_away_leaves_nothing():
    with pytest.raises(ClientDisconnect):
        read(gone())


def test_an_empty_body_may_be_an_empty_object():
    assert asyncio.run(read_object(request(b"", None), LIMITS, may_be_empty=True)) == {}
    with pytest.raises(RefusedError):
        asyncio.run(read_object(request(b"{}", "text/plain"), LIMITS, may_be_empty=True))


def test_an_object_has_as_many_fields_as_a_form():
    many = json.dumps({f"k{number}": 1 for number in range(101)}).encode()
    assert "at most 100 fields, got 101" in refused(request(many, JSON)).text
