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
