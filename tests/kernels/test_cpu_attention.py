"""Written-out attention equals PyTorch's, forward and backward, and is taken in bfloat16 on a CPU only."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from mova.device import multiplies_bfloat16
from mova.kernels import cpu_attention
from mova.kernels.cpu_attention import (
    BLOCK_WEIGHTS,
    MAX_WEIGHTS,
    attention_in_blocks,
    suits,
    suits_inference,
    use_cpu_attention,
    written_out_attention,
)
from mova.models.attention import Attention, AttentionDispatch, AttentionKernel

needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor has no bfloat16 products")


def tensors(lengths: tuple[int, int], dtype: torch.dtype, heads: int = 2, dim: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, length, heads, dim) for length in (lengths[0], lengths[1], lengths[1])]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    heads = (x.transpose(1, 2) for x in (q, k, v))
    return functional.scaled_dot_product_attention(*heads).transpose(1, 2)


@settings(max_examples=20, deadline=None)
@given(lengths=st.tuples(st.integers(1, 40), st.integers(1, 40)), heads=st.integers(1, 3))
def test_it_equals_the_fused_kernel_in_float32(lengths: tuple[int, int], heads: int) -> None:
    inputs = tensors(lengths, torch.float32, heads)
    upstream = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1))
    outputs = [attention(*inputs) for attention in (written_out_attention, fused)]
    gradients = [torch.autograd.grad(output, inputs, upstream) for output in outputs]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@needs_bfloat16
def test_in_bfloat16_it_is_as_near_to_float32_as_the_fused_kernel() -> None:
    exact = fused(*tensors((64, 48), torch.float32))
    inputs = tensors((64, 48), torch.bfloat16)
    ours, theirs = ((attention(*inputs).float() - exact).norm() for attention in (written_out_attention, fused))
    assert ours < 2 * theirs


@needs_bfloat16
def test_a_training_step_in_bfloat16_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    def counted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(q.shape))
        return written_out_attention(q, k, v)

    monkeypatch.setattr(AttentionDispatch, "kernels", [AttentionKernel(suits, counted)])
    layer, x = Attention(32, 2, eps=1e-6), torch.randn(1, 8, 32)
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        trained = layer(x)
        with torch.no_grad():
            layer(x)
    assert calls == [(1, 8, 2, 16)]
    torch.testing.assert_close(trained.float(), plain, rtol=0.05, atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("block", [1, 60, 200, 1000, BLOCK_WEIGHTS])
def test_in_blocks_it_equals_the_fused_kernel(monkeypatch, block):
    """Blocks of one query, of some queries of a head, of a whole head and of several."""
    monkeypatch.setattr(cpu_attention, "BLOCK_WEIGHTS", block)
    inputs = tensors((13, 20), torch.float32, heads=3)
    torch.testing.assert_close(attention_in_blocks(*inputs), fused(*inputs), rtol=1e-5, atol=1e-5)


def test_blocks_are_taken_in_bfloat16_without_gradients_where_there_are_no_matrix_units(monkeypatch):
    q, k, _ = tensors((8, 8), torch.bfloat16)
    for has_vectors_only in (True, False):
        monkeypatch.setattr(cpu_attention, "_has_vectors_only", lambda answer=has_vectors_only: answer)
        with torch.no_grad():
            assert suits_inference(q, k) == has_vectors_only
            assert not suits_inference(q.float(), k.float())
        assert not suits_inference(q, k)


def test_it_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttentionDispatch, "kernels", [])
    for _ in range(2):
        use_cpu_attention()
    assert AttentionDispatch.kernels == [
        AttentionKernel(suits, written_out_attention),
        AttentionKernel(suits_inference, attention_in_blocks),
    ]


@needs_bfloat16
def test_a_chosen_back_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = AttentionKernel(suits, lambda *_: pytest.fail("another was chosen"))
    monkeypatch.setattr(AttentionDispatch, "kernels", [refused])
    layer = Attention(32, 2, eps=1e-6)
    layer.set_attention_backend("native")
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(1, 8, 32))


def test_long_sequences_are_left_to_the_fused_kernel() -> None:
    length = int(MAX_WEIGHTS**0.5)
    assert not suits(*(torch.empty(1, n, 1, 8, dtype=torch.bfloat16) for n in (length + 1, length + 1)))
    assert not suits(*tensors((4, 4), torch.float32)[:2])


@needs_bfloat16
def test_fake_tensors_stand_for_those_of_a_gpu() -> None:
    """Memory plans are made with them: attention that keeps its weights would be counted where it is not used."""
    shape = (1, 8, 2, 16)
    assert suits(*(torch.empty(shape, dtype=torch.bfloat16) for _ in range(2)))
    with FakeTensorMode():
        assert not suits(*(torch.empty(shape, dtype=torch.bfloat16) for _ in range(2)))
