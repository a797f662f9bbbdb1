"""The choices of a user for one machine: wrong names are refused where they are chosen."""

import pytest

from mova.errors import ConfigError
from mova.generate.runtime import Runtime
from mova.models.attention_backends import BACKENDS


def test_an_unknown_attention_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="got 'sage2'; nearest is sage"):
        Runtime(attention="sage2")


def test_every_attention_and_none_can_be_chosen():
    assert Runtime().attention is None
    assert [Runtime(attention=name).attention for name in BACKENDS] == list(BACKENDS)
