"""Pages of weight files: known as such, given back, and read again with the same values."""

import mmap
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mova.offload import mapped_pages
from mova.offload.mapped_pages import MappedFiles

linux = pytest.mark.skipif(sys.platform != "linux", reason="mappings are listed on Linux only")


@pytest.fixture
def mapped(tmp_path):
    torch.manual_seed(0)
    values = {"large": torch.randn(1 << 20), "small": torch.randn(5)}
    save_file(values, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in values}, values


def resident_pages(tensor):
    """Count the pages of this process behind a tensor."""
    address = tensor.data_ptr()
    for block in Path("/proc/self/smaps").read_text(encoding="utf-8").split("VmFlags"):
        for line in block.splitlines():
            head = line.split()
            if head and "-" in head[0] and len(head) >= 5:
                start, _, end = head[0].partition("-")
                inside = int(start, 16) <= address < int(end, 16)
            if line.startswith("Rss:") and inside:
                return int(line.split()[1]) * 1024 // mmap.PAGESIZE
    raise AssertionError("no mapping holds the tensor")


@linux
def test_only_tensors_in_files_of_weights_are_found_there(mapped, tmp_path):
    tensors, _ = mapped
    files = MappedFiles()
    assert files.holds(tensors["large"])
    assert files.holds(tensors["small"])
    assert not files.holds(tensors["large"].clone())
    assert not files.holds(torch.empty(0))
    assert not files.holds(torch.empty(3, device="meta"))
    (tmp_path / "other.bin").write_bytes(bytes(4096))
    other = torch.from_file(str(tmp_path / "other.bin"), size=4096, dtype=torch.uint8)
    assert not MappedFiles().holds(other)


@linux
def test_a_tensor_is_found_where_it_lies_in_its_file(mapped, tmp_path):
    tensors, values = mapped
    # Mapped once more, most likely beside the first time.
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        again = {key: file.get_tensor(key) for key in values}
    contents = (tmp_path / "model.safetensors").read_bytes()
    files = MappedFiles()
    for found in (tensors, again):
        for key, tensor in found.items():
            piece = files.find(tensor)
            start = piece.offset + tensor.data_ptr() - piece.start
            assert contents[start : start + tensor.numel() * 4] == values[key].numpy().tobytes()


@linux
def test_only_what_comes_next_in_a_file_is_joined(monkeypatch, tmp_path):
    lines = (
        "1000-2000 r--p 00000000 fd:01 7 /m/a.safetensors",
        "2000-3000 rw-p 00001000 fd:01 7 /m/a.safetensors",
        "3000-5000 r--p 00000000 fd:01 7 /m/a.safetensors",
        "5000-6000 r--p 00002000 fd:01 8 /m/a.safetensors (deleted)",
        "7000-8000 r--p 00000000 fd:01 9 /m/b.bin",
    )
    (tmp_path / "maps").write_text("\n".join(lines))
    monkeypatch.setattr(mapped_pages, "_MAPS", tmp_path / "maps")
    found = [(file.start, file.end, file.offset) for file in mapped_pages._read_files()]
    assert found == [(0x1000, 0x3000, 0), (0x3000, 0x5000, 0), (0x5000, 0x6000, 0x2000)]


@linux
def test_forgotten_pages_are_given_back_and_read_again(mapped):
    tensors, values = mapped
    files = MappedFiles()
    assert torch.equal(tensors["large"], values["large"])
    before = resident_pages(tensors["large"])
    forgotten = files.forget([tensors["large"]])
    assert forgotten > 0.99 * 4 * 2**20
    assert resident_pages(tensors["large"]) < before - 900
    assert torch.equal(tensors["large"], values["large"])
    assert torch.equal(tensors["small"], values["small"])


def test_memory_that_is_not_in_a_file_is_never_touched():
    plain = torch.arange(1 << 16)
    assert MappedFiles().forget([plain, torch.empty(0)]) == 0
    assert torch.equal(plain, torch.arange(1 << 16))
