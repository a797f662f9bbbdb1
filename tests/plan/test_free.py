"""What is left of a machine's memory, and how running out of it is told from other errors."""

import psutil
import pytest
import torch

from mova.plan.free import free_host_bytes, is_out_of_memory, release_memory, room_of


def test_without_a_gpu_the_device_is_the_host():
    room = room_of(torch.device("cpu"))
    assert room.device_bytes == room.host_bytes
    assert not room.is_gpu
    assert 0 < room.host_bytes <= psutil.virtual_memory().total


def test_the_limit_of_a_container_counts(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / f"memory.{name}").write_text(text)

    free = psutil.virtual_memory().available
    write(max="1000000\n", current="600000\n", stat="anon 100\nfile 200000\n")
    assert free_host_bytes(tmp_path) == 600_000
    write(max="max\n")
    assert free_host_bytes(tmp_path) == pytest.approx(free, rel=0.3)
    assert free_host_bytes(tmp_path / "none") == pytest.approx(free, rel=0.3)


def test_running_out_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**52, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    release_memory()
