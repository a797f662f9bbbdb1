"""Linear layers through oneDNN: the same sums, only where they may be."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.torch_version import TorchVersion

from mova.kernels import cpu_linear
from mova.kernels.calibration import shape_classes
from mova.kernels.cpu_linear import MIN_ROWS, linears_in_use, restore_onednn_linears, use_onednn_linears
from mova.kernels.linear_choice import MANY_ROWS, LinearChoice
from mova.models.modulation import Float32Linear


@pytest.fixture(autouse=True)
def any_processor(monkeypatch):
    """The operation is there on every processor; only its gain is not."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


def calls_of_onednn(call):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call()
    return sum(event.count for event in profile.key_averages() if "_linear_pointwise" in event.key)


@given(
    rows=st.integers(1, 3 * MIN_ROWS),
    width=st.integers(1, 40),
    out=st.integers(1, 40),
    bias=st.booleans(),
    batch=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_the_sums_are_those_of_the_plain_layer(rows, width, out, bias, batch):
    layer = nn.Linear(width, out, bias=bias)
    x = torch.randn(batch, rows, width)
    with torch.no_grad():
        plain = layer(x)
        assert use_onednn_linears([layer]) == use_onednn_linears([layer]) == 1
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)


def test_it_is_used_for_many_rows_in_float32_and_bfloat16_without_gradients_only():
    layer = nn.Linear(16, 8)
    use_onednn_linears([layer])
    many, few = torch.randn(MIN_ROWS, 16), torch.randn(MIN_ROWS - 1, 16)
    with torch.no_grad():
        assert calls_of_onednn(lambda: layer(many)) == 1
        assert calls_of_onednn(lambda: layer(few)) == 0
        with torch.autocast("cpu", torch.bfloat16):
            assert calls_of_onednn(lambda: layer(many)) == 0
            assert layer(many).dtype == torch.bfloat16
        half = copy.deepcopy(layer).bfloat16()
        assert calls_of_onednn(lambda: half(many.bfloat16())) == 1
        assert calls_of_onednn(lambda: half.half()(many.half())) == 0
    assert calls_of_onednn(lambda: layer(many)) == 0
    layer(many).sum().backward()
    assert layer.weight.grad is not None


def test_a_copy_has_weights_of_its_own():
    layer = nn.Linear(4, 4)
    use_onednn_linears([layer])
    other = copy.deepcopy(layer)
    x = torch.randn(MIN_ROWS, 4)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.zero_()
        assert other(x).abs().max() == 0
        assert layer(x).abs().max() > 0


def test_changed_weights_count_at_once():
    layer = nn.Linear(4, 4, bias=False)
    use_onednn_linears([layer])
    x = torch.randn(MIN_ROWS, 4)
    with torch.no_grad():
        before = layer(x)
        layer.weight.mul_(2)
        torch.testing.assert_close(layer(x), 2 * before)


def test_subclasses_and_other_processors_keep_their_own_way(monkeypatch):
    assert use_onednn_linears([nn.Sequential(Float32Linear(4, 4), nn.ReLU())]) == 0
    monkeypatch.setattr(cpu_linear.torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert use_onednn_linears([nn.Linear(4, 4)]) == 0


@torch.no_grad()
@pytest.mark.parametrize("approximate", ["tanh", "none"])
@pytest.mark.parametrize("rows", [MIN_ROWS, 1])
def test_a_gelu_behind_a_layer_is_applied_once(approximate, rows):
    sequence = nn.Sequential(nn.Linear(8, 16), nn.GELU(approximate=approximate), nn.Linear(16, 8), nn.GELU())
    x = torch.randn(2, rows, 8)
    plain = sequence(x)
    use_onednn_linears([sequence])
    torch.testing.assert_close(sequence(x), plain, atol=1e-6, rtol=1e-5)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        sequence(x)
    gelus = sum(event.count for event in profile.key_averages() if event.key == "aten::gelu")
    assert gelus == (0 if 2 * rows >= MIN_ROWS else 2)


@torch.no_grad()
def test_what_takes_the_place_of_a_layer_or_listens_to_it_gets_what_it_expects():
    class Doubled(nn.Module):
        """As an adapter around a layer."""

        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return 2 * self.layer(x)

    sequence, x = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), torch.randn(MIN_ROWS, 8)
    inner = sequence[0](x)
    use_onednn_linears([sequence])
    heard = []
    handle = sequence[0].register_forward_hook(lambda _, __, output: heard.append(output))
    sequence(x)
    handle.remove()
    torch.testing.assert_close(heard[0], inner, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(sequence[0](x), inner, atol=1e-6, rtol=1e-5)
    sequence[0] = Doubled(sequence[0])
    expected = sequence[2](nn.functional.gelu(2 * inner))
    torch.testing.assert_close(sequence(x), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_compiled_code_calls_onednn_too_with_the_gelu():
    sequence, x = nn.Sequential(nn.Linear(16, 8), nn.GELU()), torch.randn(MIN_ROWS, 16)
    plain = sequence(x)
    use_onednn_linears([sequence])
    torch._dynamo.reset()
    compiled = torch.compile(lambda value: sequence(value), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), plain, atol=1e-6, rtol=1e-5)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        compiled(x)
    counts = {event.key: event.count for event in profile.key_averages()}
    assert counts["mkldnn::_linear_pointwise"] == 1
    # The compiler of PyTorch 2.11 walks through a sequence by itself: the same numbers, the GELU on its own.
    if TorchVersion(torch.__version__) >= "2.13":
        assert "aten::gelu" not in counts
    torch._dynamo.reset()


def all_products(layers, product):
    shapes = [str(one) for one in shape_classes(layers)]
    return LinearChoice("here", dict.fromkeys(shapes, product))


@torch.no_grad()
def test_a_choice_says_which_products_go_to_onednn():
    layer = nn.Linear(16, 8)
    choice = LinearChoice("here", {"16x8 few": "torch", "16x8 many": "onednn"})
    assert use_onednn_linears([layer], choice) == 1
    few, many = torch.randn(MIN_ROWS, 16), torch.randn(MANY_ROWS, 16)
    assert calls_of_onednn(lambda: layer(few)) == 0
    assert calls_of_onednn(lambda: layer(many)) == 1
    assert linears_in_use([layer], "here") == choice


@torch.no_grad()
def test_a_choice_without_onednn_gives_torchs_bits_and_takes_back_what_was_there():
    sequence, x = nn.Sequential(nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 8)), torch.randn(MANY_ROWS, 16)
    plain = sequence(x)
    assert use_onednn_linears([sequence]) == 2
    assert calls_of_onednn(lambda: sequence(x)) == 2
    assert use_onednn_linears([sequence], all_products([sequence], "torch")) == 0
    assert torch.equal(sequence(x), plain)
    assert linears_in_use([sequence], "here") == all_products([sequence], "torch")


@torch.no_grad()
def test_a_choice_serves_processors_without_avx512_and_survives_copies(monkeypatch):
    monkeypatch.setattr(cpu_linear.torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    layer, x = nn.Linear(16, 8), torch.randn(MANY_ROWS, 16)
    choice = LinearChoice("here", {"16x8 few": "torch", "16x8 many": "onednn"})
    use_onednn_linears([layer], choice)
    for copied in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        restore_onednn_linears([copied])
        assert calls_of_onednn(lambda copied=copied: copied(x)) == 1
        assert calls_of_onednn(lambda copied=copied: copied(x[:MIN_ROWS])) == 0


@torch.no_grad()
def test_compiled_code_follows_a_choice():
    layer, x = nn.Linear(16, 8), torch.randn(MANY_ROWS, 16)
    use_onednn_linears([layer], LinearChoice("here", {"16x8 few": "torch", "16x8 many": "onednn"}))
    torch._dynamo.reset()
    compiled = torch.compile(lambda value: layer(value), backend="eager", fullgraph=True)
    assert calls_of_onednn(lambda: compiled(x)) == 1
    assert calls_of_onednn(lambda: compiled(x[:MIN_ROWS])) == 0
    torch._dynamo.reset()
