"""Weight files: headers, shards and their index, damage."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError
from mova.weights.components import load_component, write_component
from mova.weights.files import StoredTensor, inspect_component, key_shape_md5, read_header, read_headers

WEIGHTS = "diffusion_pytorch_model.safetensors"
KEY = "blocks.1.self_attn.q.weight"


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
    with pytest.raises(CheckpointError, match=r"must have the key .weight_map"):
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


# ---- headers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "part-1.safetensors")
    halves = {"b": torch.zeros(5, dtype=torch.float16), "c": torch.zeros((), dtype=torch.int64)}
    save_file(halves, tmp_path / "part-2.safetensors")
    return tmp_path


def test_a_header_gives_shape_and_dtype(parts):
    name = "part-2.safetensors"
    assert read_header(parts / name) == {"b": StoredTensor((5,), "F16", name), "c": StoredTensor((), "I64", name)}


def test_a_folder_without_weights_is_empty(tmp_path):
    assert read_headers(tmp_path) == {}


def test_a_file_that_was_cut_is_refused(parts):
    file = parts / "part-1.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"part-1\.safetensors is damaged .* must be a whole safetensors file"):
        read_header(file)


@pytest.mark.parametrize("content", [b"", b"not a weight file at all"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_header(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_header(tmp_path / "absent.safetensors")
