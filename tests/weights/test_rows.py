"""Rows of stored tensors."""

import pytest
import torch

from mova.errors import CheckpointError
from mova.models.presets import tiny
from mova.weights.components import component_class, load_component, write_component
from mova.weights.rows import StoredRows, empty_component


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("rows") / "audio_dit"
    # Several files with an index.
    write_component(component_class("WanAudioModel")(**tiny()["audio_dit"]), folder, max_shard_size="3MB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def test_rows_are_those_of_the_whole_tensor(folder):
    stored, whole = StoredRows(folder), load_component(folder).state_dict()
    for name, tensor in whole.items():
        length = len(tensor)
        for rows in (slice(0, length), slice(length // 3, 2 * length // 3), slice(length, length)):
            part = stored.read(name, rows)
            assert torch.equal(part, tensor[rows])
            # Its own memory, not a window on the file.
            assert part.untyped_storage().nbytes() == part.numel() * part.element_size()


def test_a_component_without_values_has_the_dtypes_that_loading_gives(folder):
    empty = empty_component(folder, "WanAudioModel", torch.bfloat16)
    loaded = load_component(folder, dtype=torch.bfloat16)
    found = {name: (p.dtype, p.shape) for name, p in empty.named_parameters()}
    assert found == {name: (p.dtype, p.shape) for name, p in loaded.named_parameters()}
    assert {dtype for dtype, _ in found.values()} == {torch.float32, torch.bfloat16}
    assert all(p.is_meta for p in empty.parameters())


def test_a_wrong_class_and_a_lost_file_are_explained(folder, tmp_path):
    with pytest.raises(CheckpointError, match="must hold a WanModel"):
        empty_component(folder, "WanModel", torch.float32)
    torch.manual_seed(0)
    write_component(component_class("WanAudioModel")(**tiny()["audio_dit"]), tmp_path / "lost")
    stored = StoredRows(tmp_path / "lost")
    next((tmp_path / "lost").glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match=r"\.safetensors is damaged or cut short"):
        stored.read("head.head.weight", slice(0, 2))
