"""Buffers of host memory: pages of their own, used again, never more than were in use at once."""

import pytest
import torch

from mova.offload.pinned import HostBuffers, own_pages

CPU = torch.device("cpu")
SHAPE = torch.Size([3, 5])


@pytest.mark.parametrize("num_bytes", [1, 4095, 4096, 4097, 100_000])
def test_host_buffers_share_no_page(num_bytes):
    buffers = [own_pages(num_bytes) for _ in range(5)]
    pages = [range(one.data_ptr() // 4096, (one.data_ptr() + num_bytes - 1) // 4096 + 1) for one in buffers]
    assert {one.data_ptr() % 4096 for one in buffers} == {0}
    assert {one.numel() for one in buffers} == {num_bytes}
    assert len(set().union(*pages)) == sum(map(len, pages))


def test_a_buffer_is_used_again_once_nobody_has_it():
    buffers = HostBuffers(CPU)
    first = buffers.take(SHAPE, torch.bfloat16)
    assert (first.tensor.shape, first.tensor.dtype) == (SHAPE, torch.bfloat16)
    place = first.tensor.data_ptr()
    second = buffers.take(SHAPE, torch.bfloat16)
    assert second.tensor.data_ptr() != place
    del first
    # Other numbers of as many bytes.
    assert buffers.take(torch.Size([30]), torch.uint8).tensor.data_ptr() == place
    assert buffers.num_made == 2


def test_there_are_never_more_bytes_than_were_in_use_at_once():
    buffers = HostBuffers(CPU)
    for length in range(1, 40):
        kept = [buffers.take(torch.Size([length]), torch.float32) for _ in range(3)]
        assert buffers.num_bytes == sum(one.tensor.numel() * 4 for one in kept) + sum(
            buffer.numel() for buffer in buffers._free
        )
        assert buffers.num_bytes <= 12 * length
        del kept
    assert buffers.num_bytes <= 12 * 39


def test_a_tensor_of_nothing_and_one_number_have_room_too():
    buffers = HostBuffers(CPU)
    assert buffers.take(torch.Size([0, 3]), torch.float32).tensor.shape == (0, 3)
    assert buffers.take(torch.Size([]), torch.float32).tensor.fill_(2.0).item() == 2.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_for_a_gpu_buffers_are_pinned_and_let_go_of():
    buffers = HostBuffers(torch.device("cuda"))
    kept = buffers.take(torch.Size([1 << 20]), torch.float32)
    assert torch.from_numpy(kept.tensor.numpy()).is_pinned()
    source = torch.arange(1 << 20, dtype=torch.float32, device="cuda")
    kept.tensor.copy_(source, non_blocking=True)
    torch.cuda.synchronize()
    assert torch.equal(kept.tensor, source.cpu())
    del kept
    buffers.take(torch.Size([3]), torch.float32)
    assert buffers.num_bytes <= 4 << 20
