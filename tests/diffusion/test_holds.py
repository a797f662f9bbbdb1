"""What is held comes back as the same bits, and what is not is sampled beside it as if it were noise that got there."""

import pytest
import torch

from mova.conditioning.holds import Hold, Holds
from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import CONDITIONAL, Guidance
from mova.diffusion.loop_state import Resuming
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError, GeometryError, StateError
from mova.types import LatentPair, Velocities

SCHEDULER = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True)
STEPS = 6
SAMPLERS = ["euler", "unipc"]
VIDEO_HELD, AUDIO_HELD = torch.tensor([True, False, False]), torch.arange(10) >= 7


def drawn(seed: int, batch_size: int = 2) -> LatentPair:
    generator = torch.Generator().manual_seed(seed)
    return LatentPair(
        video=torch.randn(batch_size, 2, 3, 4, 4, generator=generator),
        audio=torch.randn(batch_size, 4, 10, generator=generator),
    )


KNOWN = drawn(1)
PARTLY = Holds(video=Hold(KNOWN.video, VIDEO_HELD), audio=Hold(KNOWN.audio, AUDIO_HELD))


class Flow:
    """A velocity in which each latent frame depends on all others, and the latents of every call."""

    def __init__(self):
        self.seen: list[LatentPair] = []
        self.branches: list[int] = []

    def __call__(self, branches, latents, video_timestep, _audio_timestep, expert):
        assert video_timestep.shape == (len(latents.video),)
        self.seen.append(latents)
        self.branches.append(len(branches))
        bend = 0.7 if expert == "high_noise" else 0.4
        return [
            Velocities(
                video=bend * latents.video * (0.5 + branch.text) + latents.video.mean(2, keepdim=True),
                audio=latents.audio * (0.3 + 0.4 * branch.bridge) - latents.audio.mean(2, keepdim=True),
            )
            for branch in branches
        ]


def run(holds=PARTLY, flow=None, start=None, schedule=None, **options) -> LatentPair:
    schedule = schedule or SCHEDULER.make_schedule(STEPS, audio_shift=2.0)
    return denoise(flow or Flow(), start or drawn(0), schedule, boundary_ratio=0.9, holds=holds, **options)


def equal(one: LatentPair, other: LatentPair) -> bool:
    return torch.equal(one.video, other.video) and torch.equal(one.audio, other.audio)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_held_latents_come_back_to_the_bit_and_the_others_are_sampled(sampler):
    made, plain = run(sampler=sampler, guidance=Guidance(3.0)), run(None, sampler=sampler, guidance=Guidance(3.0))
    assert torch.equal(made.video[:, :, :1], KNOWN.video[:, :, :1])
    assert torch.equal(made.audio[..., 7:], KNOWN.audio[..., 7:])
    assert not torch.isclose(made.video[:, :, 1:], KNOWN.video[:, :, 1:]).any(dim=(0, 1, 3, 4)).all()
    # What is sampled saw what is held.
    assert not torch.allclose(made.video[:, :, 1:], plain.video[:, :, 1:])
    assert not torch.allclose(made.audio[..., :7], plain.audio[..., :7])


def test_every_call_sees_what_is_held_at_the_noise_level_of_the_step_with_the_noise_of_the_run():
    flow, schedule, noise = Flow(), SCHEDULER.make_schedule(STEPS, audio_shift=2.0), drawn(0)
    run(flow=flow, schedule=schedule)
    for seen, sigma, audio_sigma in zip(flow.seen, schedule.video_sigmas, schedule.audio_sigmas, strict=False):
        level = (1 - sigma) * KNOWN.video + sigma * noise.video
        torch.testing.assert_close(seen.video[:, :, 0], level[:, :, 0])
        level = (1 - audio_sigma) * KNOWN.audio + audio_sigma * noise.audio
        torch.testing.assert_close(seen.audio[..., 7:], level[..., 7:])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_without_holds_the_bits_are_those_of_a_loop_that_knows_none(sampler):
    assert equal(run(None, sampler=sampler), run(Holds(), sampler=sampler))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_solver_follows_what_is_held_and_remembers_nothing_else_of_it(sampler):
    """A model that is right about what is held, and one that is wrong, lead to the same clip."""

    class Wrong(Flow):
        def __call__(self, branches, latents, *times):
            predicted = super().__call__(branches, latents, *times)
            for one in predicted:
                one.video[:, :, VIDEO_HELD] = 1e3
                one.audio[..., AUDIO_HELD] = -1e3
            return predicted

    assert equal(run(flow=Flow(), sampler=sampler), run(flow=Wrong(), sampler=sampler))
    steps = []
    run(flow=Wrong(), sampler=sampler, watch=steps.append)
    for step in steps:
        torch.testing.assert_close(step.clean().video[:, :, 0], KNOWN.video[:, :, 0])
        torch.testing.assert_close(step.clean().audio[..., 7:], KNOWN.audio[..., 7:])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["video", "audio"])
def test_a_modality_held_whole_comes_back_whatever_its_noise(sampler, level, name):
    known, method = getattr(KNOWN, name), "renoise" if level else "clean"
    holds = Holds(**{name: Hold(known, torch.ones(known.shape[2], dtype=torch.bool))}, method=method)
    assert holds.is_clean(name) is (method == "clean")
    schedule = SCHEDULER.make_schedule(STEPS, **{f"hold_{name}": True}, hold_noise=level)
    flow = Flow()
    made = run(holds, flow=flow, schedule=schedule, sampler=sampler)
    assert torch.equal(getattr(made, name), known)
    seen = [torch.equal(getattr(one, name), known) for one in flow.seen]
    assert all(seen) if method == "clean" else not any(seen)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_batch_is_computed_clip_by_clip_with_the_bits_of_each_alone(sampler):
    start, options = drawn(0), {"sampler": sampler, "guidance": Guidance(3.0)}
    joint = run(start=start, **options)
    apart = denoise(
        [Flow(), Flow()],
        start,
        SCHEDULER.make_schedule(STEPS, audio_shift=2.0),
        boundary_ratio=0.9,
        holds=PARTLY,
        **options,
    )
    for row in range(2):
        own = Holds(*(Hold(hold.latents[row : row + 1], hold.held) for hold in (PARTLY.video, PARTLY.audio)))
        alone = run(own, start=LatentPair(start.video[row : row + 1], start.audio[row : row + 1]), **options)
        assert torch.equal(alone.video[0], apart.video[row])
        assert torch.equal(alone.audio[0], apart.audio[row])
        torch.testing.assert_close(alone.video[0], joint.video[row])
    # One known clip for all.
    first = Holds(*(Hold(hold.latents[:1], hold.held) for hold in (PARTLY.video, PARTLY.audio)))
    shared = run(first, start=start, **options)
    assert torch.equal(shared.video[1, :, 0], KNOWN.video[0, :, 0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_goes_on_from_any_step_ends_with_the_same_bits(sampler):
    options = {"sampler": sampler, "guidance": Guidance(3.0, 2.0, tolerance=1.0)}
    kept = []
    whole = run(**options)
    run(resuming=Resuming(on_state=kept.append), **options)
    assert [state.done for state in kept] == [1, 2, 3, 4, 5]
    for state in kept:
        assert equal(run(resuming=Resuming(start=state), **options), whole), state.done
    others = Holds(video=Hold(KNOWN.video + 1, VIDEO_HELD), audio=PARTLY.audio)
    for other in (None, Holds(video=PARTLY.video), others):
        with pytest.raises(StateError):
            run(other, resuming=Resuming(start=kept[0]), **options)


def test_latents_that_a_callback_returns_do_not_move_what_is_held():
    end = run(on_step=lambda *report: LatentPair(report[2].video + 5, report[2].audio + 5), sampler="unipc")
    assert torch.equal(end.video[:, :, :1], KNOWN.video[:, :, :1])
    assert torch.equal(end.audio[..., 7:], KNOWN.audio[..., 7:])


def test_what_is_held_does_not_end_guidance_for_what_is_not():
    class Disagreeing(Flow):
        """Branches that differ in the latent frames that are not held, by the same angle at every step."""

        def __call__(self, branches, latents, video_timestep, *_):
            self.branches.append(len(branches))
            level = video_timestep.view(-1, 1, 1, 1, 1) / 1000
            predicted = []
            for branch in branches:
                clean = torch.zeros_like(latents.video)
                clean[:, 0 if branch == CONDITIONAL else 1, 1:] = 1.0
                clean[:, :, 0] = 100.0
                predicted.append(Velocities((latents.video - clean) / level.clamp_min(1e-3), latents.audio))
            return predicted

    flow = Disagreeing()
    guidance = Guidance(3.0, audio_guidance_scale=1.0, tolerance=0.5)
    run(Holds(video=PARTLY.video), flow=flow, guidance=guidance)
    assert flow.branches == [2] * STEPS


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Hold(KNOWN.video, torch.zeros(3, dtype=torch.bool)), ConfigError),
        (lambda: Hold(KNOWN.video, torch.ones(4, dtype=torch.bool)), GeometryError),
        (lambda: Hold(KNOWN.video, torch.ones(3)), GeometryError),
        (
            lambda: Holds(
                *(Hold(one, torch.ones(one.shape[2], dtype=torch.bool)) for one in (KNOWN.video, KNOWN.audio))
            ),
            ConfigError,
        ),
        (lambda: Holds(method="wish"), ConfigError),
        (lambda: run(Holds(video=Hold(KNOWN.video[:, :1], VIDEO_HELD))), GeometryError),
        (lambda: run(Holds(video=Hold(drawn(1, 3).video, VIDEO_HELD))), GeometryError),
        (lambda: run(Holds(video=Hold(KNOWN.video, torch.ones(3, dtype=torch.bool)))), ConfigError),
        (lambda: run(PARTLY, schedule=SCHEDULER.make_schedule(STEPS, hold_video=True)), ConfigError),
    ],
)
def test_holds_that_cannot_be_are_refused_before_the_first_call(make, error):
    with pytest.raises(error):
        make()
