"""Names of parts: one table, from which all others follow."""

import json

import pytest

from mova import names
from mova.models.presets import mova_360p, tiny


def test_every_part_of_the_shipped_model_has_its_published_class():
    index = json.loads((names.SHIPPED_MODELS / "mova-tiny" / names.INDEX_FILE).read_text())
    parts = {name: tuple(entry) for name, entry in index.items() if isinstance(entry, list)}
    assert parts == dict(names.PUBLISHED_COMPONENTS)


@pytest.mark.parametrize("preset", [tiny, mova_360p])
def test_presets_size_every_part_that_denoises(preset):
    assert set(names.COMPONENTS) <= set(preset())


def test_all_that_has_weights_has_a_class_and_is_named_once():
    assert sorted(names.NETWORKS) == sorted({*names.COMPONENTS, *names.ENCODERS})
    assert set(names.NETWORKS) <= set(names.PUBLISHED_COMPONENTS)
    assert names.published_class("dual_tower_bridge") == "DualTowerConditionalBridge"


def test_experts_are_components_and_the_second_may_be_absent():
    assert set(names.EXPERTS.values()) <= set(names.COMPONENTS)
    assert set(names.OPTIONAL_COMPONENTS) < set(names.EXPERTS.values())
