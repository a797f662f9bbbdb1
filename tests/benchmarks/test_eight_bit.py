"""The arithmetic of 8-bit kernels: rounding that can be checked by hand, small errors, nothing left behind."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from mova.errors import ConfigError
from mova.models.tower import VideoTower

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from eight_bit import attend, eight_bit_attention, float8_linears, round_float8, round_int8


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative(found, exact):
    return float((found - exact).norm() / exact.norm())


def inputs(offset=0.0):
    q, k, v = draw(2, 70, 3, 24, seed=1), draw(2, 150, 3, 24, seed=2), draw(2, 150, 3, 24, seed=3)
    # Keys that have a large part in common are what smoothing is for.
    k = k + offset * draw(3, 24, seed=4)
    exact = functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    return (q, k, v), exact


def test_int8_has_255_levels_of_the_largest_value_of_a_block():
    x = torch.tensor([[254.0, 1.9, -254.0], [0.9, 1.1, 3.1], [0.0, -127.0, 0.4]])
    assert round_int8(x, 2).equal(torch.tensor([[254.0, 2.0, -254.0], [0.0, 2.0, 4.0], [0.0, -127.0, 0.0]]))
    assert round_int8(torch.zeros(3, 4), 2).equal(torch.zeros(3, 4))


def test_float8_keeps_three_bits_behind_the_first():
    x = torch.tensor([[448.0, 17.0, 1.0625], [44.8, 1.7, 0.10625]])
    rounded = round_float8(x, dim=1)
    # 17 lies between 16 and 18, 1.0625 between 1 and 1.125: halves go to the even one. Each row has its own scale.
    torch.testing.assert_close(rounded, torch.tensor([[448.0, 16.0, 1.0], [44.8, 1.6, 0.1]]))


@pytest.mark.parametrize(("values", "at_most"), [("float16", 0.02), ("float8", 0.05)])
def test_attention_stays_near_the_exact_one(values, at_most):
    (q, k, v), exact = inputs()
    assert 1e-4 < relative(attend(q, k, v, values), exact) < at_most


def test_smoothing_takes_away_what_all_keys_share():
    plain, shared = (relative(attend(*given), exact) for given, exact in (inputs(), inputs(30.0)))
    assert shared < 2 * plain


def test_float8_costs_more_than_float16():
    given, exact = inputs()
    assert relative(attend(*given, "float8"), exact) > 2 * relative(attend(*given, "float16"), exact)


def test_the_dtype_of_the_values_comes_back():
    (q, k, v), _ = inputs()
    assert attend(q.bfloat16(), k.bfloat16(), v.bfloat16()).dtype == torch.bfloat16
    with pytest.raises(ConfigError, match="float16, float8; got 'int4'"):
        attend(q, k, v, "int4")


@pytest.mark.parametrize(
    "emulate", [lambda tower: eight_bit_attention([tower], "float8"), lambda tower: float8_linears([tower])]
)
def test_towers_are_changed_a_little_and_only_meanwhile(emulate):
    torch.manual_seed(0)
    tower = VideoTower(
        in_dim=36, out_dim=16, dim=96, num_heads=4, num_layers=2, ffn_dim=64, text_dim=32, freq_dim=32
    ).eval()
    given = draw(1, 36, 2, 8, 8), torch.tensor([500.0]), draw(1, 8, 32)

    @torch.no_grad()
    def run():
        prepared = tower.prepare(*given)
        tokens = prepared.tokens
        for block, context in zip(tower.blocks, prepared.contexts, strict=True):
            tokens = block(tokens, context, prepared.time_modulation, prepared.rotary)
        return tokens

    exact = run()
    with emulate(tower):
        assert 1e-4 < relative(run(), exact) < 0.1
    assert run().equal(exact)
    with pytest.raises(RuntimeError, match="stop"), emulate(tower):
        raise RuntimeError("stop")
    assert run().equal(exact)
