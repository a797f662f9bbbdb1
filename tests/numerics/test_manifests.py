"""State-dict names and shapes at full scale, on the meta device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mova.models import presets
from mova.weights.components import build_empty, key_shapes
from mova.weights.files import key_shape_md5

MANIFESTS = Path(__file__).parent / "manifests"
SUMMARY = json.loads((MANIFESTS / "summary.json").read_text(encoding="utf-8"))["components"]
COMPONENTS = [name for name, entry in SUMMARY.items() if "file" in entry]
# Fingerprints of the released weights, as DiffSynth-Studio records them.
RELEASED = {
    "video_dit": ("WanModel", "5b013604280dd715f8457c6ed6d6a626"),
    "video_dit_2": ("WanModel", "5b013604280dd715f8457c6ed6d6a626"),
    "audio_dit": ("WanAudioModel", "8c57e12790e2c45a64817e0ce28cde2f"),
    "dual_tower_bridge": ("DualTowerConditionalBridge", "d1139dbbc8b4ab53cf4b4243d57bbceb"),
    "audio_vae": ("DAC", "418517fb2b4e919d2cac8f314fcf82ac"),
}


def test_every_manifest_is_compared():
    assert len(COMPONENTS) == 12


@pytest.mark.parametrize("name", COMPONENTS)
def test_names_and_shapes_are_the_published_ones(name):
    entry = SUMMARY[name]
    recorded = json.loads((MANIFESTS / entry["file"]).read_text(encoding="utf-8"))
    component = build_empty(entry["official_class"], entry["config"])
    assert {key: list(shape) for key, shape in key_shapes(component).items()} == recorded
    assert sum(parameter.numel() for parameter in component.parameters()) == entry["parameters"]


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("preset", [presets.mova_360p, presets.mova_720p])
def test_presets_have_the_fingerprints_of_the_released_weights(preset, name):
    class_name, fingerprint = RELEASED[name]
    assert key_shape_md5(key_shapes(build_empty(class_name, preset()[name]))) == fingerprint


@pytest.mark.parametrize(
    ("name", "manifest", "class_name"),
    [
        ("video_vae", "video_vae_wan21", "AutoencoderKLWan"),
        ("text_encoder", "text_encoder_umt5_xxl", "UMT5EncoderModel"),
    ],
)
def test_presets_of_the_library_components_have_the_published_shapes(name, manifest, class_name):
    recorded = json.loads((MANIFESTS / f"{manifest}.json").read_text(encoding="utf-8"))
    shapes = key_shapes(build_empty(class_name, presets.mova_360p()[name]))
    assert {key: list(shape) for key, shape in shapes.items()} == recorded
