"""Values that come as texts or as JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.serve.faults import FieldError
from mova.serve.intake.fields import flag_of, number_of, text_of, whole_of


@given(value=st.integers(-(10**18), 10**18))
def test_whole_numbers_are_read_from_texts_too(value):
    assert whole_of("n", value) == whole_of("n", str(value)) == whole_of("n", f" {value}.0 ") == value


@given(value=st.floats(-1e30, 1e30, allow_nan=False))
def test_numbers_are_read_from_texts_too(value):
    assert number_of("x", value) == value
    assert number_of("x", repr(value)) == value


@pytest.mark.parametrize("value", ["", "x", "1e", "nan", "inf", "0x10", "1_000", "१", None, True, [], {}, 1.5, "1.5"])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(FieldError, match="n must be a whole number") as refused:
        whole_of("n", value)
    assert refused.value.param == "n"


@pytest.mark.parametrize("value", ["", "nan", "-inf", "1e9999", float("nan"), 10**400, True, None, [1], "1" * 5000])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(FieldError, match="x must be a finite number"):
        number_of("x", value)


@pytest.mark.parametrize(
    ("value", "found"), [("true", True), ("0", False), (True, True), (" On ", True), ("no", False)]
)
def test_true_and_false_are_read_from_texts_too(value, found):
    assert flag_of("f", value) is found


@pytest.mark.parametrize("value", ["", "maybe", 1, None, []])
def test_what_is_neither_is_refused(value):
    with pytest.raises(FieldError, match="f must be true or false"):
        flag_of("f", value)


@pytest.mark.parametrize("value", [1, None, "a\0b", "\ud800", "x" * 11])
def test_a_text_is_of_whole_characters_and_bounded(value):
    with pytest.raises(FieldError, match="prompt must"):
        text_of("prompt", value, most=10)
    assert text_of("prompt", "你好 “x”", most=10) == "你好 “x”"
