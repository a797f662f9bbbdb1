"""Adapters for few steps beside a model: found, read, refused, and what they change of a call."""

import json
import shutil

import pytest
import torch

from mova.errors import CheckpointError, ConfigError
from mova.generate.request import ClipOptions
from mova.generate.run import make_request
from mova.names import FEW_STEPS_FILE
from mova.pipeline.load import load_pipeline
from mova.settings.few_steps import find_few_steps, read_recommended, with_recommended
from mova.settings.sampling import GivenSettings
from mova.weights.locate import ModelDefaults
from mova.weights.lora.adapters import Lora, LoraLayer
from mova.weights.lora.file import write_lora

SETTINGS = {"num_inference_steps": 2, "guidance_scale": 1.0, "sampler": "euler", "video_shift": 2.5}


@pytest.fixture(scope="module")
def lora():
    generator = torch.Generator().manual_seed(0)
    up, down = (torch.randn(*shape, generator=generator) for shape in ((60, 2), (2, 60)))
    return Lora({"video_dit_2": {"blocks.0.self_attn.q": LoraLayer(down, up, 2.0)}}, recommended=SETTINGS, name="few")


@pytest.fixture
def model(checkpoint, tmp_path, lora):
    """A model that brings its adapters along."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    write_lora(lora, folder / FEW_STEPS_FILE)
    return folder


def test_what_a_lora_recommends_is_read_from_its_header(model):
    assert read_recommended(find_few_steps("model", model)) == SETTINGS


def test_a_request_takes_the_adapters_and_their_settings(model):
    _, request = make_request(str(model), ClipOptions(prompt="a dog"), speed="distilled")
    settings = request.settings
    assert [(one.path, one.scale) for one in request.loras] == [(model / FEW_STEPS_FILE, 1.0)]
    assert (settings.num_inference_steps, settings.guidance_scale, settings.sampler) == (2, 1.0, "euler")
    assert (settings.video_shift, settings.guidance_interval, settings.step_cache) == (2.5, (0.0, 1.0), 0.0)
    plain = make_request(str(model), ClipOptions(prompt="a dog"))[1]
    assert plain.loras == ()
    assert plain.settings.num_inference_steps == ModelDefaults().num_inference_steps


def test_what_is_given_counts_all_the_same(model):
    given = GivenSettings(num_inference_steps=7, video_shift=4.0)
    _, request = make_request(str(model), ClipOptions(prompt="a dog", settings=given), speed="distilled")
    assert (request.settings.num_inference_steps, request.settings.video_shift) == (7, 4.0)


def test_a_model_without_such_adapters_is_refused_before_anything_is_loaded(checkpoint):
    with pytest.raises(ConfigError, match=rf"models with a {FEW_STEPS_FILE} \(.*\), got .*; nearest is fastest"):
        make_request(str(checkpoint), ClipOptions(prompt="a dog"), speed="distilled")


def test_a_pipeline_asks_the_model_as_often_as_its_acting_adapter_says(checkpoint, lora):
    pipeline = load_pipeline(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    short = {"height": 32, "width": 32, "num_frames": 5, "seed": 0, "output_type": "latent"}
    with pytest.raises(ConfigError, match="needs one acting LoRA that says which steps it is for, got none"):
        pipeline("a dog", **short, speed="distilled")
    pipeline.load_lora_weights(lora, adapter_name="few")
    assert pipeline("a dog", **short, speed="distilled").calls.predictions == 2
    explicit = pipeline("a dog", **short, **SETTINGS)
    assert torch.equal(explicit.frames, pipeline("a dog", **short, speed="distilled").frames)
    pipeline.load_lora_weights(lora, adapter_name="more")
    with pytest.raises(ConfigError, match="got few, more"):
        pipeline("a dog", **short, speed="distilled")
    pipeline.unfuse_lora()
    with pytest.raises(ConfigError, match="got none"):
        pipeline("a dog", **short, speed="distilled")


def test_files_that_recommend_nothing_or_too_much_are_explained(tmp_path, lora):
    plain = tmp_path / "plain.safetensors"
    write_lora(Lora(lora.layers), plain)
    with pytest.raises(CheckpointError, match="must say in its metadata which settings it is for"):
        read_recommended(plain)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_recommended(damaged)
    with pytest.raises(CheckpointError, match=r"few: recommended must hold only .*; got steps"):
        with_recommended(ModelDefaults(), json.loads('{"steps": 4}'), "few")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0, "ball"),
        pytest.param(4, "mallet", marks=pytest.mark.slow),
        pytest.param(2, "face", marks=pytest.mark.slow),
    ],
)
def test_the_shipped_adapters_make_a_right_clip_with_four_calls(number, kind):
    """A held-out scene: every visible event is heard within a frame, no other sound, and the object keeps its size."""
    from mova.toyworld import first_frame, render, sample_scene, split_seed
    from mova.toyworld.score import match_events, score_clip
    from mova.weights.locate import find_model

    file = find_few_steps("mova-tiny", find_model("mova-tiny"))
    pipeline = load_pipeline("mova-tiny", loras=[(file, 1.0)])
    pipeline.set_progress_bar_config(disable=True)
    scene = sample_scene(split_seed("heldout", 60_000 + number), kind=kind)
    rendered = render(scene)
    made = pipeline(rendered.caption, image=rendered.clip.frames[0], seed=number, output_type="np", speed="distilled")
    assert (made.calls.predictions, made.calls.repeated) == (4, 0)
    score = score_clip(scene, made.clip(), first_frame=first_frame(rendered.clip))
    pairs = match_events(score.seen_s, score.heard_s, score.tolerance_s)
    assert len(pairs) == len(score.seen_s) == len(score.heard_s) > 0
    assert score.size_kept or kind == "face"  # a face has no size to keep
    assert score.faithful
