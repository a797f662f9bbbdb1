"""Components on disk: strict reading, round trips, inspection."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError
from mova.models import presets
from mova.models.audio_vae import AudioAutoencoder
from mova.models.bridge import CrossModalBridge
from mova.models.convert import (
    build_empty,
    component_class,
    load_component,
    published_class_name,
    verify_component,
    write_component,
)
from mova.models.tower import AudioTower, VideoTower
from mova.models.weight_files import inspect_component, key_shape_md5

AUDIO = {
    "dim": 24,
    "in_dim": 8,
    "out_dim": 8,
    "ffn_dim": 48,
    "text_dim": 32,
    "freq_dim": 32,
    "num_heads": 1,
    "num_layers": 2,
}
WEIGHTS = "diffusion_pytorch_model.safetensors"
KEY = "blocks.1.self_attn.q.weight"


@pytest.fixture
def tower():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AudioTower(**AUDIO).eval()


@pytest.fixture
def stored(tower, tmp_path):
    write_component(tower, tmp_path / "audio_dit")
    return tmp_path / "audio_dit"


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


def test_inspection_lists_shapes_dtypes_and_files_without_reading_weights(tower, stored):
    tensors = inspect_component(stored)
    assert set(tensors) == set(tower.state_dict())
    assert tensors[KEY].shape == (24, 24)
    assert tensors[KEY].dtype == "F32"
    assert tensors[KEY].file == WEIGHTS


def test_the_fingerprint_depends_on_names_and_shapes_and_not_on_their_order():
    first = key_shape_md5({"a": (1, 2), "b": (3,)})
    assert first == hashlib.md5(b"a,a:1_2,b,b:3", usedforsecurity=False).hexdigest()
    assert first == key_shape_md5({"b": (3,), "a": [1, 2]})
    assert first != key_shape_md5({"a": (2, 1), "b": (3,)})
    assert first != key_shape_md5({"a": (1, 2), "c": (3,)})


# ---- what does not fit is named, and nothing is loaded -----------------------------------------------------------


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


def test_shards_must_be_there_whole_and_agree_with_the_index(tower, tmp_path):
    directory = tmp_path / "part"
    write_component(tower, directory, max_shard_size="20KB")
    shards = sorted(directory.glob("*.safetensors"))
    index_path = directory / f"{WEIGHTS}.index.json"
    text = index_path.read_text()

    index = json.loads(text)
    index["weight_map"][KEY] = next(shard.name for shard in shards if shard.name != index["weight_map"][KEY])
    index_path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=rf"first offending key '{KEY}' should be in"):
        load_component(directory)

    del index["weight_map"][KEY]
    index_path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=rf"'{KEY}' should be in no file"):
        load_component(directory)

    index_path.write_text("{}")
    with pytest.raises(CheckpointError, match="must map tensors to files under weight_map"):
        load_component(directory)

    index_path.write_text(text)
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[:-10])
    with pytest.raises(CheckpointError, match=f"{shards[1].name} is damaged or cut short"):
        load_component(directory)
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"1 missing: first {shards[1].name}"):
        load_component(directory)


def test_a_tensor_stored_twice_is_refused(tower, tmp_path):
    directory = tmp_path / "part"
    write_component(tower, directory, max_shard_size="20KB")
    first, second = sorted(directory.glob("*.safetensors"))[:2]
    key = next(iter(load_file(first)))
    save_file({**load_file(second), key: torch.zeros(1)}, second)
    with pytest.raises(CheckpointError, match="must be stored once"):
        inspect_component(directory)


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


def test_missing_or_unreadable_files_are_refused(stored, tmp_path):
    with pytest.raises(CheckpointError, match=r"needs config.json, not found in"):
        load_component(tmp_path / "nowhere")
    (stored / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"must hold diffusion_pytorch_model.safetensors or model.safetensors"):
        load_component(stored)
    (stored / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="must hold a JSON object, got list"):
        load_component(stored)
    (stored / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_component(stored)


def test_writing_where_nothing_can_be_written_leaves_nothing(tower, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_component(tower, tmp_path / "file")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_component(tower, tmp_path / "file" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
