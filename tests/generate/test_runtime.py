"""What is said about a machine is checked when it is said."""

import pytest

from mova.errors import ConfigError
from mova.generate.runtime import Runtime
from mova.models.packed_layout import METHODS


def test_every_method_is_taken_and_another_refused():
    assert Runtime().quantization is None
    assert [Runtime(quantization=method).quantization for method in METHODS] == list(METHODS)
    with pytest.raises(ConfigError, match="must be float8, float8_linear, int8 or nf4, got 'int4'"):
        Runtime(quantization="int4")
