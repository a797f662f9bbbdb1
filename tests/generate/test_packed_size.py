"""Bytes of packed weights, by formula and on imagined tensors of the published size."""

import pytest
import torch

from mova.generate.dims import dims_from_directory
from mova.generate.locate import find_model
from mova.generate.packed_size import packed_weights_bytes
from mova.generate.published import find_configs, find_dims
from mova.models.convert import build_empty
from mova.models.lora import COMPONENTS
from mova.models.packed_layout import FROZEN_METHODS
from mova.models.quantize import pack_layers, packed_tensors

CLASSES = dict(zip(COMPONENTS, ("WanModel", "WanModel", "WanAudioModel", "DualTowerConditionalBridge"), strict=True))


def count(model, method):
    """Bytes on the meta device: packed weights and scales, and two per value of all else that is stored."""
    found = {}
    for name, config in find_configs(model).items():
        if name in CLASSES:
            component = build_empty(CLASSES[name], config)
            pack_layers(component, method)
            packed = packed_tensors(component)
            sizes = {key: value.numel() * value.element_size() for key, value in packed.items()}
            others = {key: 2 * value.numel() for key, value in component.state_dict().items() if key not in packed}
            found[name] = sum((sizes | others).values())
    return found


@pytest.mark.parametrize("method", FROZEN_METHODS)
def test_the_formula_counts_the_published_model_to_the_byte(method):
    assert packed_weights_bytes(find_dims("mova-360p"), method) == count("mova-360p", method)


def test_the_published_model_in_float8_takes_31_gib_and_in_nf4_18():
    model = find_dims("mova-360p")
    total = {method: sum(packed_weights_bytes(model, method).values()) / 2**30 for method in FROZEN_METHODS}
    assert total == pytest.approx({"float8": 30.9, "int8": 30.9, "nf4": 17.8}, abs=0.05)
    assert packed_weights_bytes(model, "float8")["video_dit"] == 14_536_468_608


def test_a_model_on_disk_is_counted_too():
    sizes = packed_weights_bytes(dims_from_directory(find_model("mova-tiny")), "int8", other_bytes=4)
    assert set(sizes) == set(COMPONENTS)
    assert sizes["dual_tower_bridge"] < torch.finfo(torch.float32).bits / 8 * 1_378_944
