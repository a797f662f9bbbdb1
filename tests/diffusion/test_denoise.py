"""The loop: experts, calls, callbacks, held modalities and bad numbers."""

import pytest
import torch

from mova.diffusion.denoise import denoise, num_model_calls, plan_steps
from mova.diffusion.guidance import CONDITIONAL, TEXTLESS, Guidance
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError, NumericalError
from mova.types import LatentPair, Velocities

SCHEDULER = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True)
SAMPLERS = ["euler", "unipc"]


def noise(batch_size: int = 2) -> LatentPair:
    generator = torch.Generator().manual_seed(0)
    return LatentPair(
        video=torch.randn(batch_size, 2, 3, 4, 4, generator=generator),
        audio=torch.randn(batch_size, 4, 10, generator=generator),
    )


class Flow:
    """A velocity that depends on everything the loop hands over, and a log of the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __call__(self, branches, latents, video_timestep, audio_timestep, expert):
        assert video_timestep.dtype == audio_timestep.dtype == torch.float32
        assert video_timestep.shape == audio_timestep.shape == (len(latents.video),)
        self.calls.append((branches, video_timestep[0].item(), audio_timestep[0].item(), expert))
        bend = 0.7 if expert == "high_noise" else 0.4
        return [
            Velocities(
                video=bend * latents.video * (0.5 + branch.text) + video_timestep.view(-1, 1, 1, 1, 1) / 1000,
                audio=latents.audio * (0.3 + 0.4 * branch.bridge) - audio_timestep.view(-1, 1, 1) / 1000,
            )
            for branch in branches
        ]


@pytest.mark.parametrize(("steps", "num_high"), [(50, 18), (25, 9)])
def test_experts_share_the_steps_as_published(steps, num_high):
    experts = [step.expert for step in plan_steps(SCHEDULER.make_schedule(steps), Guidance(), 0.9)]
    assert experts == ["high_noise"] * num_high + ["low_noise"] * (steps - num_high)


def test_high_noise_expert_owns_the_boundary_itself():
    schedule = PairedFlowMatchScheduler(shift=1.0, sigma_min=0.0, extra_one_step=True).make_schedule(10)
    assert schedule.video_timesteps[1] == 900
    experts = [step.expert for step in plan_steps(schedule, Guidance(), 0.9)]
    assert experts == ["high_noise"] * 2 + ["low_noise"] * 8


def test_video_timestep_alone_chooses_the_expert():
    plain, shifted = (SCHEDULER.make_schedule(8, audio_shift=shift) for shift in (None, 1.0))
    assert [s.expert for s in plan_steps(plain, Guidance(), 0.9)] == [
        s.expert for s in plan_steps(shifted, Guidance(), 0.9)
    ]
    held = plan_steps(SCHEDULER.make_schedule(8, hold_video=True), Guidance(), 0.9)
    assert {step.expert for step in held} == {"low_noise"}


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_what_is_held_is_not_guided(level):
    schedule = SCHEDULER.make_schedule(4, hold_audio=True, hold_noise=level)
    guided = plan_steps(schedule, Guidance(audio_guidance_scale=3.0, audio_modality_scale=2.0), 0.9)
    assert {len(step.mix.branches) for step in guided} == {1}
    assert {len(step.mix.branches) for step in plan_steps(schedule, Guidance(guidance_scale=3.0), 0.9)} == {2}


def test_single_tower_is_the_high_noise_one():
    assert {step.expert for step in plan_steps(SCHEDULER.make_schedule(8), Guidance(), None)} == {"high_noise"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_loop_makes_the_planned_calls(sampler):
    flow, schedule = Flow(), SCHEDULER.make_schedule(10, audio_shift=2.0)
    guidance = Guidance(guidance_scale=3.0, interval=(0.0, 0.95))
    plan = plan_steps(schedule, guidance, 0.9)
    denoise(flow, noise(), schedule, guidance=guidance, sampler=sampler, boundary_ratio=0.9)
    assert sum(len(branches) for branches, *_ in flow.calls) == num_model_calls(plan) < 20
    assert [(step.mix.branches, step.expert) for step in plan] == [(call[0], call[3]) for call in flow.calls]
    assert {branches for branches, *_ in flow.calls} == {(CONDITIONAL,), (CONDITIONAL, TEXTLESS)}
    assert [call[1] for call in flow.calls] == schedule.video_timesteps.tolist()
    assert [call[2] for call in flow.calls] == schedule.audio_timesteps.tolist()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_guidance_and_shifts_change_the_result(sampler):
    def run(schedule, **options):
        return denoise(Flow(), noise(), schedule, sampler=sampler, **options)

    schedule = SCHEDULER.make_schedule(6)
    plain = run(schedule)
    assert not torch.allclose(run(schedule, guidance=Guidance(2.0)).video, plain.video)
    assert not torch.allclose(run(schedule, boundary_ratio=0.9).video, plain.video)
    shifted = run(SCHEDULER.make_schedule(6, audio_shift=2.0))
    assert torch.equal(shifted.video, plain.video)
    assert not torch.allclose(shifted.audio, plain.audio)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_batch_gives_what_single_samples_give(sampler):
    schedule, start, guidance = SCHEDULER.make_schedule(5), noise(3), Guidance(2.0, 1.5, rescale=0.7)
    options = {"guidance": guidance, "sampler": sampler, "boundary_ratio": 0.9}
    whole = denoise(Flow(), start, schedule, **options)
    for index in range(3):
        single = LatentPair(start.video[index : index + 1], start.audio[index : index + 1])
        alone = denoise(Flow(), single, schedule, **options)
        torch.testing.assert_close(alone.video[0], whole.video[index])
        torch.testing.assert_close(alone.audio[0], whole.audio[index])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_runs_leave_nothing_behind(sampler):
    schedule, start = SCHEDULER.make_schedule(5), noise()
    kept = LatentPair(start.video.clone(), start.audio.clone())
    first, second = (denoise(Flow(), start, schedule, sampler=sampler) for _ in range(2))
    assert torch.equal(first.video, second.video)
    assert torch.equal(first.audio, second.audio)
    assert torch.equal(start.video, kept.video)
    assert torch.equal(start.audio, kept.audio)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("held", ["video", "audio"])
def test_held_modality_stays_as_given_and_needs_no_guidance(sampler, held):
    flow, start = Flow(), noise()
    schedule = SCHEDULER.make_schedule(4, **{f"hold_{held}": True})
    guidance = Guidance(3.0, audio_guidance_scale=1.0) if held == "video" else Guidance(audio_guidance_scale=3.0)
    end = denoise(flow, start, schedule, guidance=guidance, sampler=sampler, boundary_ratio=0.9)
    assert torch.equal(getattr(end, held), getattr(start, held))
    assert {branches for branches, *_ in flow.calls} == {(CONDITIONAL,)}
    held_timesteps = {call[1 if held == "video" else 2] for call in flow.calls}
    assert held_timesteps == {0.0}


def test_callback_counts_the_steps_and_sees_the_latents():
    seen = []
    end = denoise(Flow(), noise(), SCHEDULER.make_schedule(4), on_step=lambda *report: seen.append(report))
    assert [(step, total) for step, total, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(seen[-1][2].video, end.video)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_latents_from_the_callback_replace_the_current_ones(sampler):
    schedule, start = SCHEDULER.make_schedule(5), noise()

    def put_back(step, total, latents):
        return LatentPair(start.video.double(), start.audio) if step == 3 else None

    end = denoise(Flow(), start, schedule, sampler=sampler, on_step=put_back)
    # What comes after the replacement depends on the replaced latents only.
    spoilt = LatentPair(start.video * 7, start.audio - 3)
    assert torch.equal(end.video, denoise(Flow(), spoilt, schedule, sampler=sampler, on_step=put_back).video)
    assert not torch.allclose(end.video, denoise(Flow(), start, schedule, sampler=sampler).video)
    assert end.video.dtype == torch.float32


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_callback_that_gives_the_latents_back_leaves_a_straight_flow_on_its_way(sampler):
    start = noise()

    def straight(branches, latents, *_):
        return [Velocities(video=start.video - 0.5, audio=start.audio + 2.0) for _ in branches]

    end = denoise(straight, start, SCHEDULER.make_schedule(5), sampler=sampler, on_step=lambda *report: report[-1])
    torch.testing.assert_close(end.video, torch.full_like(end.video, 0.5), atol=1e-5, rtol=0)
    torch.testing.assert_close(end.audio, torch.full_like(end.audio, -2.0), atol=1e-5, rtol=0)


def test_latents_are_float32_whatever_the_model_computes_in():
    def half(branches, latents, *_):
        assert latents.video.dtype == torch.float32
        return [Velocities(latents.video.bfloat16(), latents.audio.bfloat16()) for _ in branches]

    start = noise()
    end = denoise(half, LatentPair(start.video.half(), start.audio.half()), SCHEDULER.make_schedule(3))
    assert end.video.dtype == end.audio.dtype == torch.float32


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("spoilt", "bad"), [("video", float("nan")), ("audio", float("inf"))])
def test_bad_numbers_stop_at_their_step(sampler, spoilt, bad):
    calls = []

    def breaks_at_third(branches, latents, *_):
        calls.append(len(branches))
        velocities = {"video": latents.video.clone(), "audio": latents.audio.clone()}
        if len(calls) == 3:
            velocities[spoilt].view(-1)[5] = bad
        return [Velocities(**velocities) for _ in branches]

    with pytest.raises(NumericalError, match=f"infinity in {spoilt} after step 3 of 6 \\(low_noise expert\\)"):
        denoise(breaks_at_third, noise(), SCHEDULER.make_schedule(6), sampler=sampler, boundary_ratio=0.95)
    assert len(calls) == 3


def test_bad_numbers_at_the_start_are_found_before_any_call():
    flow, start = Flow(), noise()
    start.audio[0, 0, 0] = float("nan")
    with pytest.raises(NumericalError, match="in audio before the first step"):
        denoise(flow, start, SCHEDULER.make_schedule(3))
    assert flow.calls == []


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"sampler": "heun"}, "got 'heun'"),
        ({"boundary_ratio": 900.0}, r"boundary_ratio must lie in \[0, 1\], got 900.0"),
    ],
)
def test_wrong_options_are_refused_before_any_call(options, rule):
    flow = Flow()
    with pytest.raises(ConfigError, match=rule):
        denoise(flow, noise(), SCHEDULER.make_schedule(3), **options)
    assert flow.calls == []
