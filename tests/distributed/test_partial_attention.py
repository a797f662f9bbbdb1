"""Attention by parts, in one process: the formulas that several processes use."""

import pytest
import torch
from torch.nn import functional

from mova.distributed import partial_attention
from mova.distributed.partial_attention import attend, attend_backward


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)


@pytest.fixture
def qkv():
    return draw(2, 7, 3, 8, seed=0), draw(2, 11, 3, 8, seed=1), draw(2, 11, 3, 8, seed=2)


def whole(q, k, v):
    return functional.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v))).transpose(1, 2)


def test_a_part_tells_its_output_and_the_logarithm_of_its_weight(qkv):
    q, k, v = (tensor.detach() for tensor in qkv)
    output, lse = attend(q, k, v)
    torch.testing.assert_close(output, whole(q, k, v))
    scores = torch.einsum("blne,bkne->blnk", q, k) / 8**0.5
    torch.testing.assert_close(lse, scores.logsumexp(-1))


@pytest.mark.parametrize("slice_elements", [2**24, 50])
@pytest.mark.parametrize("cuts", [(11,), (4, 7), (1, 9, 1)])
def test_gradients_of_parts_add_up_to_those_of_the_whole(qkv, cuts, slice_elements, monkeypatch):
    monkeypatch.setattr(partial_attention, "_ELEMENTS", slice_elements)
    q, k, v = qkv
    output = whole(q, k, v)
    gradient = draw(*output.shape, seed=3).detach()
    output.backward(gradient)
    plain = [tensor.detach() for tensor in (q, k, v)]
    total, lse = attend(*plain)
    parts = [
        attend_backward(gradient, plain[0], some_k, some_v, total, lse)
        for some_k, some_v in zip(plain[1].split(cuts, 1), plain[2].split(cuts, 1), strict=True)
    ]
    torch.testing.assert_close(sum(part[0] for part in parts), q.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat([part[1] for part in parts], 1), k.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat([part[2] for part in parts], 1), v.grad, atol=1e-5, rtol=1e-4)


def test_a_backward_pass_inside_autocast_rounds_nothing(qkv):
    q, k, v = (tensor.detach() for tensor in qkv)
    output, lse = attend(q, k, v)
    expected = attend_backward(output, q, k, v, output, lse)
    with torch.autocast("cpu", torch.bfloat16):
        found = attend_backward(output, q, k, v, output, lse)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3), (torch.float32, 1e-5)])
def test_a_gpu_joins_parts_to_the_whole(dtype, tolerance):
    sizes = (64, 131, 131, 64)
    q, k, v, gradient = (draw(2, size, 3, 128, seed=seed).detach().to("cuda", dtype) for seed, size in enumerate(sizes))
    exact = [tensor.float().clone().requires_grad_() for tensor in (q, k, v)]
    expected = whole(*exact)
    expected.backward(gradient.float())
    parts = list(zip(k.split((50, 81), 1), v.split((50, 81), 1), strict=True))
    (first, first_lse), (second, second_lse) = (attend(q, *part) for part in parts)
    lse = torch.logaddexp(first_lse, second_lse)
    output = sum(
        torch.exp(one - lse).unsqueeze(-1) * part for one, part in ((first_lse, first), (second_lse, second))
    ).to(dtype)
    torch.testing.assert_close(output.float(), expected, rtol=tolerance, atol=tolerance)
    gradients = [attend_backward(gradient, q, *part, output, lse) for part in parts]
    found = [sum(part[0].float() for part in gradients)]
    found += [torch.cat([part[side].float() for part in gradients], 1) for side in (1, 2)]
    for one, other in zip(found, exact, strict=True):
        assert float((one - other.grad).abs().max() / other.grad.abs().max()) < tolerance
