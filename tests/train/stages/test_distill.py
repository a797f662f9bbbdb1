"""Distillation from a recipe to a file with which few steps do."""

import pytest
import torch
import yaml

from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline
from mova.pipeline.loop.sampling import sample
from mova.train.build.adapters import without_adapters
from mova.train.config import load_recipe
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import newest_state
from mova.train.loop.optimizer import OptimizerSet
from mova.train.stages.distill import DistillStage
from mova.weights.lora.file import read_lora

RECIPE = {
    "stage": "distill",
    "base": "mova-tiny",
    "steps": 2,
    "teacher_steps": 4,
    "video_shift": 3.0,
    "audio_shift": 3.0,
    "adapters": {
        "video_dit": {"rank": 2, "alpha": 4},
        "video_dit_2": {"rank": 3, "alpha": 3},
        "audio_dit": {"rank": 2, "alpha": 1},
        "dual_tower_bridge": {"rank": 4, "alpha": 4},
    },
    "data": {"num_clips": 2, "validation_clips": 2, "size": 32, "num_frames": 9, "kinds": ["ball"], "workers": 1},
    "run": {"max_steps": 4, "batch_size": 2, "log_every": 1, "device": "cpu", "ema_decay": 0.0},
    "optimizer": {"name": "adamw", "lr": 1e-2, "warmup_steps": 0},
}


def write(folder, **changes):
    path = folder / "few.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"model": str(folder / "run" / "model")} | changes))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def make_stage(clips, tmp_path):
    """Return a function that makes a stage; all share the encoded clips."""
    return lambda **changes: DistillStage(load_recipe(write(tmp_path, **changes)), clips)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, clips):
    folder = tmp_path_factory.mktemp("distill")
    run_recipe(write(folder), cache=clips)
    return folder / "run" / "model" / "lora.safetensors"


def losses_of(stage, step):
    return [{name: value.detach() for name, value in part.items()} for part in stage.losses(step, 0.0)]


def sum_of(stage, step, name="loss"):
    return float(sum(part[name] for part in losses_of(stage, step)))


def test_a_run_writes_adapters_of_all_components_and_what_they_are_for(trained):
    lora = read_lora(trained)
    assert {name: {layer.rank for layer in layers.values()} for name, layers in lora.layers.items()} == {
        "video_dit": {2},
        "video_dit_2": {3},
        "audio_dit": {2},
        "dual_tower_bridge": {4},
    }
    # Two phases: the first begins with pure noise, the second at shifted level 0.75; each has its expert.
    for layers in lora.layers.values():
        assert any(bool(layer.up.any()) for layer in layers.values())
    assert lora.recommended == {
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
        "modality_scale": 1.0,
        "video_shift": 3.0,
        "audio_shift": 3.0,
        "sampler": "euler",
    }


def test_the_file_can_be_smaller_than_what_was_trained(make_stage):
    stage = make_stage(max_parameters=5000, output_dtype="bfloat16")
    for parts in stage.parts.values():
        for parameter in parts.parameters():
            parameter.data.normal_(std=0.1)
    layers = [layer for found in stage.lora().layers.values() for layer in found.values()]
    assert 4000 < sum(layer.up.numel() + layer.down.numel() for layer in layers) <= 5000
    assert {layer.up.dtype for layer in layers} == {torch.bfloat16}
    assert stage.lora().recommended["num_inference_steps"] == 2


def test_checkpoints_hold_adapters_and_nothing_of_the_base(trained):
    state = newest_state(trained.parents[1] / "few" / "checkpoints")
    keys = [name.split("/", 2)[2] for name in state.tensors if name.startswith("modules/")]
    assert keys
    assert all(key.split(".")[1] in ("down", "up") for key in keys)


@pytest.mark.parametrize("target", ["teacher", "consistency"])
def test_only_adapters_change_and_the_teacher_stays_the_published_model(make_stage, target):
    stage = make_stage(target=target)
    base = {
        (name, key): tensor.clone()
        for name, part in stage.components.items()
        for key, tensor in part.named_parameters()
        if not tensor.requires_grad
    }
    optimizer = OptimizerSet(stage.parameter_groups(), stage.config.optimizer)
    for step in range(2):
        for part in stage.losses(step, 0.0):
            part["loss"].backward()
        optimizer.step(1.0)
    for (name, key), tensor in base.items():
        assert torch.equal(dict(stage.components[name].named_parameters())[key], tensor), (name, key)
    assert any(bool(p.any()) for parts in stage.parts.values() for key, p in parts.named_parameters() if "up" in key)
    pipeline = load_pipeline("mova-tiny")
    inputs = (torch.randn(1, 36, 3, 4, 4), torch.randn(1, 32, 19), *torch.full((2, 1), 500.0), torch.randn(1, 7, 192))
    with torch.no_grad():
        with without_adapters(stage.components.values()):
            as_teacher = stage.experts("low_noise", *inputs, frame_rate=24.0, use_bridge=True)
        as_student = stage.experts("low_noise", *inputs, frame_rate=24.0, use_bridge=True)
        published = pipeline._joint_models()["low_noise"](*inputs, frame_rate=24.0)
    torch.testing.assert_close(as_teacher.video, published.video)
    torch.testing.assert_close(as_teacher.audio, published.audio)
    assert (as_student.video - as_teacher.video).abs().max() > 1e-4


def test_without_guidance_and_adapters_the_last_step_of_a_phase_costs_nothing(make_stage):
    """There the consistency target is the teacher's own step: what the untrained student predicts."""
    stage = make_stage(target="consistency", guidance_scale=1.0)
    costs = {stage.level(step): sum_of(stage, step) for step in range(12)}
    assert set(costs) == {0, 1, 2, 3}
    assert max(costs[1], costs[3]) < 1e-9
    assert min(costs[0], costs[2]) > 1e-6


def test_guidance_is_part_of_what_is_learned(make_stage):
    plain, guided = (make_stage(guidance_scale=scale) for scale in (1.0, 3.0))
    assert sum_of(guided, 0) > 1.5 * sum_of(plain, 0)


def test_each_modality_has_its_weight(make_stage):
    stage = make_stage(video_weight=0.25, audio_weight=3.0)
    for step in range(2):
        (part,) = losses_of(stage, step)
        video, audio = (part[f"{name}_phase_{step + 1}"] for name in ("video", "audio"))
        assert float(part["loss"]) == pytest.approx(0.25 * float(video) + 3.0 * float(audio), rel=1e-5)


def test_parts_of_a_step_add_up_to_it(make_stage):
    whole, parts = make_stage(), make_stage(run=RECIPE["run"] | {"micro_batch": 1})
    assert len(losses_of(parts, 1)) == 2
    assert sum_of(parts, 1) == pytest.approx(sum_of(whole, 1), rel=1e-4)


def test_phases_and_their_experts_take_turns(make_stage):
    stage = make_stage(steps=3, teacher_steps=6)
    assert [stage.level(step) for step in range(4)] == [0, 2, 4, 0]
    # Levels of three steps at shift 3: 1, 0.857, 0.6.
    assert [stage.expert(step) for step in range(3)] == ["high_noise", "low_noise", "low_noise"]


@pytest.mark.slow
def test_the_student_learns_to_land_at_the_end_of_both_phases(make_stage):
    """The same clips and noise again and again: adapters can hold what is asked of them."""
    stage = make_stage(optimizer=RECIPE["optimizer"] | {"lr": 4e-3})
    before = [sum_of(stage, step) for step in range(2)]
    optimizer = OptimizerSet(stage.parameter_groups(), stage.config.optimizer)
    for step in (0, 1) * 12:
        for part in stage.losses(step, 0.0):
            part["loss"].backward()
        optimizer.step(1.0)
    after = [sum_of(stage, step) for step in range(2)]
    assert all(late < 0.6 * early for early, late in zip(before, after, strict=True)), (before, after)


def test_a_validation_measures_every_phase_against_the_teachers_own_steps(make_stage):
    """Whatever the target of the training, and in squared errors."""
    found = []
    for changes in ({"target": "teacher"}, {"target": "consistency", "huber": 0.1}):
        with torch.no_grad():
            found.append(make_stage(**changes).validate())
    assert set(found[0]) == {f"{name}_phase_{phase}" for name in ("video", "audio") for phase in (1, 2)}
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert min(found[0].values()) > 0


def test_the_teachers_walk_is_guided_sampling_with_the_published_weights(make_stage, monkeypatch):
    stage = make_stage()
    seen = []

    def spy(models, course, *conditions):
        end = sample(models, course, *conditions)
        seen.append((course, conditions, end[0]))
        return end

    monkeypatch.setattr("mova.train.stages.distill.sample", spy)
    losses_of(stage, 0)
    ((course, conditions, end),) = seen
    with torch.no_grad():
        expected, _ = sample(load_pipeline("mova-tiny")._joint_models(), course, *conditions)
    assert course.schedule.num_inference_steps == 2
    torch.testing.assert_close(end.video, expected.video, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(end.audio, expected.audio, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_bits(trained, tmp_path, clips):
    class StopHereError(Exception):
        pass

    def stop(progress):
        if progress.step == 2:
            raise StopHereError

    recipe = write(tmp_path, run=RECIPE["run"] | {"checkpoint_every_s": 1e-9})
    with pytest.raises(StopHereError):
        run_recipe(recipe, cache=clips, on_progress=stop)
    run_recipe(recipe, cache=clips, resume=tmp_path / "run")
    first, second = read_lora(trained), read_lora(tmp_path / "run" / "model" / "lora.safetensors")
    for name, layers in first.layers.items():
        for path, layer in layers.items():
            assert torch.equal(layer.up, second.layers[name][path].up), (name, path)


def test_clips_of_a_validation_are_made_in_few_steps_without_guidance(make_stage):
    stage = make_stage(validation={"clips": 1, "num_inference_steps": 30, "guidance_scale": 7.0})
    settings = stage.objective.validation
    assert (settings.clips, settings.num_inference_steps, settings.guidance_scale) == (1, 2, 1.0)


def test_levels_that_do_not_nest_are_found_before_anything_is_rendered(tmp_path):
    import json
    import shutil

    from mova.weights.locate import find_model

    shutil.copytree(find_model("mova-tiny"), tmp_path / "base")
    config = tmp_path / "base" / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"extra_one_step": False}))
    with pytest.raises(ConfigError, match="must be among those of 4"):
        run_recipe(write(tmp_path, base=str(tmp_path / "base")))
    assert not (tmp_path / "run" / "latents").exists()
