"""Quantisation from folder to folder, shard by shard."""

import pytest
import torch

from mova.errors import CheckpointError, ConfigError
from mova.weights.components import load_component, write_component
from mova.weights.files import inspect_component
from mova.weights.locate import find_model
from mova.weights.quantize import stored as module
from mova.weights.quantize.layers import Quantizer, quantized_method
from mova.weights.quantize.layout import FROZEN_METHODS
from mova.weights.quantize.stored import quantize_stored
from mova.weights.rows import StoredRows

SOURCE = find_model("mova-tiny") / "dual_tower_bridge"


@pytest.mark.parametrize("method", FROZEN_METHODS)
@pytest.mark.parametrize("shard", ["10GB", "200KB"])
def test_what_is_written_is_what_quantizing_while_loading_gives(tmp_path, method, shard):
    errors = quantize_stored(SOURCE, tmp_path / "quantised", method, max_shard_size=shard)
    quantizer = Quantizer(method)
    expected = load_component(SOURCE, quantizer=quantizer).state_dict()
    assert errors == quantizer.errors
    found = load_component(tmp_path / "quantised")
    assert quantized_method(found) == method
    for key, tensor in found.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8), expected[key].view(torch.uint8)), key
    num_files = len(list((tmp_path / "quantised").glob("*.safetensors")))
    assert num_files == 1 if shard == "10GB" else num_files > 3


def test_what_is_not_quantized_may_have_another_dtype(tmp_path):
    quantize_stored(SOURCE, tmp_path / "quantised", "float8", dtype=torch.float32)
    dtypes = {tensor.dtype for tensor in inspect_component(tmp_path / "quantised").values()}
    assert dtypes == {"F8_E4M3", "F32"}


def test_each_weight_is_read_once_and_none_waits_for_the_end(tmp_path, monkeypatch):
    held, most = [], []

    class Counting(StoredRows):
        def read(self, name, rows):
            tensor = super().read(name, rows)
            if rows == slice(None):
                held.append(name)
            return tensor

    save = module.write_component

    def note(*args, read, **kwargs):
        def asked(key):
            most.append(len(held))
            return read(key)

        return save(*args, read=asked, **kwargs)

    monkeypatch.setattr(module, "StoredRows", Counting)
    monkeypatch.setattr(module, "write_component", note)
    quantize_stored(SOURCE, tmp_path / "quantised", "int8", max_shard_size="200KB")
    assert len(held) == len(set(held)) == len(inspect_component(SOURCE))
    # Tensors are read when they are asked for: before the n-th is, at most n - 1 have been.
    assert all(count <= asked for asked, count in enumerate(most))


def test_what_cannot_be_quantized_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match="only towers and the bridge can be quantised, got AudioAutoencoder"):
        quantize_stored(find_model("mova-tiny") / "audio_vae", tmp_path / "quantised", "float8")
    damaged = tmp_path / "damaged"
    write_component(load_component(SOURCE), damaged)
    file = next(damaged.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        quantize_stored(damaged, tmp_path / "quantised", "float8")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
