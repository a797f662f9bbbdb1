"""Packed weights: small, close to the original, and learnable through."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mova.errors import ConfigError, MissingExtraError
from mova.generate.locate import find_model
from mova.models import quantize
from mova.models.convert import key_shapes, load_component
from mova.models.lora_merge import _check_weight
from mova.models.quantize import (
    METHODS,
    QuantizedLinear,
    Quantizer,
    quantizable_layers,
    quantize_component,
    quantize_weight,
    relative_error,
    summarise_errors,
)

# Of normally distributed weights: measured 0.007 to 0.01 and 0.09.
BOUNDS = {"int8": 0.02, "nf4": 0.11}
PARTS = ("video_dit", "audio_dit", "dual_tower_bridge")


def linear(wide_in=96, wide_out=40, seed=0, bias=True):
    torch.manual_seed(seed)
    return nn.Linear(wide_in, wide_out, bias=bias).requires_grad_(False)


@settings(max_examples=20, deadline=None)
@given(
    wide_in=st.integers(1, 130),
    wide_out=st.integers(1, 130),
    method=st.sampled_from(METHODS),
    scale=st.sampled_from([1e-2, 1.0]),
)
def test_any_shape_comes_back_close_to_the_original(wide_in, wide_out, method, scale):
    layer = linear(wide_in, wide_out)
    # Values grow from the first to the last: a scale that is taken from the wrong place shows.
    growing = torch.logspace(-2, 2, wide_out * wide_in).view(wide_out, wide_in)
    drawn = torch.randn(wide_out, wide_in, generator=torch.Generator().manual_seed(1))
    layer.weight.copy_(scale * growing * drawn)
    packed = QuantizedLinear.from_linear(layer, method)
    assert packed.dense().shape == (wide_out, wide_in)
    # Few or very uneven weights are further off than many even ones; one wrong scale is further off than all of them.
    error = relative_error(layer.weight, packed.weight, packed.scales, method)
    assert error < 2 * BOUNDS[method]
    x = torch.randn(3, wide_in)
    torch.testing.assert_close(packed(x), nn.functional.linear(x, packed.dense(), layer.bias))


@pytest.mark.parametrize(("method", "bytes_per_weight"), [("int8", 1.0), ("nf4", 0.5)])
def test_a_packed_weight_takes_the_room_it_promises(method, bytes_per_weight):
    layer = linear(512, 256, bias=False)
    packed = QuantizedLinear.from_linear(layer, method)
    taken = sum(t.numel() * t.element_size() for t in (packed.weight, packed.scales))
    scales = 256 if method == "int8" else 512 * 256 // 64
    assert taken == 512 * 256 * bytes_per_weight + 4 * scales
    # What is counted beforehand on the meta device is what there is.
    planned = QuantizedLinear(512, 256, False, method)
    assert (planned.weight.shape, planned.scales.shape) == (packed.weight.shape, packed.scales.shape)
    assert (planned.weight.dtype, planned.scales.dtype) == (packed.weight.dtype, packed.scales.dtype)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_layer_with_the_unpacked_weight(method):
    packed = QuantizedLinear.from_linear(linear(), method)
    plain = linear()
    plain.weight.copy_(packed.dense())
    packed.bias.requires_grad_()
    plain.bias.requires_grad_()
    inputs = [torch.randn(2, 5, 96, generator=torch.Generator().manual_seed(3)).requires_grad_() for _ in range(2)]
    for layer, x in zip((packed, plain), inputs, strict=True):
        layer(x).square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(packed.bias.grad, plain.bias.grad)
    assert packed.weight.grad is None


@pytest.mark.parametrize("method", METHODS)
def test_no_unpacked_weight_is_kept_for_the_backward_pass(method):
    packed = QuantizedLinear.from_linear(linear(), method)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        packed(torch.randn(2, 96).requires_grad_())
    assert {t.data_ptr() for t in saved} == {packed.weight.data_ptr(), packed.scales.data_ptr()}


@pytest.mark.parametrize("method", METHODS)
def test_autocast_computes_in_bfloat16_as_for_a_plain_layer(method):
    packed = QuantizedLinear.from_linear(linear(), method)
    x = torch.randn(4, 96).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = packed(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), packed(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", PARTS)
def test_a_component_is_packed_while_it_is_read_and_its_other_tensors_stay_as_they_are(name, method):
    folder = find_model("mova-tiny") / name
    plain = load_component(folder)
    quantizer = Quantizer(method)
    packed = load_component(folder, quantizer=quantizer)
    after = quantize_component(load_component(folder), method)
    paths = quantizable_layers(plain)
    assert set(quantizer.errors) == set(after) == {f"{path}.weight" for path in paths}
    for key, error in quantizer.errors.items():
        assert 0 < error < (0.05 if method == "int8" else 0.15), key
        assert error == pytest.approx(after[key], rel=0.05)
    changed = {f"{path}.{end}" for path in paths for end in ("weight", "scales")}
    state, original = packed.state_dict(), plain.state_dict()
    assert set(state) == set(original) | changed
    for key, tensor in original.items():
        assert key in changed or torch.equal(state[key], tensor), key
    stays = [path for path, module in packed.named_modules() if type(module) is nn.Linear]
    assert all(not path.startswith("blocks.") for path in stays)
    assert f"{len(paths)} weights, relative error 0." in summarise_errors(quantizer.errors)


def test_what_is_measured_is_the_error_of_each_weight():
    """Spoil one weight by a lone giant: its error grows, those of the others stay."""
    folder = find_model("mova-tiny") / "video_dit"
    first, second = load_component(folder), load_component(folder)
    second.blocks[2].ffn[0].weight.data[0, :64] *= torch.tensor([1000.0] + 63 * [1.0])
    before, after = quantize_component(first, "nf4"), quantize_component(second, "nf4")
    changed = [key for key in before if before[key] != after[key]]
    assert changed == ["blocks.2.ffn.0.weight"]
    assert relative_error(torch.zeros(4, 64), *quantize_weight(torch.zeros(4, 64), "nf4"), "nf4") == 0


def test_blocks_with_packed_weights_compile_without_a_graph_break():
    tower = load_component(find_model("mova-tiny") / "audio_dit", quantizer=Quantizer("nf4"))
    layer = tower.blocks[0].ffn[0]
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, layer.in_features)
    torch.testing.assert_close(compiled(x), layer(x))


def test_a_packed_weight_is_not_taken_for_one_that_adapters_can_be_merged_into():
    layer = QuantizedLinear.from_linear(linear(), "nf4")
    with pytest.raises(ConfigError, match=r"plain floating-point weights, got Tensor of torch\.uint8"):
        _check_weight(layer.weight, ("video_dit", "blocks.0.ffn.0"))


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(MissingExtraError, match=r"bitsandbytes is needed .*mova\[quantize\]"):
        Quantizer("nf4")


def test_wrong_methods_and_components_are_explained():
    with pytest.raises(ConfigError, match="quantisation must be int8 or nf4, got 'int4'"):
        quantize_weight(torch.randn(4, 64), "int4")
    with pytest.raises(ConfigError, match="only towers and the bridge can be quantised, got Linear"):
        quantize_component(linear(), "nf4")
    assert summarise_errors({}) == "no weights quantised"


def test_only_one_file_knows_the_library_of_packed_weights():
    from pathlib import Path

    package = Path(quantize.__file__).parents[1]
    users = [path.name for path in package.rglob("*.py") if "bitsandbytes.functional" in path.read_text()]
    assert users == ["quantize.py"]
    assert "quantize.py" in {path.name for path in package.rglob("*.py")}
    assert key_shapes(QuantizedLinear(4, 4, False, "int8")) == {"weight": (4, 4), "scales": (4,)}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_packs_and_computes_as_the_cpu(method):
    layer = linear()
    here, there = QuantizedLinear.from_linear(layer, method), QuantizedLinear.from_linear(linear().cuda(), method)
    torch.testing.assert_close(there.dense().cpu(), here.dense(), rtol=0.02, atol=0.02)
    x = torch.randn(3, 96)
    torch.testing.assert_close(there(x.cuda()).cpu(), here(x), rtol=0.05, atol=0.05)
