"""Pipelines with quantised weights, from plain and from quantised directories, with LoRAs."""

import shutil
import sys

import pytest
import torch

from mova.errors import CheckpointError, ConfigError, MissingExtraError
from mova.generate.request import ClipOptions
from mova.generate.run import generate_file, make_request
from mova.media.write import read_metadata
from mova.names import COMPONENTS, PUBLISHED_COMPONENTS
from mova.pipeline.load import load_pipeline
from mova.pipeline.loading import model as reading
from mova.pipeline.loading.quantized import plan_quantization
from mova.pipeline.runtime import Runtime
from mova.settings.sampling import GivenSettings
from mova.weights.lora.adapters import Lora, LoraLayer, LoraOrigin
from mova.weights.lora.file import write_lora
from mova.weights.quantize.codes import relative_error
from mova.weights.quantize.layers import quantizable_layers, quantized_layers, quantized_method
from mova.weights.quantize.layout import METHODS
from mova.weights.rewrite import convert_weights


def load_with_method(folder, method, **more):
    pipeline = load_pipeline(folder, runtime=Runtime(quantization=method), **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def stored(checkpoint, tmp_path_factory):
    """The recorded checkpoint with weights in float8."""
    return convert_weights(checkpoint, tmp_path_factory.mktemp("stored") / "model", quantize="float8")


@pytest.fixture(scope="module")
def lora_file(tmp_path_factory, pipe):
    """A LoRA on every layer that is quantised, and on one that is not."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return 0.2 * torch.randn(shape, generator=generator)

    layers = {}
    for name in COMPONENTS:
        module = getattr(pipe, name)
        paths = quantizable_layers(module) + (["text_embedding.0"] if "dit" in name else [])
        found = {path: module.get_submodule(path) for path in paths}
        layers[name] = {
            path: LoraLayer(draw(2, part.in_features), draw(part.out_features, 2), 2.0) for path, part in found.items()
        }
    (file,) = write_lora(
        Lora(layers, LoraOrigin("records")), tmp_path_factory.mktemp("lora") / "style.safetensors", "mova"
    )
    return file


@pytest.mark.parametrize("method", METHODS)
def test_a_pipeline_in_few_bits_makes_nearly_the_same_latents(checkpoint, latents_of, short, method, caplog):
    caplog.set_level("INFO")
    pipeline = load_with_method(checkpoint, method)
    assert {quantized_method(getattr(pipeline, name)) for name in COMPONENTS} == {method}
    exact = torch.cat([part.flatten() for part in latents_of()])
    result = pipeline("a dog", **short, seed=0, output_type="latent")
    found = torch.cat([part.flatten() for part in (result.frames, result.audio)])
    distance = float((found - exact).norm() / exact.norm())
    # Measured on this checkpoint of random weights: 0.006 in int8, 0.035 and 0.040 in float8, 0.10 in nf4.
    assert 1e-3 < distance < {"int8": 0.02, "nf4": 0.2}.get(method, 0.07)
    said = [record.message for record in caplog.records if record.name == "mova.pipeline.loading.quantized"]
    assert [line.split(":")[0] for line in said] == [
        f"{name} in {method}" for name in sorted(COMPONENTS, key=said_order)
    ]
    assert all("relative error 0.0" in line for line in said)


def said_order(name):
    return list(PUBLISHED_COMPONENTS).index(name)


def test_a_quantized_directory_gives_the_pipeline_that_quantizing_while_loading_gives(
    checkpoint, stored, short, caplog
):
    expected = load_with_method(checkpoint, "float8")("a dog", **short, seed=0, output_type="latent").frames
    caplog.set_level("INFO")
    for method in (None, "float8"):
        pipeline = load_with_method(stored, method)
        assert {quantized_method(getattr(pipeline, name)) for name in COMPONENTS} == {"float8"}
        assert torch.equal(pipeline("a dog", **short, seed=0, output_type="latent").frames, expected)
    assert "video_dit in float8: as stored" in caplog.text
    assert quantized_method(load_with_method(stored, "float8_linear").video_dit) == "float8_linear"


def test_a_quantized_pipeline_is_saved_quantized(checkpoint, tmp_path, short):
    pipeline = load_with_method(checkpoint, "nf4")
    pipeline.save_pretrained(tmp_path / "saved", torch_dtype=torch.float32)
    again = load_with_method(tmp_path / "saved", None)
    assert quantized_method(again.audio_dit) == "nf4"
    first, second = (one("a dog", **short, seed=0, output_type="latent").frames for one in (pipeline, again))
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", ["float8", "nf4"])
def test_loras_are_in_the_weights_before_they_are_quantized(checkpoint, lora_file, method):
    merged = load_pipeline(checkpoint, loras=[(lora_file, 0.5)])
    quantized = load_with_method(checkpoint, method, loras=[(lora_file, 0.5)])
    assert quantized.get_active_adapters() == {"style": 0.5}
    for name in COMPONENTS:
        expected = getattr(merged, name)
        for path, layer in quantized_layers(getattr(quantized, name)).items():
            weight = expected.get_submodule(path).weight
            # As close as quantisation the merged weight itself: a LoRA that is missing would be 0.2 off and more.
            assert relative_error(weight, layer.weight, layer.scales, method) < (0.15 if method == "nf4" else 0.04)
    assert torch.equal(quantized.video_dit.text_embedding[0].weight, merged.video_dit.text_embedding[0].weight)


def test_loras_of_a_quantized_pipeline_cannot_be_changed(checkpoint, lora_file):
    pipeline = load_with_method(checkpoint, "float8", loras=[(lora_file, 1.0)])
    rule = r"LoRAs are merged before weights are quantised, got a pipeline with weights in float8; load it again"
    for change in (
        lambda: pipeline.load_lora_weights(lora_file, adapter_name="more"),
        lambda: pipeline.set_adapters("style", 0.5),
        lambda: pipeline.delete_adapters("style"),
        pipeline.unfuse_lora,
        pipeline.unload_lora_weights,
    ):
        with pytest.raises(ConfigError, match=rule):
            change()
    assert pipeline.get_active_adapters() == {"style": 1.0}
    # Nothing is loaded, nothing is taken out: no error.
    load_with_method(checkpoint, "float8").unload_lora_weights()


@pytest.fixture
def unread(monkeypatch):
    """Reading any weights fails the test."""

    def refuse(*_, **__):
        raise AssertionError("weights were read before everything was checked")

    monkeypatch.setattr(reading, "load_component", refuse)
    monkeypatch.setattr(reading, "load_quantized", refuse)


def test_what_does_not_go_together_is_refused_before_weights_are_read(checkpoint, stored, lora_file, unread):
    with pytest.raises(CheckpointError, match=r"video_dit in .* is stored in float8 and cannot be loaded in int8"):
        load_with_method(stored, "int8")
    with pytest.raises(CheckpointError, match=r"got video_dit stored in float8; .* plain model and --quantize float8"):
        load_pipeline(stored, loras=[(lora_file, 1.0)])
    for folder, method in ((checkpoint, "float8"), (stored, None)):
        with pytest.raises(ConfigError, match="shard_weights shares plain weights by their rows, got float8"):
            load_with_method(folder, method, shard_weights=True)
    with pytest.raises(ConfigError, match="scale of a LoRA must be a finite number"):
        load_with_method(checkpoint, "float8", loras=[(lora_file, float("nan"))])


def test_a_missing_extra_is_named_before_weights_are_read(checkpoint, unread, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(MissingExtraError, match=r"mova\[quantize\]"):
        load_with_method(checkpoint, "nf4")
    with pytest.raises(MissingExtraError, match=r"mova\[quantize\]"):
        convert_weights(checkpoint, tmp_path / "new", quantize="int8")


def test_components_may_be_quantized_one_by_one(checkpoint, stored, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(checkpoint, mixed)
    shutil.rmtree(mixed / "audio_dit")
    shutil.copytree(stored / "audio_dit", mixed / "audio_dit")
    folders = {name: mixed / name for name in COMPONENTS}
    assert plan_quantization(folders, None) == {"audio_dit": "float8"}
    assert plan_quantization(folders, "float8") == dict.fromkeys(COMPONENTS, "float8")
    pipeline = load_with_method(mixed, None)
    assert [quantized_method(getattr(pipeline, name)) for name in COMPONENTS] == [None, None, "float8", None]


def test_a_clip_says_how_its_model_was_quantized(checkpoint, tmp_path):
    folder, request = make_request(
        str(checkpoint),
        ClipOptions(prompt="a dog", settings=GivenSettings(height=32, width=32, num_frames=5, num_inference_steps=1)),
    )
    made = generate_file(request, folder, tmp_path / "a.mp4", runtime=Runtime(quantization="float8"))
    assert read_metadata(made.path)["quantization"] == "float8"
