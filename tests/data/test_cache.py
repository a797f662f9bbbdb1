"""Encoded clips on disk."""

import multiprocessing
import os

import pytest
import torch

from mova.data.cache import LatentCache
from mova.errors import DataError

KEY = "ab" + "0" * 62


def tensors(value=1.0):
    return {"video": torch.full((2, 3), value, dtype=torch.float16), "mask": torch.ones(4)}


def test_what_was_written_comes_back(tmp_path):
    cache = LatentCache(tmp_path / "cache")
    assert not cache.has(KEY)
    cache.write(KEY, tensors(), "a clip")
    assert cache.has(KEY)
    assert cache.is_sound(KEY)
    for name, tensor in cache.read(KEY).items():
        assert torch.equal(tensor, tensors()[name])
    assert cache.path(KEY) == tmp_path / "cache" / "ab" / f"{KEY}.safetensors"
    assert [path.name for path in cache.path(KEY).parent.iterdir()] == [f"{KEY}.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "emptied"])
def test_damage_is_found_and_named(tmp_path, damage):
    cache = LatentCache(tmp_path)
    cache.write(KEY, tensors(), "a clip")
    path = cache.path(KEY)
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[:-1])
        case "changed":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "missing":
            path.unlink()
        case _:
            path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{KEY}.safetensors"):
        cache.read(KEY)
    assert not cache.is_sound(KEY)


def _write_often(folder, value):
    cache = LatentCache(folder)
    for _ in range(60):
        cache.write(KEY, tensors(value), "a clip")
    os._exit(0)


def test_processes_may_write_the_same_clip_at_the_same_time(tmp_path):
    cache = LatentCache(tmp_path)
    cache.write(KEY, tensors(), "a clip")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(tmp_path, 1.0)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert cache.is_sound(KEY)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(list(cache.path(KEY).parent.iterdir())) == 1


def test_settings_are_noted_once(tmp_path):
    cache = LatentCache(tmp_path)
    assert cache.settings() == []
    for frames in (9, 17, 9):
        cache.note({"frames": frames})
    assert cache.settings() == [{"frames": 9}, {"frames": 17}]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="must be writable"):
        LatentCache(tmp_path / "file").write(KEY, tensors(), "a clip")
