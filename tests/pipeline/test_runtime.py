"""The choices of a user for one machine: wrong names are refused where they are chosen."""

import pytest

from mova.errors import ConfigError
from mova.kernels.attention_backends import BACKENDS
from mova.kernels.linear_choice import KERNELS
from mova.pipeline.runtime import Runtime
from mova.plan.memory import MEMORY_CHOICES
from mova.weights.quantize.layout import METHODS


def test_whatever_there_is_can_be_chosen():
    assert Runtime() == Runtime(memory="auto", quantization=None, attention=None, compile_blocks=None)
    assert [Runtime(memory=name).memory for name in MEMORY_CHOICES] == list(MEMORY_CHOICES)
    assert [Runtime(quantization=method).quantization for method in METHODS] == list(METHODS)
    assert [Runtime(attention=name).attention for name in BACKENDS] == list(BACKENDS)
    assert [Runtime(kernels=name).kernels for name in KERNELS] == list(KERNELS)


def test_the_environment_says_which_kernels_are_the_default(monkeypatch):
    monkeypatch.setenv("MOVA_KERNELS", "plain")
    assert Runtime().kernels == "plain"
    monkeypatch.delenv("MOVA_KERNELS")
    assert Runtime().kernels == "auto"
    monkeypatch.setenv("MOVA_KERNELS", "autos")
    with pytest.raises(ConfigError, match="MOVA_KERNELS must be auto or plain, got 'autos'; nearest is auto"):
        Runtime()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"memory": "small"}, "memory must be one of auto, resident, phases, stream, disk; got 'small'"),
        ({"quantization": "int4"}, "must be float8, float8_linear, int8 or nf4, got 'int4'"),
        ({"precision": "half"}, "precision must be one of auto, float32, bfloat16; got 'half'"),
        ({"attention": "sage2"}, "got 'sage2'; nearest is sage"),
        ({"kernels": "plane"}, "kernels must be auto or plain, got 'plane'; nearest is plain"),
    ],
)
def test_whatever_there_is_not_is_refused(choice, said):
    with pytest.raises(ConfigError, match=said):
        Runtime(**choice)
