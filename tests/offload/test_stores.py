"""Backing stores of blocks: memory of their own or their files, with the same values in a slot."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mova.offload.stores import FileStore, HostStore, Pieces, Reader, layout, make_store

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path):
    """Tensors that are mapped from a file, and what they hold."""
    torch.manual_seed(0)
    values = {"a": torch.randn(300, 70).bfloat16(), "b": torch.randn(3), "c": torch.randint(0, 9, (5,))}
    save_file(values, tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        mapped = [file.get_tensor(key) for key in values]
    return mapped, [value.clone() for value in values.values()]


def pieces_of(tensors, dtype):
    return Pieces(
        [tensor.shape for tensor in tensors],
        [dtype if tensor.is_floating_point() else tensor.dtype for tensor in tensors],
    )


@pytest.mark.parametrize("kind", ["host", "files"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_slot_gets_the_values_in_the_dtype_that_is_computed_in(stored, kind, dtype):
    mapped, values = stored
    pieces = pieces_of(mapped, dtype)
    store = make_store(kind, mapped, pieces, CPU)
    buffer = torch.empty(pieces.total, dtype=torch.uint8)
    reader = Reader(None, pieces.total)
    for _ in range(2):
        buffer.fill_(255)
        if isinstance(store, FileStore):
            reader.read(store, buffer, pieces.total, None, None).result()
        else:
            store.fill(buffer)
        for view, value in zip(pieces.views(buffer), values, strict=True):
            assert view.dtype == (dtype if value.is_floating_point() else value.dtype)
            assert torch.equal(view, value.to(view.dtype))
    for kept, value in zip(store.tensors(), values, strict=True):
        assert torch.equal(kept.to(value.dtype), value.to(kept.dtype).to(value.dtype))
    reader.close()


def test_a_file_takes_no_host_memory_and_a_copy_takes_the_smaller_dtype(stored):
    mapped, _ = stored
    pieces = pieces_of(mapped, torch.float32)
    assert FileStore(mapped, pieces).num_bytes == 0
    host = HostStore(mapped, pieces, CPU)
    assert 300 * 70 * 2 <= host.num_bytes < 300 * 70 * 2 + 4 * 256
    assert FileStore([torch.ones(8)], pieces_of([torch.ones(8)], torch.float32)).num_bytes == 32


def test_a_reader_fills_slots_beside_the_caller_and_passes_errors_on(stored):
    mapped, values = stored
    pieces = pieces_of(mapped, torch.float32)
    reader = Reader(None, pieces.total)
    buffer = torch.empty(pieces.total, dtype=torch.uint8)
    reader.read(FileStore(mapped, pieces), buffer, pieces.total, None, None).result()
    assert torch.equal(pieces.views(buffer)[0], values[0].float())

    class Broken(FileStore):
        def fill(self, *_):
            raise OSError("the disk is gone")

    broken = reader.read(Broken(mapped, pieces), buffer, pieces.total, None, None)
    with pytest.raises(OSError, match="the disk is gone"):
        broken.result()
    reader.close()


def test_pieces_begin_at_aligned_places_and_do_not_overlap():
    places, total = layout([1, 256, 257, 0, 3])
    assert places == [0, 256, 512, 1024, 1024]
    assert total == 1280
