"""Stages that draw their samples anew."""

from mova.train.stages.encoders.seeded import SeededStage


def test_samples_are_named_by_their_step_and_any_position_fits():
    stage = SeededStage()
    assert "step 7" in stage.samples(7)[0]
    assert stage.position(7) == {}
    stage.resume_at({})
