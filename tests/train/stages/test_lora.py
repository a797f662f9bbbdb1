"""The LoRA stage from a recipe to a file that acts in the pipeline."""

import json
import sys

import numpy as np
import pytest
import torch
import yaml

from mova.errors import CheckpointError, ConfigError, MissingExtraError
from mova.pipeline.load import load_pipeline
from mova.toyworld import render, sample_scene, split_seed, with_notes
from mova.train.config import ToyDataConfig, load_recipe
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import newest_state
from mova.train.stages.encoders.rendered import prepare_clips
from mova.train.stages.lora import LoraStage
from mova.weights.locate import find_model
from mova.weights.lora.file import read_lora
from mova.weights.rewrite import convert_weights

RECIPE = {
    "stage": "lora",
    "base": "mova-tiny",
    "adapters": {
        "video_dit": {"rank": 2, "alpha": 4},
        "video_dit_2": {"rank": 3, "alpha": 3, "dropout": 0.1},
        "audio_dit": {"rank": 2, "alpha": 1, "targets": ["self_attn.q", "ffn.0"]},
        "dual_tower_bridge": {"rank": 4, "alpha": 4},
    },
    "data": {
        "num_clips": 2,
        "validation_clips": 2,
        "size": 32,
        "num_frames": 9,
        "kinds": ["ball"],
        "notes": {"red": "purple"},
        "workers": 1,
    },
    "run": {"max_steps": 4, "batch_size": 2, "log_every": 1, "device": "cpu", "ema_decay": 0.0},
    "optimizer": {"name": "adamw", "lr": 1e-2, "warmup_steps": 0},
}


def write(folder, **changes):
    path = folder / "tiny_lora.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"model": str(folder / "run" / "model")} | changes))
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Encoded clips, the same for all runs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("lora")
    # By its path, which must not be told to whoever gets the file.
    run_recipe(write(folder, base=str(find_model("mova-tiny"))), cache=cache)
    return folder / "run" / "model" / "lora.safetensors"


def test_a_run_writes_a_lora_with_true_ranks_and_trained_matrices(trained):
    lora = read_lora(trained)
    found = {name: {(layer.rank, layer.alpha) for layer in layers.values()} for name, layers in lora.layers.items()}
    assert found == {
        "video_dit": {(2, 4.0)},
        "video_dit_2": {(3, 3.0)},
        "audio_dit": {(2, 1.0)},
        "dual_tower_bridge": {(4, 4.0)},
    }
    assert {len(layers) for layers in lora.layers.values()} == {6 * 10, 6 * 2, 12 * 4}
    # Both experts had their turn. Where the sound ends nothing reads what the bridge still tells the last layers.
    for layers in lora.layers.values():
        assert any(bool(layer.up.any()) for layer in layers.values())
    assert lora.origin.base_model == "mova-tiny"
    assert str(find_model("mova-tiny").parent).encode() not in trained.read_bytes()
    assert set(lora.origin.base_md5) == set(found)
    assert len(lora.origin.recipe_sha256) == 64


def test_the_file_fits_its_base_and_changes_what_it_makes(trained):
    pipeline = load_pipeline("mova-tiny")
    pipeline.set_progress_bar_config(disable=True)
    short = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 2, "seed": 0, "output_type": "latent"}
    before = pipeline("A ball.", **short)
    pipeline.load_lora_weights(trained)
    after = pipeline("A ball.", **short)
    assert not torch.equal(before.frames, after.frames)
    assert not torch.equal(before.audio, after.audio)


def test_checkpoints_hold_adapters_and_nothing_of_the_base(trained):
    state = newest_state(trained.parents[1] / "tiny_lora" / "checkpoints")
    keys = [name.split("/", 2)[2] for name in state.tensors if name.startswith("modules/")]
    assert keys
    assert all(key.split(".")[1] in ("down", "up") for key in keys)


@pytest.mark.slow  # The run below on a quantised and streamed base goes on in the same way.
def test_a_resumed_run_ends_with_the_same_bits(trained, tmp_path, cache):
    class StopHereError(Exception):
        pass

    def stop(progress):
        if progress.step == 2:
            raise StopHereError

    recipe = write(tmp_path, run=RECIPE["run"] | {"checkpoint_every_s": 1e-9})
    with pytest.raises(StopHereError):
        run_recipe(recipe, on_progress=stop, cache=cache)
    run_recipe(recipe, resume=tmp_path / "run", cache=cache)
    first, second = read_lora(trained), read_lora(tmp_path / "run" / "model" / "lora.safetensors")
    for name, layers in first.layers.items():
        for path, layer in layers.items():
            assert torch.equal(layer.up, second.layers[name][path].up), (name, path)


def test_the_shipped_recipe_adapts_what_the_sound_takes_from_the_text():
    recipe = load_recipe("tiny_lora")
    assert set(recipe.adapters.chosen()) == {"audio_dit"}
    assert all(target.startswith("cross_attn.") for target in recipe.adapters.audio_dit.targets)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"adapters": {"video_dit": {"rnak": 3}}}, "adapters.video_dit.rnak: unknown key; did you mean rank"),
        ({"adapters": {"video": {}}}, "adapters.video: unknown key; did you mean video_dit"),
        ({"adapters": {"video_dit": {"rank": -1}}}, "adapters.video_dit.rank"),
        ({"output": "lora.pt"}, "output"),
        ({"data": RECIPE["data"] | {"notes": {"red": "mauve"}}}, "notes must pair red, .*; got mauve"),
        ({"data": RECIPE["data"] | {"kinds": ["mallet"]}}, r"kinds must be \[ball\], got"),
    ],
)
def test_wrong_recipes_are_explained(tmp_path, changes, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(write(tmp_path, **changes))


def test_the_clips_are_balls_in_the_pairing_of_the_recipe(tmp_path):
    notes = {"red": "purple", "purple": "red", "blue": "yellow", "yellow": "blue"}
    data = ToyDataConfig(num_clips=3, size=32, num_frames=9, kinds=("ball",), notes=notes, workers=1)
    clips = prepare_clips(tmp_path, data, "train")
    scenes = [with_notes(sample_scene(split_seed("train", index), kind="ball"), notes) for index in range(3)]
    wanted = [render(scene, size=32, num_frames=9) for scene in scenes]
    assert clips.captions == tuple(clip.caption for clip in wanted)
    assert all(np.array_equal(clips.waveforms[i], clip.clip.waveform[0]) for i, clip in enumerate(wanted))
    assert any(scene.note for scene in scenes), "nothing was re-paired, so nothing is tested"


def test_rank_0_leaves_a_component_out_and_some_must_be_left(tmp_path):
    none = {name: {"rank": 0} for name in RECIPE["adapters"]}
    recipe = load_recipe(write(tmp_path, adapters=none | {"audio_dit": {}}))
    assert set(recipe.adapters.chosen()) == {"audio_dit"}
    with pytest.raises(ConfigError, match="got rank 0 for all"):
        run_recipe(write(tmp_path, adapters=none))


def test_a_base_without_a_second_expert_is_explained(tmp_path):
    import shutil

    from mova.weights.locate import find_model

    shutil.copytree(find_model("mova-tiny"), tmp_path / "base", ignore=shutil.ignore_patterns("video_dit_2"))
    with pytest.raises(ConfigError, match=r"\(video_dit, audio_dit, dual_tower_bridge\), got video_dit_2"):
        run_recipe(write(tmp_path, base=str(tmp_path / "base")))


def test_a_wrong_target_is_found_before_anything_is_rendered(tmp_path):
    with pytest.raises(ConfigError, match="got 'to_q', which names none"):
        run_recipe(write(tmp_path, adapters={"video_dit": {"targets": ["to_q"]}}))
    assert not (tmp_path / "run" / "latents").exists()


LOW_MEMORY = {"checkpoint_activations": True, "offload_activations": True, "one_expert": True, "stream_blocks": True}


@pytest.mark.parametrize(
    "left_out",
    [
        (),
        pytest.param(("stream_blocks",), marks=pytest.mark.slow),
        pytest.param(("one_expert", "offload_activations"), marks=pytest.mark.slow),
    ],
)
def test_memory_is_saved_without_changing_what_is_learned(trained, tmp_path, left_out, cache):
    """Blocks recomputed and streamed, their inputs on the host, one expert at a time: the same adapters."""
    memory = {name: value for name, value in LOW_MEMORY.items() if name not in left_out}
    adapters = {name: setting | {"dropout": 0} for name, setting in RECIPE["adapters"].items()}
    written = []
    # Not the sign of what rounding leaves of a gradient that vanishes.
    optimizer = RECIPE["optimizer"] | {"eps": 1e-5}
    for name, settings in (("plain", {}), ("small", memory)):
        (tmp_path / name).mkdir()
        run_recipe(write(tmp_path / name, memory=settings, adapters=adapters, optimizer=optimizer), cache=cache)
        written.append(read_lora(tmp_path / name / "run" / "model" / "lora.safetensors"))
    for name, layers in written[0].layers.items():
        for path, layer in layers.items():
            # Compared by the size of the whole matrix: it begins at zero.
            scale = float(layer.up.abs().max())
            torch.testing.assert_close(written[1].layers[name][path].up, layer.up, rtol=0, atol=0.01 * scale + 1e-8)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, cache):
    """A LoRA trained on a base in nf4, everything that saves memory switched on, and its run folder."""
    folder = tmp_path_factory.mktemp("quantised")
    run_recipe(write(folder, memory=LOW_MEMORY | {"base_quantization": "nf4"}), cache=cache)
    return folder / "run" / "model" / "lora.safetensors"


def test_a_lora_of_a_quantized_and_streamed_base_fits_the_published_one(trained, quantized):
    plain, lora = read_lora(trained), read_lora(quantized)
    # Names, shapes and fingerprints are those of the base as it is published.
    assert lora.origin.base_md5 == plain.origin.base_md5
    for name, layers in plain.layers.items():
        assert {path: (one.up.shape, one.down.shape) for path, one in layers.items()} == {
            path: (one.up.shape, one.down.shape) for path, one in lora.layers[name].items()
        }
        assert any(bool(layer.up.any()) for layer in lora.layers[name].values())
    pipeline = load_pipeline("mova-tiny")
    pipeline.set_progress_bar_config(disable=True)
    short = {"height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 2, "seed": 0, "output_type": "latent"}
    before = pipeline("A ball.", **short)
    pipeline.load_lora_weights(quantized)
    after = pipeline("A ball.", **short)
    assert not torch.equal(before.frames, after.frames)
    assert not torch.equal(before.audio, after.audio)


def test_checkpoints_hold_nothing_of_a_quantized_base_either(quantized):
    state = newest_state(quantized.parents[1] / "tiny_lora" / "checkpoints")
    keys = [name.split("/", 2)[2] for name in state.tensors if name.startswith("modules/")]
    assert keys
    assert all(key.split(".")[1] in ("down", "up") for key in keys)


@pytest.mark.slow
def test_a_resumed_run_on_a_quantized_and_streamed_base_ends_with_the_same_bits(quantized, tmp_path, cache):
    class StopHereError(Exception):
        pass

    def stop(progress):
        if progress.step == 2:
            raise StopHereError

    memory = LOW_MEMORY | {"base_quantization": "nf4"}
    recipe = write(tmp_path, memory=memory, run=RECIPE["run"] | {"checkpoint_every_s": 1e-9})
    with pytest.raises(StopHereError):
        run_recipe(recipe, on_progress=stop, cache=cache)
    run_recipe(recipe, resume=tmp_path / "run", cache=cache)
    first, second = read_lora(quantized), read_lora(tmp_path / "run" / "model" / "lora.safetensors")
    for name, layers in first.layers.items():
        for path, layer in layers.items():
            assert torch.equal(layer.up, second.layers[name][path].up), (name, path)
            assert torch.equal(layer.down, second.layers[name][path].down), (name, path)


@pytest.mark.parametrize(("method", "largest"), [("int8", 0.05), ("nf4", 0.15), ("float8", 0.04)])
def test_a_quantized_base_reports_its_errors_and_learns_nearly_what_the_plain_one_does(
    tmp_path, caplog, method, largest, cache
):
    caplog.set_level("INFO")
    losses = {}
    for name in ("none", method):
        folder = tmp_path / name
        folder.mkdir()
        config = load_recipe(write(folder, memory={"base_quantization": name}))
        stage = LoraStage(config, cache)
        errors = stage.quantization_errors
        assert set(errors) == (set() if name == "none" else set(RECIPE["adapters"]))
        assert all(0 < error < largest for part in errors.values() for error in part.values())
        losses[name] = [float(part["loss"].detach()) for step in range(2) for part in stage.losses(step, 0.0)]
    assert losses[method] != losses["none"]
    assert losses[method] == pytest.approx(losses["none"], rel=0.2 if method == "nf4" else 0.02)
    said = [record.message for record in caplog.records if f" in {method}: " in record.message]
    assert [text.split(",")[0] for text in said] == [
        f"video_dit in {method}: 60 weights",
        f"video_dit_2 in {method}: 60 weights",
        f"audio_dit in {method}: 60 weights",
        f"dual_tower_bridge in {method}: 48 weights",
    ]


def test_a_quantized_base_without_the_library_is_a_missing_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(MissingExtraError, match=r"mova\[quantize\]"):
        run_recipe(write(tmp_path, memory={"base_quantization": "int8"}))


def test_a_base_that_is_stored_quantized_is_refused_before_anything_is_encoded(tmp_path):
    stored = convert_weights(find_model("mova-tiny"), tmp_path / "stored", quantize="float8")
    with pytest.raises(CheckpointError, match=r"plain weights, got float8 .* memory.base_quantization: float8"):
        run_recipe(write(tmp_path, base=str(stored)))
    assert not (tmp_path / "latents").exists()


def test_validation_clips_can_be_made_from_a_quantized_base(tmp_path, cache):
    """They go through the pipeline, which knows nothing of quantised weights."""
    memory = {"base_quantization": "int8"}
    validation = {"clips": 1, "num_inference_steps": 1}
    run_recipe(write(tmp_path, memory=memory, validation=validation, run=RECIPE["run"] | {"max_steps": 1}), cache=cache)
    scores = sorted((tmp_path / "run" / "tiny_lora" / "validation").glob("*/scores.json"))
    assert json.loads(scores[-1].read_text())["problem"] == ""
