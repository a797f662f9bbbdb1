"""Weights that are fetched ahead: there in time with the right values, nothing written once they are given up."""

import os
import threading

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from late_streams import LateStreams
from mova.errors import CheckpointError
from mova.offload import ahead, readers
from mova.offload.ahead import FetchAhead
from mova.offload.mapped_pages import MappedFiles

SHAPES = {"large": (700, 30), "small": (3,), "strided": (20, 8), "one": ()}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Tensors in a file and one in memory, and what they hold; several groups and parts go through the buffers."""
    monkeypatch.setattr(ahead, "STAGING_BYTES", 9000)
    monkeypatch.setattr(readers, "PART_BYTES", 2500)
    torch.manual_seed(0)
    values = {name: torch.randn(shape).bfloat16() for name, shape in SHAPES.items()}
    save_file(values, tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as opened:
        mapped = {key: opened.get_tensor(key) for key in values}
    mapped["strided"] = values["strided"].clone().T
    return [*mapped.values()], [value.T if key == "strided" else value for key, value in values.items()]


def begin(tensors, streams, dtype=torch.float32):
    files = MappedFiles()
    targets = [torch.full_like(one, float("nan"), dtype=dtype) for one in tensors]
    fetching = FetchAhead([(to, of, files.find(of)) for to, of in zip(targets, tensors, strict=True)], streams)
    return fetching, targets


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_fetched_ahead_is_what_was_stored(stored, dtype, is_late):
    tensors, values = stored
    streams = LateStreams() if is_late else None
    fetching, targets = begin(tensors, streams, dtype)
    fetching.finish()
    for target, value in zip(targets, values, strict=True):
        assert torch.equal(target, value.to(dtype))
    assert streams is None or streams.side.done == streams.side.num_queued >= 8


def test_a_buffer_that_is_filled_before_it_was_copied_would_be_noticed(stored, monkeypatch):
    tensors, values = stored
    monkeypatch.setattr(ahead._Staging, "wait", lambda _: None)
    fetching, targets = begin(tensors, LateStreams())
    fetching.finish()
    assert not all(torch.equal(target, value.float()) for target, value in zip(targets, values, strict=True))


@pytest.mark.parametrize("is_late", [False, True])
def test_nothing_is_written_after_it_was_given_up(stored, monkeypatch, is_late):
    tensors, _ = stored
    read, began, go_on = readers._read, threading.Event(), threading.Event()

    def slowly(*arguments):
        began.set()
        go_on.wait(300)
        read(*arguments)

    monkeypatch.setattr(readers, "_read", slowly)
    fetching, targets = begin(tensors, LateStreams() if is_late else None)
    assert began.wait(300)
    threading.Timer(0.05, go_on.set).start()
    fetching.abandon()
    assert not all(target.isfinite().all() for target in targets)
    before = [target.clone() for target in targets]
    for target, kept in zip(targets, before, strict=True):
        torch.testing.assert_close(target, kept, equal_nan=True)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_file_that_became_shorter_is_said_when_the_weights_are_wanted(stored, tmp_path, is_late):
    tensors, _ = stored
    os.truncate(tmp_path / "w.safetensors", 2000)
    fetching, _ = begin(tensors[:1], LateStreams() if is_late else None)
    with pytest.raises(CheckpointError, match="must stay as it is while a model uses it"):
        fetching.finish()
    given_up, _ = begin(tensors[:1], LateStreams() if is_late else None)
    given_up.abandon()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_weights_arrive_beside_what_computes(stored):
    from mova.kernels.streams import CudaStreams

    tensors, values = stored
    device = torch.device("cuda")
    files = MappedFiles()
    targets = [torch.full_like(one, float("nan"), dtype=torch.float32, device=device) for one in tensors]
    parts = [(to, of, files.find(of)) for to, of in zip(targets, tensors, strict=True)]
    fetching = FetchAhead(parts, CudaStreams(device))
    busy = torch.randn(2000, 2000, device=device) @ torch.randn(2000, 2000, device=device)
    fetching.finish()
    assert busy.isfinite().all()
    assert all(torch.equal(target.cpu(), value.float()) for target, value in zip(targets, values, strict=True))
