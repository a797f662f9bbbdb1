"""Training on 2 and 4 real processes against one: losses, weights, and states that fit another number of processes."""

import pytest
import torch

import shared_steps
import shared_training
from mova.distributed.fsdp import full_state, local, shard_model, whole
from mova.distributed.mesh import Parallel
from mova.weights.components import load_component
from mova.weights.lora.file import read_lora
from processes import run_processes

COMPONENTS = ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of the runs of one and two processes, and the losses of each."""
    folder = tmp_path_factory.mktemp("runs")
    shared_training.write_recipes(folder)
    losses = {
        "alone": shared_training.train(folder, "alone", shared_training.JOINT, []),
        "audio_alone": shared_training.train(folder, "audio_alone", shared_training.AUDIO, []),
        "lora_alone": shared_training.train(folder, "lora_alone", shared_training.LORA, []),
    }
    losses |= run_processes(shared_training.two, 2, folder / "two")[0]
    shared_training.forget_finished(folder, "two_to_one")
    losses["two_to_one"] += shared_training.train(folder, "two_to_one", shared_training.JOINT, [], resume=True)
    return folder, losses


@pytest.fixture(scope="module")
def runs_of_four(runs):
    """The folder of all runs, and the losses of those of four processes too."""
    folder, losses = runs
    losses = losses | run_processes(shared_training.four, 4, folder / "four")[0]
    shared_training.forget_finished(folder, "four_to_two")
    losses["four_to_two"] += run_processes(shared_training.two_go_on, 2, folder / "two_go_on")[0]
    return folder, losses


def assert_same_weights(one, other, names=COMPONENTS):
    for name in names:
        mine, theirs = (load_component(folder / "model" / name).state_dict() for folder in (one, other))
        scale = max(float(value.abs().max()) for value in theirs.values())
        for key in theirs:
            assert float((mine[key] - theirs[key]).abs().max()) <= 1e-5 * scale, f"{name} {key}"


def assert_learned_the_same(runs, name):
    folder, losses = runs
    assert losses[name] == pytest.approx(losses["alone"], rel=1e-6, abs=1e-6)
    assert len(set(losses["alone"])) == 3
    assert_same_weights(folder / name, folder / "alone")


@pytest.mark.parametrize("name", ["replicate", "tokens"])
def test_every_layout_learns_what_one_process_learns(runs, name):
    assert_learned_the_same(runs, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hybrid", "context", "ring"])
def test_layouts_of_four_processes_learn_what_one_process_learns(runs_of_four, name):
    assert_learned_the_same(runs_of_four, name)


def test_the_audio_tower_alone_learns_the_same(runs):
    folder, losses = runs
    assert losses["audio"] == pytest.approx(losses["audio_alone"], rel=1e-6, abs=1e-6)
    assert_same_weights(folder / "audio_shard", folder / "audio_alone", ["audio_dit"])


def test_a_run_saved_on_two_processes_goes_on_on_one(runs):
    assert_learned_the_same(runs, "two_to_one")


@pytest.mark.slow
def test_a_run_saved_on_four_processes_goes_on_on_two(runs_of_four):
    assert_learned_the_same(runs_of_four, "four_to_two")


def test_adapters_on_sharded_weights_learn_the_same(runs):
    folder, losses = runs
    assert losses["lora"] == pytest.approx(losses["lora_alone"], rel=1e-6, abs=1e-6)
    one, other = (read_lora(folder / name / "model" / "lora.safetensors") for name in ("lora_shard", "lora_alone"))
    for name, layers in other.layers.items():
        for path, layer in layers.items():
            # Compared by the size of the whole matrix: it begins at zero.
            scale = float(layer.up.abs().max())
            torch.testing.assert_close(one.layers[name][path].up, layer.up, rtol=0, atol=0.01 * scale + 1e-8)


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_steps_of_two_experts_and_gradients_of_adapters_are_those_of_one_process(tmp_path, world):
    for found in run_processes(shared_steps.steps, world, tmp_path):
        for layout, distances in found.items():
            # Half precision rounds what is added up in another order: by one part in 256.
            gradients = 1e-2 if "bfloat16" in layout else 1e-6
            limits = {"losses": 1e-6, "norms": 1e-6, "weights": 1e-5, "wrong": 1e-6, "missing": 0.0} | {
                "gradients": gradients
            }
            for name, distance in distances.items():
                assert distance <= limits[name], f"{layout} {name}"


def test_alone_nothing_is_sharded():
    layer = torch.nn.Linear(2, 3)
    shard_model(layer, {"layer": layer}, Parallel())
    assert type(layer) is torch.nn.Linear
    assert local(layer.weight) is layer.weight
    assert whole(layer.weight) is layer.weight
    assert torch.equal(full_state(layer)["weight"], layer.weight)
