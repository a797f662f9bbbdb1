import pytest
import torch

from mova.errors import ConfigError
from mova.generate.devices import choose_device


def test_without_a_word_a_gpu_computes_where_there_is_one(monkeypatch):
    for is_there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        assert choose_device().type == choose_device("auto").type == expected


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(ConfigError, match="got cuda:1 where torch finds 1 GPUs"):
        choose_device("cuda:1")
    with pytest.raises(ConfigError, match="must be one of cpu, cuda, mps, got 'gpu'"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="got meta; nearest is cpu"):
        choose_device("meta")
    with pytest.raises(ConfigError, match=r"got \[\]"):
        choose_device([])
