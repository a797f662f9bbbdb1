import pytest
import torch

from mova.device import choose_device
from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline


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


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs one of Apple's GPUs")
def test_a_clip_of_an_apple_gpu_is_that_of_the_cpu(checkpoint, short):
    clips = []
    for device in ("cpu", "mps"):
        pipeline = load_pipeline(checkpoint, dtype=torch.float32, device=device)
        pipeline.set_progress_bar_config(disable=True)
        clips.append(torch.as_tensor(pipeline("a dog", **short, seed=0, output_type="pt").frames).cpu())
    torch.testing.assert_close(clips[1], clips[0], rtol=0, atol=0.02)
