"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.settings.size import parse_size


@given(width=st.integers(0, 10**6), height=st.integers(0, 10**6), separator=st.sampled_from("xX×"))
def test_a_size_is_width_by_height(width, height, separator):
    assert parse_size(f"{width}{separator}{height}") == (width, height)


@pytest.mark.parametrize("text", ["", "640", "640x", "x352", "640*352", "-640x352", "640x352x3", "6.4x3.5", "big"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"size must read WIDTHxHEIGHT in pixels, got .*; for example 640x352"):
        parse_size(text)
