"""Files of a cache in groups."""

import contextlib
import os

import pytest
import torch

from mova.data.cache import LatentCache
from mova.data.cache_writer import GROUP_FILES, CacheWriter
from mova.errors import DataError


def put_all(writer, numbers):
    for number in numbers:
        writer.put(f"{number:064x}", {"video": torch.full((4,), float(number))}, f"clip {number}")


def test_all_that_was_given_is_there_at_the_end_even_of_a_broken_block(tmp_path):
    cache = LatentCache(tmp_path)
    with contextlib.suppress(ZeroDivisionError), CacheWriter(cache) as writer:
        put_all(writer, range(3 * GROUP_FILES // 2))
        1 / 0  # noqa: B018
    assert all(cache.is_sound(f"{number:064x}") for number in range(3 * GROUP_FILES // 2))
    assert not list(tmp_path.rglob("*.partial"))


def test_files_are_on_the_disk_before_they_are_in_their_places(tmp_path, monkeypatch):
    events = []
    fsync, cache = os.fsync, LatentCache(tmp_path)

    def noted(descriptor):
        events.append(len(list(tmp_path.rglob("*.safetensors"))))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with CacheWriter(cache) as writer:
        put_all(writer, range(GROUP_FILES))
    assert len(events) == GROUP_FILES
    assert len(list(tmp_path.rglob("*.safetensors"))) == GROUP_FILES
    # Where the machine is quick, all of them are one group.
    assert events == sorted(events)


def test_what_cannot_be_written_is_told_at_the_end_and_the_rest_is_kept(tmp_path):
    cache = LatentCache(tmp_path)

    def write():
        with CacheWriter(cache) as writer:
            put_all(writer, [1])
            writer.put("a" * 64, {"video": torch.tensor([float("nan")])}, "clip nan")

    with pytest.raises(DataError, match="finite numbers, got others for clip nan"):
        write()
    assert cache.is_sound(f"{1:064x}")
    assert not cache.has("a" * 64)
