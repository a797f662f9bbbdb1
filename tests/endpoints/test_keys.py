"""API keys come from the environment and are shown nowhere."""

import pytest

from mova.endpoints.keys import HIDDEN, check_name, hide, read_key
from mova.errors import ConfigError


def test_a_key_is_read_from_the_variable_that_is_named(monkeypatch):
    monkeypatch.setenv("SOME_KEY", " sk-123456\n")
    assert read_key("SOME_KEY") == "sk-123456"
    assert read_key("") == ""


@pytest.mark.parametrize("value", ["", "  ", "sk-ä23456", "two words", "a\x07bcdefg"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(monkeypatch, value):
    monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(ConfigError, match="SOME_KEY") as caught:
        read_key("SOME_KEY")
    assert not value.strip() or value.strip() not in str(caught.value)


@pytest.mark.parametrize("name", ["sk-abcdef0123456789", "9KEY", "A KEY", "A" * 129])
def test_a_key_in_the_place_of_its_name_is_not_repeated(name):
    with pytest.raises(ConfigError, match="environment variable") as caught:
        check_name(name)
    assert name not in str(caught.value)


def test_a_key_is_taken_out_of_a_text():
    assert hide("wrong key sk-123456!", "sk-123456") == f"wrong key {HIDDEN}!"
    assert hide("nothing", "") == "nothing"
    assert hide("a cat", "a") == "a cat"
