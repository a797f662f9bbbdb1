"""What one block takes: found with fake tensors, compared with real ones."""

import itertools

import pytest
import torch

from mova.kernels import cpu_attention
from mova.models.presets import tiny
from mova.models.rope import audio_rotary, video_rotary
from mova.models.tower import AudioTower, VideoTower
from mova.names import COMPONENTS
from mova.train.build.adapters import add_adapters
from mova.train.config import AdapterConfig
from mova.train.plan.allocations import Allocations
from mova.train.plan.unit_memory import UnitSizes, cast_weights, measure_units
from quantised import quantise

ADAPTER = AdapterConfig(rank=4, alpha=4)


@pytest.fixture(autouse=True)
def attention_of_a_gpu(monkeypatch):
    """Real blocks stand for those of a GPU here: no attention of training on CPUs, which keeps its weights."""
    monkeypatch.setattr(cpu_attention, "multiplies_bfloat16", lambda: False)


def sizes(dtype=torch.float32, autocast=False, grid=(3, 6, 5)):
    return UnitSizes(2, grid, 40, 7, dtype, autocast)


def measure(chosen, method=None, adapter=ADAPTER):
    configs = {name: tiny()[name] for name in COMPONENTS}
    return measure_units(configs, dict.fromkeys(configs, adapter), chosen, method)


def saved_bytes(call, weights):
    """Bytes of everything that autograd saves, each storage once, but for weights."""
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = call()
    known = {weight.untyped_storage().data_ptr() for weight in weights}
    return sum(size for pointer, size in storages.items() if pointer not in known), output


# Every method with both dtypes, each of a tower; the other half is slow.
IN_SUITE = {
    ("video_dit", None, torch.float32),
    ("video_dit", "nf4", torch.bfloat16),
    ("video_dit", "int8", torch.float32),
    ("video_dit", "float8", torch.bfloat16),
    ("audio_dit", None, torch.bfloat16),
    ("audio_dit", "nf4", torch.float32),
    ("audio_dit", "int8", torch.bfloat16),
    ("audio_dit", "float8", torch.float32),
}
BLOCKS = [
    pytest.param(*case, case[2] == torch.bfloat16, marks=[pytest.mark.slow] * (case not in IN_SUITE))
    for case in itertools.product(
        ("video_dit", "audio_dit"), (None, "nf4", "int8", "float8"), (torch.float32, torch.bfloat16)
    )
]


@pytest.mark.parametrize(("name", "method", "dtype", "autocast"), BLOCKS)
def test_a_real_block_saves_and_takes_what_was_counted(name, method, dtype, autocast):
    planned = measure(sizes(dtype, autocast), method)[name]
    is_video = name == "video_dit"
    tower = (VideoTower if is_video else AudioTower)(**tiny()[name] | {"num_layers": 1}).requires_grad_(False)
    cast_weights(tower, dtype)
    if method:
        quantise(tower, method)
    add_adapters(tower, name, ADAPTER)
    number = 90 if is_video else 40
    rotary = video_rotary((3, 6, 5), 48, torch.device("cpu")) if is_video else audio_rotary(40, 48, torch.device("cpu"))
    tokens = torch.randn(2, number, tower.config.dim, dtype=dtype, requires_grad=True)
    others = (torch.randn(2, 7, tower.config.dim, dtype=dtype), torch.randn(2, 6, tower.config.dim), rotary)

    def call():
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast, cache_enabled=False):
            return tower.blocks[0](tokens, *others)

    inputs = [tokens, *others[:2], *rotary, *tower.parameters(), *tower.buffers()]
    found, output = saved_bytes(call, inputs)
    # What autograd is seen to save and what was counted to be alive: but for scalars and the result they are the same.
    assert planned.saved == pytest.approx(found, rel=0.05)
    assert planned.inputs == 2 * number * tower.config.dim * tokens.element_size()
    output.backward(torch.zeros_like(output))
    with Allocations() as allocations:
        output = call()
        output.backward(torch.zeros_like(output))
    assert planned.peak == pytest.approx(allocations.peak_bytes, rel=0.05)


def test_under_autocast_adapters_keep_no_copies_in_float32(monkeypatch):
    """PEFT casts what enters an adapter; three layers that read the same tokens would keep three copies."""
    from mova.train.build import adapters

    lean = measure(sizes(torch.bfloat16, autocast=True))["video_dit"]
    monkeypatch.setattr(adapters, "_cast_where_needed", lambda *_: None)
    plain = measure(sizes(torch.bfloat16, autocast=True))["video_dit"]
    assert lean.saved < 0.93 * plain.saved
    assert lean.peak < 0.9 * plain.peak


def test_a_quantized_layer_keeps_no_more_than_a_plain_one():
    plain, quantized = measure(sizes()), measure(sizes(), "nf4")
    assert quantized["video_dit"].saved <= plain["video_dit"].saved
    # It dequantises one weight at a time.
    largest = 4 * 192 * 768
    assert quantized["video_dit"].peak <= plain["video_dit"].peak + 2 * largest


def test_tokens_are_what_memory_grows_with():
    once, twice = measure(sizes())["video_dit"], measure(sizes(grid=(6, 6, 5)))["video_dit"]
    assert twice.inputs == 2 * once.inputs
    assert twice.saved == pytest.approx(2 * once.saved, rel=0.1)


def test_layers_that_are_named_one_by_one_count_and_units_without_adapters_save_little():
    named = AdapterConfig(rank=4, alpha=4, targets=("blocks.3.ffn.0", "blocks.5.ffn.0"))
    configs = {"video_dit": tiny()["video_dit"], "audio_dit": tiny()["audio_dit"]}
    found = measure_units(configs, {"video_dit": named}, sizes(), None)
    all_of_them = measure(sizes())
    assert found["video_dit"].saved < all_of_them["video_dit"].saved
    assert set(found) == {"video_dit", "audio_dit", "video_head", "audio_head"}
    assert set(all_of_them) == {*found, "video_dit_2", "audio_to_video", "video_to_audio"}


def test_real_tables_of_positions_are_not_touched_by_fake_ones():
    measure(sizes())
    table = video_rotary((3, 6, 5), 48, torch.device("cpu"))
    assert type(table.cos) is torch.Tensor
