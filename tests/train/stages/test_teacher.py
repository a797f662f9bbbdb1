"""A frozen teacher: whose velocities are learned, of which samples, and what it is shown."""

import pytest
import torch

from mova.errors import CheckpointError
from mova.names import COMPONENTS
from mova.train.stages.joint import JointStage

PLAIN = ("text_dropout=0", "image_dropout=0", "bridge_dropout=0", "run.batch_size=4")


@pytest.fixture(scope="module")
def make_stage(make_config, ladder_run):
    """Return a function that makes a stage which begins as its own teacher."""
    folder, _ = ladder_run
    model = folder / "mova-tiny"
    starts = [f"start.{name}={model}" for name in COMPONENTS]

    def make(*changes, teacher=model):
        taught = () if teacher is None else (f"teacher={teacher}",)
        return JointStage(
            make_config("tiny_joint", folder / "model", *starts, *PLAIN, *taught, *changes), folder / "latents"
        )

    return make


def losses(stage, step=0):
    with torch.no_grad():
        return {name: float(value) for name, value in next(iter(stage.losses(step, 0.0))).items()}


def test_who_is_the_teacher_has_nothing_to_learn_of_clips_with_their_first_frame(make_stage):
    assert losses(make_stage())["loss"] == 0
    assert losses(make_stage(teacher=None))["loss"] > 0


@pytest.mark.parametrize("step", [0, 1])
def test_the_teacher_sees_the_first_frame_that_the_student_is_not_shown(make_stage, step):
    stage, shown = make_stage("image_dropout=0.999"), {}
    for side, models in (("student", stage.models), ("teacher", stage.teacher.experts.models)):
        for model in models.values():
            model.register_forward_pre_hook(lambda _, args, side=side: shown.setdefault(side, args))
    assert losses(stage, step)["loss"] > 0
    student, teacher = shown["student"][0], shown["teacher"][0]
    assert torch.equal(student[:, :16], teacher[:, :16])
    # Some are not shown anything, the others a white frame; of all the teacher has the right one.
    assert bool((teacher[:, 16:20].flatten(1).sum(1) > 0).all())
    assert not torch.equal(student[:, 20:], teacher[:, 20:])
    for mine, its in zip(shown["student"][1:], shown["teacher"][1:], strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize("condition", ["audio_held", "video_held"])
def test_what_the_teacher_was_never_taught_is_learned_from_the_clips(make_stage, condition):
    changes = (f"conditions.{condition}=1", "expert_cycle=[low_noise]", "trainable=[video_dit_2,audio_dit]")
    assert losses(make_stage(*changes)) == losses(make_stage(*changes, teacher=None))


def test_the_teacher_does_not_learn_and_is_not_trained_with(make_stage):
    stage = make_stage("image_dropout=0.5")
    next(iter(stage.losses(0, 0.0)))["loss"].backward()
    assert all(parameter.grad is None for parameter in stage.teacher.experts.parameters())
    trained = {id(parameter) for group in stage.parameter_groups() for parameter in group.parameters}
    assert not trained & {id(parameter) for parameter in stage.teacher.experts.parameters()}


def test_a_teacher_that_is_not_there_is_found_before_any_clip_is_encoded(make_config, ladder_run, tmp_path):
    folder, _ = ladder_run
    config = make_config("tiny_joint", folder / "model", *PLAIN, f"teacher={tmp_path / 'nobody'}")
    with pytest.raises(CheckpointError, match="nobody"):
        JointStage(config, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
