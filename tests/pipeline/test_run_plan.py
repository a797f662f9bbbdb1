import pytest
import torch

from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.pipeline.run_plan import RunPlan, guidance_of
from mova.settings.sampling import SamplingSettings


def make_plan(guidance_scale=1.0, modality_scale=1.0, **changes):
    settings = SamplingSettings(guidance_scale=guidance_scale, modality_scale=modality_scale)
    schedule = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True).make_schedule(50)
    values = {"boundary_ratio": 0.9, "num_prompts": 2, "per_prompt": 3, "output_type": "pil"} | changes
    return RunPlan(settings=settings, schedule=schedule, guidance=guidance_of(settings), **values)


def test_published_run_gives_18_steps_to_the_high_noise_expert():
    experts = [step.expert for step in make_plan().steps]
    assert (experts.count("high_noise"), experts.count("low_noise")) == (18, 32)
    assert experts == sorted(experts)
    assert {step.expert for step in make_plan(boundary_ratio=None).steps} == {"high_noise"}


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ({}, False),
        ({"guidance_scale": 5.0}, True),
        ({"modality_scale": 2.0}, True),
        ({"guidance_scale": 2.0, "modality_scale": 2.0}, True),
    ],
    ids=str,
)
def test_negative_text_is_needed_only_for_guidance(scales, expected):
    assert make_plan(**scales).needs_negative_text is expected


def test_rows_are_given_to_every_clip():
    plan = make_plan()
    assert plan.batch_size == 6
    assert plan.expand(torch.tensor([1, 2]), "x").tolist() == [1, 1, 1, 2, 2, 2]
    assert plan.geometry.num_frames == 193


def test_every_scale_reaches_the_guidance():
    settings = SamplingSettings(
        guidance_scale=2.0,
        modality_scale=3.0,
        audio_guidance_scale=4.0,
        audio_modality_scale=5.0,
        guidance_rescale=0.5,
        guidance_interval=(0.1, 0.9),
        adaptive_guidance=0.25,
    )
    guidance = guidance_of(settings)
    assert (guidance.guidance_scale, guidance.modality_scale) == (2.0, 3.0)
    assert (guidance.audio_guidance_scale, guidance.audio_modality_scale) == (4.0, 5.0)
    assert (guidance.rescale, guidance.interval, guidance.tolerance) == (0.5, (0.1, 0.9), 0.25)
