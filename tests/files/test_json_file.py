"""JSON of strangers: every wrong form is one short error with file and key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import CheckpointError, ReadError
from mova.files.json_file import Fields, parse_json, read_json, read_object, shorten

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
GETTERS = ("text", "flag", "integer", "number", "list", "texts", "fields", "pair")


@given(value=VALUES, getter=st.sampled_from(GETTERS))
def test_a_value_has_the_asked_type_or_is_refused_by_file_and_key(value, getter):
    fields = Fields({"key": value}, "model.json", CheckpointError)
    try:
        got = getattr(fields, getter)("key")
    except CheckpointError as error:
        got, text = value, str(error)
        assert_is_short_and_named(text)
    assert isinstance(got, Fields) or got == value or list(got) == value


def assert_is_short_and_named(text):
    assert "model.json" in text
    assert "key" in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"[" * 200_000, "depth"),
        (b"[1, 2]", "object"),
        (b"{'a': 1}", "must be JSON"),
        (b'{"n": ' + b"9" * 10_000 + b"}", "must be JSON"),
    ],
)
def test_what_is_no_object_is_said_in_one_line(tmp_path, content, words):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(ReadError, match=words) as caught:
        read_object(file, error=ReadError)
    assert "config.json" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_byte_order_mark_is_no_error(tmp_path):
    file = tmp_path / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": "é"}).encode())
    assert read_object(file, error=ReadError).text("a") == "é"
    assert parse_json("\ufeff{}", "here", error=ReadError) == {}


def test_a_file_over_the_limit_is_refused_and_a_missing_one_named(tmp_path):
    file = tmp_path / "config.json"
    file.write_text("[" + "1," * 100 + "1]")
    with pytest.raises(CheckpointError, match="at most 50 bytes"):
        read_json(file, error=CheckpointError, most_bytes=50)
    with pytest.raises(CheckpointError, match="must exist"):
        read_json(tmp_path / "none.json", error=CheckpointError)


def test_ranges_name_the_nearest_value():
    fields = Fields({"layers": 10**9, "scale": 1}, "config.json", CheckpointError)
    with pytest.raises(CheckpointError, match="nearest is 1024"):
        fields.integer("layers", least=1, most=1024)
    assert fields.number("scale") == 1.0


def test_an_error_text_stays_short_however_the_value_refers_to_itself():
    value = ["x"]
    for _ in range(40):
        value = [value] * 10
    assert len(shorten(value)) < 300
