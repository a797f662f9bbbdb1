"""Pipelines with the same weights, their copies, and threads that use them at once."""

import copy
import pickle
import threading

import pytest
import torch

from mova.errors import ConfigError
from mova.names import FEW_STEPS_FILE
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime
from mova.weights.components import key_shapes
from mova.weights.files import key_shape_md5
from mova.weights.locate import ModelDefaults
from mova.weights.lora.adapters import Lora, LoraLayer, LoraOrigin
from mova.weights.lora.file import write_lora


@pytest.fixture
def own(checkpoint):
    """A pipeline that a test may change."""
    pipeline = load_pipeline(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def lora(own, tmp_path):
    """A LoRA for one layer of the high-noise tower, which recommends settings of its own."""
    layer = own.video_dit.blocks[0].self_attn.q
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((2, layer.in_features), (layer.out_features, 2)))
    md5 = {"video_dit": key_shape_md5(key_shapes(own.video_dit))}
    layers = {"video_dit": {"blocks.0.self_attn.q": LoraLayer(down, up, 2.0)}}
    made = Lora(layers, LoraOrigin("records", md5), recommended={"num_inference_steps": 2})
    (file,) = write_lora(made, tmp_path / "style.safetensors", "mova")
    return file


@pytest.fixture
def run(short):
    """Return a function that gives both latents of a short call."""

    def call(pipeline, **changes):
        result = pipeline("a dog", **(short | {"seed": 0, "output_type": "latent"} | changes))
        return result.frames, result.audio

    return call


def are_equal(left, right):
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def assert_close(left, right):
    """Equal up to the order of sums, which kernels choose by where in memory a weight begins."""
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=5e-4)


@pytest.mark.parametrize("way", ["components", "from_pipe"])
def test_a_pipeline_of_the_same_components_recommends_the_same(own, run, way):
    own.defaults = ModelDefaults(num_frames=5, height=48)
    own.boundary_ratio = 0.5
    again = MovaPipeline(**own.components) if way == "components" else MovaPipeline.from_pipe(own)
    assert again.defaults == own.defaults
    assert again.config.boundary_ratio == again.boundary_ratio == 0.5
    again.set_progress_bar_config(disable=True)
    assert are_equal(run(again), run(own))
    again.defaults = ModelDefaults(num_frames=9)
    assert own.defaults.num_frames == 5, "each has its own from there on"


def test_loras_come_along_and_are_the_same_for_both(own, run, lora):
    base = run(own)
    own.load_lora_weights(lora, adapter_name="style")
    again = MovaPipeline(**own.components)
    again.set_progress_bar_config(disable=True)
    assert again.get_active_adapters() == {"style": 1.0}
    adapted = run(again)
    assert not are_equal(adapted, base)
    again.unload_lora_weights()
    assert own.get_active_adapters() == {}
    assert are_equal(run(own), base)


def test_settings_for_few_steps_come_along(own, lora, short):
    own.load_lora_weights(lora)
    again = MovaPipeline.from_pipe(own)
    again.set_progress_bar_config(disable=True)
    asked = {name: value for name, value in short.items() if name != "num_inference_steps"}
    for pipeline in (own, again):
        assert pipeline("a dog", **asked, speed="distilled", seed=0, output_type="latent").calls.predictions == 2


@pytest.mark.parametrize(
    "placement",
    [
        pytest.param("phases", marks=pytest.mark.slow),
        "stream",
        pytest.param("disk", marks=pytest.mark.slow),
    ],
)
def test_a_pipeline_of_the_same_components_knows_where_they_rest(checkpoint, run, placement):
    first = load_pipeline(checkpoint, runtime=Runtime(placement))
    first.set_progress_bar_config(disable=True)
    again = MovaPipeline.from_pipe(first)
    assert again.placement_name == placement
    assert_close(run(again), run(first))
    with pytest.raises(ConfigError, match="offloaded weights stay together"):
        MovaPipeline(**(first.components | {"video_dit_2": None}))


def test_other_towers_are_refused_while_loras_act(own, lora):
    own.load_lora_weights(lora)
    with pytest.raises(ConfigError, match=r"stay together, got others; call unload_lora_weights\(\)"):
        MovaPipeline(**(own.components | {"video_dit_2": None}))
    own.unload_lora_weights()
    assert MovaPipeline(**(own.components | {"video_dit_2": None})).defaults == own.defaults


def test_from_pipe_names_what_it_does_not_take(own):
    with pytest.raises(ConfigError, match=r"from_pipe takes video_vae, .* and dtype; got steps"):
        MovaPipeline.from_pipe(own, steps=3)
    with pytest.raises(ConfigError, match="takes a pipeline of this package, got object"):
        MovaPipeline.from_pipe(object())


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copy_is_a_pipeline_of_its_own_with_its_loras(own, run, lora, way):
    base = run(own)
    own.load_lora_weights(lora, adapter_name="style")
    own.defaults = ModelDefaults(num_frames=9)
    adapted = run(own)
    copied = copy.deepcopy(own) if way == "deepcopy" else pickle.loads(pickle.dumps(own))
    assert copied.defaults == own.defaults
    assert_close(run(copied), adapted)
    copied.unload_lora_weights()
    assert_close(run(copied), base)
    assert own.get_active_adapters() == {"style": 1.0}
    assert are_equal(run(own), adapted)


@pytest.mark.parametrize("way", [copy.deepcopy, pickle.dumps])
def test_weights_that_rest_elsewhere_cannot_be_copied_and_the_error_says_what_to_do(checkpoint, way):
    placed = load_pipeline(checkpoint, runtime=Runtime("stream"))
    with pytest.raises(ConfigError, match=r"placed as 'stream'; load the model again, or with runtime=Runtime"):
        way(placed)


@pytest.mark.parametrize(
    "way",
    [
        "resident",
        "step_cache",
        "phases",
        "stream",
        pytest.param("disk", marks=pytest.mark.slow),
        "two pipelines",
    ],
)
def test_threads_take_turns(checkpoint, short, way):
    is_placed = way in ("phases", "stream", "disk")
    first = load_pipeline(checkpoint, runtime=Runtime(way if is_placed else "resident"))
    first.set_progress_bar_config(disable=True)
    second = MovaPipeline.from_pipe(first) if way == "two pipelines" else first
    options = short | {
        "guidance_scale": 2.0,
        "output_type": "latent",
        "step_cache": 0.3 if way == "step_cache" else 0.0,
    }
    expected = [first("a dog", **options, seed=seed) for seed in range(4)]
    found, failed = {}, []

    def work(seed):
        try:
            found[seed] = (first, second)[seed % 2]("a dog", **options, seed=seed)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for seed, clip in enumerate(expected):
        torch.testing.assert_close(found[seed].frames, clip.frames, rtol=0, atol=2e-5)
        torch.testing.assert_close(found[seed].audio, clip.audio, rtol=0, atol=2e-5)


def test_a_call_or_a_change_from_a_callback_is_an_error_and_no_deadlock(own, run, lora):
    base = run(own)
    with pytest.raises(ConfigError, match="cannot be called from its own callback"):
        run(own, callback_on_step_end=lambda pipeline, *_: run(pipeline))
    with pytest.raises(ConfigError, match="LoRAs cannot be changed from a callback"):
        run(own, callback_on_step_end=lambda pipeline, *_: pipeline.load_lora_weights(lora) and None)
    assert are_equal(run(own), base), "the next call finds everything as it was"


def test_few_steps_are_kept_beside_the_model(own):
    assert own.few_steps_file is None
    shipped = load_pipeline("mova-tiny")
    assert shipped.few_steps_file.name == FEW_STEPS_FILE
    assert MovaPipeline.from_pipe(shipped).few_steps_file == shipped.few_steps_file
