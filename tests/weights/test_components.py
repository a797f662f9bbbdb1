"""Components on disk: strict reading, round trips, inspection."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError, MissingExtraError
from mova.models import presets
from mova.models.audio_vae import AudioAutoencoder
from mova.models.bridge import CrossModalBridge
from mova.models.tower import AudioTower, VideoTower
from mova.weights.components import (
    build_empty,
    component_class,
    load_component,
    published_class_name,
    read_config,
    stored_quantization,
    verify_component,
    write_component,
)
from mova.weights.files import inspect_component
from mova.weights.quantize.layers import Quantizer, quantized_method, quantized_tensors
from mova.weights.quantize.layout import FROZEN_METHODS
from quantised import quantise

WEIGHTS = "diffusion_pytorch_model.safetensors"
KEY = "blocks.1.self_attn.q.weight"


def _edit(directory, change):
    state = load_file(directory / WEIGHTS)
    change(state)
    save_file(state, directory / WEIGHTS, metadata={"format": "pt"})


def _edit_config(directory, change):
    config = json.loads((directory / "config.json").read_text())
    change(config)
    (directory / "config.json").write_text(json.dumps(config))


def _same(first, second):
    one, other = first.state_dict(), second.state_dict()
    return list(one) == list(other) and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("WanModel", VideoTower),
        ("WanAudioModel", AudioTower),
        ("DualTowerConditionalBridge", CrossModalBridge),
        ("DAC", AudioAutoencoder),
    ],
)
def test_published_names_and_our_classes_map_both_ways(published, ours):
    assert component_class(published) is ours
    assert component_class(ours.__name__) is ours
    assert published_class_name(ours) == published


def test_a_component_survives_writing_and_reading(tower, stored):
    loaded = load_component(stored, expected_class="WanAudioModel")
    assert isinstance(loaded, AudioTower)
    assert not loaded.training
    assert _same(loaded, tower)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    inputs = torch.randn(1, 8, 5), torch.tensor([3.0]), torch.randn(1, 2, 32)
    # The weights are the same bits; their places in memory differ, which some matrix kernels round by.
    torch.testing.assert_close(loaded(*inputs), tower(*inputs), rtol=1e-6, atol=1e-6)


def test_written_config_has_the_published_class_and_keys(stored):
    config = json.loads((stored / "config.json").read_text())
    assert config["_class_name"] == "WanAudioModel"
    assert config["vae_type"] == "dac"
    assert config["patch_size"] == [1]
    assert [key for key in config if key.startswith("_")] == ["_class_name", "_diffusers_version"]


def test_diffusers_reads_what_we_write(tower, stored):
    assert _same(AudioTower.from_pretrained(stored), tower)


@pytest.mark.parametrize(
    "component",
    [
        lambda: CrossModalBridge(**{**presets.tiny_bridge(), "interaction_strategy": "distributed"}),
        lambda: AudioAutoencoder(**{**presets.tiny_audio_vae(), "use_weight_norm": True}),
    ],
)
def test_every_kind_of_component_survives_shards(tmp_path, component):
    component = component()
    files = write_component(component, tmp_path / "part", max_shard_size="500KB")
    assert files[0].name == "config.json"
    assert len([file for file in files if file.suffix == ".safetensors"]) > 2
    assert (tmp_path / "part" / f"{WEIGHTS}.index.json").is_file()
    assert _same(load_component(tmp_path / "part"), component)


def test_a_rewritten_directory_keeps_no_stale_weights(tower, tmp_path):
    write_component(tower, tmp_path / "part", max_shard_size="20KB")
    (tmp_path / "part" / "notes.txt").write_text("kept")
    write_component(tower, tmp_path / "part")
    assert sorted(path.name for path in (tmp_path / "part").iterdir()) == ["config.json", WEIGHTS, "notes.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_weights_can_be_stored_in_bfloat16_and_read_as_float32(tower, tmp_path):
    write_component(tower, tmp_path / "part", dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in inspect_component(tmp_path / "part").values()} == {"BF16"}
    loaded = load_component(tmp_path / "part", dtype=torch.float32)
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, tower.state_dict()[key].to(torch.bfloat16).float())


def test_reading_in_bfloat16_keeps_the_noise_level_in_float32(tower, stored):
    loaded = load_component(stored, dtype=torch.bfloat16)
    assert loaded.blocks[0].ffn[0].weight.dtype == torch.bfloat16
    assert loaded.time_embedding[0].weight.dtype == torch.float32
    assert torch.equal(loaded.head.modulation, tower.head.modulation)


def test_a_text_encoder_may_store_its_tied_embedding_once(tmp_path):
    encoder = component_class("UMT5EncoderModel")(
        build_empty("UMT5EncoderModel", {**presets.tiny_text_encoder(), "num_layers": 1}).config
    ).eval()
    write_component(encoder, tmp_path / "text_encoder")
    assert len(inspect_component(tmp_path / "text_encoder")) == len(encoder.state_dict()) - 1
    loaded = load_component(tmp_path / "text_encoder", expected_class="UMT5EncoderModel")
    tokens = torch.tensor([[5, 9, 1]])
    with torch.no_grad():
        assert torch.equal(loaded(tokens).last_hidden_state, encoder(tokens).last_hidden_state)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state.pop(KEY), rf"'{KEY}' is missing; 1 missing, 0 extra, 0 mis-shaped of 69"),
        (
            lambda state: (state.pop(KEY), state.pop("head.modulation")),
            rf"'{KEY}' is missing; 2 missing, 0 extra, 0 mis-shaped",
        ),
        (
            lambda state: state.update(unknown=torch.zeros(1)),
            "'unknown' does not belong there; 0 missing, 1 extra, 0 mis-shaped",
        ),
        (
            lambda state: state.update({KEY: torch.zeros(24, 23)}),
            rf"'{KEY}' is \[24, 23\] and must be \[24, 24\]; 0 missing, 0 extra, 1 mis-shaped",
        ),
        (
            lambda state: state.update({"x." + KEY: state.pop(KEY), "head.head.bias": torch.zeros(3)}),
            rf"'{KEY}' is missing; 1 missing, 1 extra, 1 mis-shaped",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_counted(stored, change, text):
    _edit(stored, change)
    with pytest.raises(CheckpointError, match=text):
        load_component(stored)
    with pytest.raises(CheckpointError, match=text):
        verify_component(stored)


def test_verification_reads_no_weights(stored):
    assert {value.device.type for value in verify_component(stored).state_dict().values()} == {"meta"}


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_file_cut_short_is_refused(stored, kept):
    path = stored / WEIGHTS
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model.safetensors is damaged or cut short"):
        load_component(stored)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda config: config.update(_class_name="WanModel"),
            "must hold a WanAudioModel, its config.json says WanModel",
        ),
        (lambda config: config.update(_class_name="Sora"), "class must be one of WanModel, .*; got 'Sora'"),
        (lambda config: config.pop("_class_name"), "config must name its class"),
        (lambda config: config.update(num_haeds=2), r"takes no 'num_haeds' \(1 unknown keys"),
        (lambda config: config.update(num_heads=5), "cannot be used: num_heads must divide dim 24, got 5"),
        (lambda config: config.update(dim=48), "'patch_embedding.weight' is .* and must be"),
    ],
)
def test_a_config_of_something_else_is_refused(stored, change, text):
    _edit_config(stored, change)
    with pytest.raises(CheckpointError, match=text):
        load_component(stored, expected_class="WanAudioModel")


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool])
def test_weights_that_are_no_numbers_with_a_point_are_refused(stored, dtype):
    tensors = load_file(stored / WEIGHTS)
    key = min(key for key in tensors if key.endswith("weight"))
    tensors[key] = torch.zeros(tensors[key].shape, dtype=dtype)
    save_file(tensors, stored / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"must be F32 or BF16 or .*; 0 missing, .* 1 of another dtype"):
        load_component(stored)


def test_missing_or_unreadable_files_are_refused(stored, tmp_path):
    with pytest.raises(CheckpointError, match=r"config.json must exist, and does not"):
        load_component(tmp_path / "nowhere")
    (stored / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"must hold diffusion_pytorch_model.safetensors or model.safetensors"):
        load_component(stored)
    (stored / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"must be a JSON object, got \[1\]"):
        load_component(stored)
    (stored / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="must be JSON"):
        load_component(stored)


def test_writing_where_nothing_can_be_written_leaves_nothing(tower, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_component(tower, tmp_path / "file")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_component(tower, tmp_path / "file" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture(params=FROZEN_METHODS)
def quantized(request, tower, tmp_path):
    """A component with quantised weights, how they are quantised, and its folder."""
    quantise(tower, request.param)
    write_component(tower, tmp_path / "quantised")
    return tower, request.param, tmp_path / "quantised"


def test_quantized_weights_survive_writing_and_reading_bit_for_bit(quantized):
    tower, method, folder = quantized
    config = read_config(folder)
    assert config["quantization_config"] == {"quant_method": method}
    assert stored_quantization(config) == method
    assert quantized_method(verify_component(folder)) == method
    loaded = load_component(folder, dtype=torch.bfloat16)
    kept = quantized_tensors(tower)
    for key, tensor in loaded.state_dict().items():
        expected = tower.state_dict()[key]
        if key in kept:
            assert torch.equal(tensor.view(torch.uint8), expected.view(torch.uint8)), key
        else:
            assert tensor.dtype in (torch.bfloat16, torch.float32), key
    # Written again, in another dtype and in shards: the same once more.
    write_component(loaded, folder.parent / "again", dtype=torch.float32, max_shard_size="10KB")
    again = load_component(folder.parent / "again")
    assert all(
        torch.equal(quantized_tensors(again)[key].view(torch.uint8), kept[key].view(torch.uint8)) for key in kept
    )


def _drop(key):
    return lambda state: state.pop(key)


def _cast(key, dtype):
    return lambda state: state.update({key: state[key].to(dtype)})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_drop("blocks.0.ffn.0.scales"), r"in float8: 'blocks\.0\.ffn\.0\.scales' is missing; 1 missing"),
        (_cast(KEY, torch.bfloat16), rf"'{KEY}' is BF16 and must be F8_E4M3; .* 1 of another dtype"),
        (_cast("blocks.0.ffn.0.scales", torch.bfloat16), r"ffn\.0\.scales' is BF16 and must be F32; .* 1 of another"),
        (lambda state: state.update(surplus=torch.zeros(1)), "'surplus' does not belong there; 0 missing, 1 extra"),
        (lambda state: state.update({KEY: state[KEY][:3]}), r"is \[3, 24\] and must be \[24, 24\]; .* 1 mis-shaped"),
    ],
)
def test_quantized_tensors_that_do_not_fit_are_named_and_counted(tower, tmp_path, change, text):
    quantise(tower, "float8")
    write_component(tower, tmp_path / "quantised")
    _edit(tmp_path / "quantised", change)
    with pytest.raises(CheckpointError, match=text):
        load_component(tmp_path / "quantised")


def test_the_config_and_the_files_must_say_the_same(tower, stored, tmp_path):
    config = read_config(stored)
    (stored / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "float8"}}))
    with pytest.raises(CheckpointError, match=r"in float8: 'blocks\.0\.self_attn\.q\.scales' is missing; 20 missing"):
        load_component(stored)
    (stored / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gguf"}}))
    with pytest.raises(CheckpointError, match=r"quant_method must be float8, int8, nf4, got 'gguf'"):
        load_component(stored)
    quantise(tower, "int8")
    write_component(tower, tmp_path / "quantised")
    quantized = read_config(tmp_path / "quantised")
    plain = {key: value for key, value in quantized.items() if key != "quantization_config"}
    (tmp_path / "quantised" / "config.json").write_text(json.dumps(plain))
    with pytest.raises(CheckpointError, match=r"'blocks\.0\.cross_attn\.k\.scales' does not belong there; .* 20 extra"):
        load_component(tmp_path / "quantised")


def test_a_quantized_component_is_read_by_its_own_method_or_by_one_that_computes_with_the_same_weights(tower, tmp_path):
    quantise(tower, "float8")
    write_component(tower, tmp_path / "quantised")
    assert quantized_method(load_component(tmp_path / "quantised", quantizer=Quantizer("float8"))) == "float8"
    assert (
        quantized_method(load_component(tmp_path / "quantised", quantizer=Quantizer("float8_linear")))
        == "float8_linear"
    )
    with pytest.raises(CheckpointError, match="stored in float8 cannot be loaded in int8; nearest is float8"):
        load_component(tmp_path / "quantised", quantizer=Quantizer("int8"))


def test_what_is_merged_is_in_the_weight_before_it_is_quantized(tower, stored):
    def double(key, tensor):
        return tensor * 2 if key == KEY else tensor

    plain = load_component(stored, quantizer=Quantizer("float8"))
    merged = load_component(stored, quantizer=Quantizer("float8"), merge=double)
    path = KEY.removesuffix(".weight")
    torch.testing.assert_close(merged.get_submodule(path).dense(), 2 * plain.get_submodule(path).dense())
    assert torch.equal(load_component(stored, merge=double).state_dict()[KEY], 2 * tower.state_dict()[KEY])


def test_quantized_weights_without_what_dequantizes_them_are_a_missing_extra(tower, tmp_path, monkeypatch):
    quantise(tower, "nf4")
    write_component(tower, tmp_path / "quantised")
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(MissingExtraError, match=r"mova\[quantize\]"):
        load_component(tmp_path / "quantised")
    # Looking at it needs nothing.
    assert quantized_method(verify_component(tmp_path / "quantised")) == "nf4"
