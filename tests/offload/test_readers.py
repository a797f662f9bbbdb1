"""Several threads read weights: the same values, parts in their order, and what goes wrong is said to the caller."""

import os
import threading
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mova.errors import CheckpointError
from mova.offload import readers
from mova.offload.mapped_pages import MappedFiles
from mova.offload.readers import WeightReaders, num_readers


@pytest.fixture
def stored(tmp_path):
    """Tensors that are mapped from a file, what they hold, and the file."""
    torch.manual_seed(0)
    values = {
        "large": torch.randn(3000, 70).bfloat16(),
        "small": torch.randn(3),
        "whole": torch.randint(0, 9, (5, 2)),
        "eight": torch.randn(64, 64).to(torch.float8_e4m3fn),
        "one": torch.tensor(2.5),
    }
    file = tmp_path / "w.safetensors"
    save_file(values, file)
    with safe_open(file, "pt") as opened:
        mapped = [opened.get_tensor(key) for key in values]
    return mapped, list(values.values()), file


def room_for(tensors, dtype=None):
    return [
        torch.empty(one.shape, dtype=dtype if dtype and one.dtype == torch.bfloat16 else one.dtype) for one in tensors
    ]


def parts_of(targets, sources):
    files = MappedFiles()
    return [(target, source, files.find(source)) for target, source in zip(targets, sources, strict=True)]


def same(one, other):
    return torch.equal(one.view(-1).view(torch.uint8), other.to(one.dtype).view(-1).view(torch.uint8))


@pytest.fixture
def several():
    made = WeightReaders(4)
    yield made
    made.close()


@pytest.mark.parametrize("part_bytes", [16 << 20, 1000, 7 << 10])
@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_what_is_read_in_parts_is_what_was_stored(monkeypatch, stored, several, part_bytes, dtype):
    monkeypatch.setattr(readers, "PART_BYTES", part_bytes)
    mapped, values, _ = stored
    for _ in range(2):
        targets = room_for(mapped, dtype)
        several.fill(parts_of(targets, mapped))
        assert all(same(target, value) for target, value in zip(targets, values, strict=True))


def test_files_are_asked_by_several_threads_for_parts_in_their_order(monkeypatch, stored, several):
    monkeypatch.setattr(readers, "PART_BYTES", 1 << 12)
    mapped, _, _ = stored
    asked, threads, read = [], set(), readers._read
    both, turn = threading.Barrier(2, timeout=300), threading.Lock()

    def note(descriptor, into, offset, path):
        with turn:
            asked.append(offset)
            threads.add(threading.get_ident())
            is_early = len(asked) <= 2
        if is_early:
            both.wait()
        read(descriptor, into, offset, path)

    monkeypatch.setattr(readers, "_read", note)
    several.fill(parts_of(room_for(mapped[:1]), mapped[:1]))
    assert len(asked) == -(-mapped[0].numel() * 2 // (1 << 12))
    assert 2 <= len(threads) <= 4
    # No part is asked for before the parts that come first, but for those that the other threads have.
    assert all(place >= index - 4 for index, place in enumerate(sorted(range(len(asked)), key=asked.__getitem__)))


def test_memory_that_lies_in_no_file_or_is_strided_is_copied(several):
    plain = [torch.randn(50, 30), torch.randn(30, 50).T]
    targets = room_for(plain)
    several.fill(parts_of(targets, plain))
    assert all(torch.equal(target, value) for target, value in zip(targets, plain, strict=True))


def test_a_file_that_was_replaced_is_read_where_it_is_mapped(stored, several, tmp_path):
    mapped, values, file = stored
    other = tmp_path / "other"
    save_file({"large": torch.zeros(3000, 70)}, other)
    other.replace(file)
    targets = room_for(mapped)
    several.fill(parts_of(targets, mapped))
    assert all(same(target, value) for target, value in zip(targets, values, strict=True))


def test_a_file_that_became_shorter_is_an_error_of_the_caller_and_the_threads_go_on(stored, several):
    mapped, values, file = stored
    size = file.stat().st_size
    contents = file.read_bytes()
    os.truncate(file, size - 1000)
    with pytest.raises(CheckpointError, match=r"w.safetensors must stay as it is .* ends \d+ bytes too early"):
        several.fill(parts_of(room_for(mapped), mapped))
    file.write_bytes(contents)
    targets = room_for(mapped)
    several.fill(parts_of(targets, mapped))
    assert all(same(target, value) for target, value in zip(targets, values, strict=True))


def test_after_an_error_nobody_writes_any_more(monkeypatch, stored, several):
    monkeypatch.setattr(readers, "PART_BYTES", 1 << 12)
    mapped, _, _ = stored
    read, running, done, lost = readers._read, [], [], threading.Event()

    def fails_first(descriptor, into, offset, path):
        running.append(offset)
        if offset == min(running):
            lost.set()
            raise OSError("the disk is gone")
        lost.wait(300)
        time.sleep(0.05)
        read(descriptor, into, offset, path)
        done.append(offset)

    monkeypatch.setattr(readers, "_read", fails_first)
    with pytest.raises(OSError, match="the disk is gone"):
        several.fill(parts_of(room_for(mapped[:1]), mapped[:1]))
    began = len(running)
    assert began - len(done) >= 1
    assert began < mapped[0].numel() * 2 // (1 << 12), "what had not begun is left out"
    time.sleep(0.1)
    assert len(running) == began


def test_there_are_at_least_two_and_half_as_many_as_cores(monkeypatch):
    for cores, wanted in ((1, 2), (2, 2), (8, 4), (16, 8), (64, 8)):
        monkeypatch.setattr(readers, "num_cores", lambda cores=cores: cores)
        assert num_readers() == wanted
