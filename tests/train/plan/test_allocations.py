"""Bytes that operations make, of tensors with and without memory."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mova.train.plan.allocations import Allocations


def test_what_is_made_counts_until_it_is_gone_and_views_do_not_count():
    given_before = torch.ones(1000)
    with Allocations() as allocations:
        first = given_before + 1
        assert allocations.alive_bytes == 4000
        view, same = first.view(10, 100)[:5], first.mul_(2)
        assert allocations.alive_bytes == 4000
        half = first.to(torch.bfloat16)
        assert allocations.alive_bytes == 6000
        del first, same
        assert allocations.alive_bytes == 6000, "a view keeps the memory"
        del view, half
        assert allocations.alive_bytes == 0
        assert allocations.peak_bytes == 6000
    torch.ones(5000)
    assert (allocations.alive_bytes, allocations.peak_bytes) == (0, 6000)


def test_what_autograd_keeps_is_alive():
    weight, x = torch.ones(8, 8, requires_grad=True), torch.ones(4, 8)
    with Allocations() as allocations:
        y = (x @ weight).exp().sum()
        # exp keeps its result; the sum is a scalar.
        assert allocations.alive_bytes == 4 * 8 * 4 + 4
        y.backward()
        assert allocations.peak_bytes > allocations.alive_bytes
        weight.grad = None
        del y
        assert allocations.alive_bytes == 0


@settings(max_examples=10, deadline=None)
@given(batch=st.integers(1, 4), wide=st.integers(1, 40), layers=st.integers(1, 4))
def test_fake_tensors_take_what_real_ones_do(batch, wide, layers):
    def run():
        parts = [torch.nn.Linear(wide, wide) for _ in range(layers)]
        model = torch.nn.Sequential(*[one for part in parts for one in (part, torch.nn.GELU())])
        x = torch.zeros(batch, wide, requires_grad=True)
        with Allocations() as allocations:
            y = model(x)
            kept = allocations.alive_bytes
            y.sum().backward()
        return kept, allocations.peak_bytes

    real = run()
    with FakeTensorMode():
        assert run() == real
