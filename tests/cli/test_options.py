"""Values that several verbs read alike."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.cli.options import parse_lora
from mova.errors import ConfigError


@given(scale=st.floats(-10, 10).map(lambda value: round(value, 3)))
def test_a_lora_is_a_file_and_a_scale(scale):
    assert parse_lora(f"a/style.safetensors:{scale}") == (Path("a/style.safetensors"), scale)


@pytest.mark.parametrize(
    ("text", "path", "scale"),
    [
        ("style.safetensors", "style.safetensors", 1.0),
        ("odd:name.safetensors", "odd:name.safetensors", 1.0),
        ("odd:name.safetensors:.5", "odd:name.safetensors", 0.5),
        ("x:-1e-1", "x", -0.1),
    ],
)
def test_a_colon_that_no_number_follows_is_part_of_the_name(text, path, scale):
    assert parse_lora(text) == (Path(path), scale)


@pytest.mark.parametrize("text", ["", " ", ":0.5"])
def test_a_lora_without_a_file_is_refused(text):
    with pytest.raises(ConfigError, match="a LoRA must read FILE or FILE:SCALE"):
        parse_lora(text)
