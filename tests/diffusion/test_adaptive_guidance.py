"""Guidance that ends by itself: when it ends, for whom, and that what follows is what a planned end gives."""

from dataclasses import replace

import pytest
import torch

from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import CONDITIONAL, TEXTLESS, UNCONDITIONAL, Guidance
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError, NumericalError
from mova.types import LatentPair, Velocities

SCHEDULE = PairedFlowMatchScheduler(shift=1.0, sigma_min=0.0, extra_one_step=True).make_schedule(10)
SAMPLERS = ["euler", "unipc"]
TOLERANCE = 0.01
NEVER, FROM_THE_START = 0.0, 1.0


def noise(batch_size=2):
    generator = torch.Generator().manual_seed(0)
    return LatentPair(
        video=torch.randn(batch_size, 2, 3, 4, 4, generator=generator),
        audio=torch.randn(batch_size, 4, 10, generator=generator),
    )


class Flow:
    """A model whose branches agree on a clip of ones from given noise levels downwards, and differ before.

    Args:
        video, audio: noise level of each clip from which the textless branch agrees.
        bridge: from which the branch without the bridge agrees, for all clips and both modalities.
    """

    def __init__(self, video=(0.55, 0.55), audio=(0.55, 0.55), bridge=1.0):
        self.video, self.audio, self.bridge, self.calls = torch.tensor(video), torch.tensor(audio), bridge, []

    def __call__(self, branches, latents, video_timestep, audio_timestep, expert):
        self.calls.append((branches, expert))
        return [
            Velocities(
                self._velocity(latents.video, video_timestep / 1000, self.video, branch),
                self._velocity(latents.audio, audio_timestep / 1000, self.audio, branch),
            )
            for branch in branches
        ]

    def _velocity(self, latents, sigma, agrees_from, branch):
        if branch == UNCONDITIONAL:
            agrees_from = torch.full_like(agrees_from, self.bridge)
        differs = (sigma > agrees_from) & (branch != CONDITIONAL)
        level, other = (value.float().view(-1, *(1,) * (latents.ndim - 1)) for value in (sigma, differs))
        clean = torch.ones_like(latents)
        # Where branches differ, half of the clip is half as bright to one of them.
        clean[..., : latents.shape[-1] // 2] *= 1 - other / 2
        return (latents - clean) / level.clamp_min(1e-3)

    @property
    def counts(self):
        return [len(branches) for branches, _ in self.calls]


def run(flow, tolerance=TOLERANCE, start=None, schedule=SCHEDULE, guidance=None, **options):
    guidance = replace(guidance or Guidance(guidance_scale=3.0), tolerance=tolerance)
    return denoise(flow, start or noise(), schedule, guidance=guidance, **options)


def same(one, other):
    return one.video.equal(other.video) and one.audio.equal(other.audio)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_tolerance_of_zero_is_exact(sampler):
    # Branches that agree to the last bit do not end it either.
    for flow in (Flow(), Flow((1.0, 1.0), (1.0, 1.0))):
        never, plain = Flow(flow.video.tolist(), flow.audio.tolist()), flow
        off = run(never, NEVER, sampler=sampler)
        assert same(off, denoise(plain, noise(), SCHEDULE, guidance=Guidance(3.0), sampler=sampler))
        assert never.calls == plain.calls
        assert never.counts == [2] * 10


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steps_after_the_first_that_agrees_are_those_of_a_planned_end(sampler):
    adaptive, planned = Flow(), Flow()
    found = run(adaptive, sampler=sampler)
    # Noise levels 1, 0.9, ... 0.1: they agree at 0.5, which is still guided.
    assert adaptive.counts == [2] * 6 + [1] * 4
    expected = denoise(planned, noise(), SCHEDULE, guidance=Guidance(3.0, interval=(0.45, 1.0)), sampler=sampler)
    assert adaptive.calls == planned.calls
    assert same(found, expected)
    assert {branches for branches, _ in adaptive.calls[6:]} == {(CONDITIONAL,)}


def test_the_next_expert_begins_guided_again():
    flow = Flow((0.95, 0.95), (0.95, 0.95))
    run(flow, boundary_ratio=0.7)
    experts = [expert for _, expert in flow.calls]
    assert experts == ["high_noise"] * 4 + ["low_noise"] * 6
    assert flow.counts == [2, 2, 1, 1, 2, 1, 1, 1, 1, 1]


def test_the_least_similar_clip_decides_for_all():
    run(alone := Flow((0.75,), (0.75,)), start=noise(1))
    run(both := Flow((0.75, 0.35), (0.75, 0.35)))
    assert alone.counts == [2] * 4 + [1] * 6
    assert both.counts == [2] * 8 + [1] * 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_with_a_function_for_each_clip_none_depends_on_its_neighbours(sampler):
    levels, start = (0.75, 0.35, 0.55), noise(3)
    flows = [Flow((level,), (level,)) for level in levels]
    together = run(flows, start=start, sampler=sampler)
    for index, level in enumerate(levels):
        own = LatentPair(start.video[index : index + 1], start.audio[index : index + 1])
        alone = run(flow := Flow((level,), (level,)), start=own, sampler=sampler)
        assert flow.counts == flows[index].counts
        assert same(alone, LatentPair(together.video[index : index + 1], together.audio[index : index + 1]))
    assert [sum(flow.counts) for flow in flows] == [14, 18, 16]


def test_functions_are_one_or_one_for_each_clip():
    with pytest.raises(ConfigError, match="2 clips need one function or one each, got 3"):
        run([Flow()] * 3)


@pytest.mark.parametrize("late", ["video", "audio"])
def test_both_modalities_have_to_agree(late):
    run(flow := Flow(**{late: (0.25, 0.25)}))
    assert flow.counts == [2] * 9 + [1]


def test_a_modality_that_no_later_step_guides_has_no_say():
    never = Flow(audio=(0.0, 0.0))
    run(never, guidance=Guidance(3.0, audio_guidance_scale=1.0))
    assert never.counts == [2] * 6 + [1] * 4
    held = PairedFlowMatchScheduler(shift=1.0, sigma_min=0.0, extra_one_step=True).make_schedule(10, hold_video=True)
    run(flow := Flow(video=(-1.0, -1.0)), schedule=held)
    assert flow.counts == [2] * 6 + [1] * 4


def test_with_dual_guidance_all_three_branches_have_to_agree():
    dual = Guidance(3.0, 2.0)
    run(flow := Flow(bridge=0.25), guidance=dual)
    assert flow.counts == [3] * 9 + [1]
    assert flow.calls[0][0] == (CONDITIONAL, TEXTLESS, UNCONDITIONAL)
    run(equal := Flow(bridge=0.75), guidance=Guidance(3.0, 3.0))
    assert equal.counts == [2] * 4 + [1] * 6
    assert equal.calls[0][0] == (CONDITIONAL, UNCONDITIONAL)


def test_a_planned_step_without_the_conditional_branch_decides_nothing():
    run(flow := Flow(), FROM_THE_START, guidance=Guidance(0.0, 2.0))
    assert {branches for branches, _ in flow.calls} == {(TEXTLESS, UNCONDITIONAL)}


def test_noise_that_branches_share_does_not_count_as_agreement():
    """Velocities of the first step are alike because of the noise in them, the clips that they point to are not."""
    start = noise()
    conditional, textless = (
        Flow()((branch,), start, torch.full((2,), 1000.0), torch.full((2,), 1000.0), "high_noise")[0].video.flatten(1)
        for branch in (CONDITIONAL, TEXTLESS)
    )
    alike = torch.nn.functional.cosine_similarity(conditional, textless).min()
    run(flow := Flow(), 0.04)
    assert 1 - alike < 0.04
    assert flow.counts[:6] == [2] * 6


def test_processes_settle_it_together():
    asked = []

    def broadcast_flag(flag, device):
        asked.append((flag, device.type))
        return len(asked) == 8

    run(flow := Flow(), broadcast_flag=broadcast_flag)
    # It is for the others to say: they agree late here. Afterwards nobody is asked.
    assert [flag for flag, _ in asked] == [False] * 5 + [True] * 3
    assert {device for _, device in asked} == {"cpu"}
    assert flow.counts == [2] * 8 + [1] * 2
    asked.clear()
    run(Flow(), NEVER, broadcast_flag=broadcast_flag)
    run(Flow(), guidance=Guidance(), broadcast_flag=broadcast_flag)
    assert asked == []


def test_predictions_that_are_not_finite_are_no_agreement():
    class Broken(Flow):
        def __call__(self, *arguments):
            predictions = super().__call__(*arguments)
            predictions[1].video[0, 0, 0, 0, 0] = torch.nan
            return predictions

    with pytest.raises(NumericalError, match="in video after step 1 of 10"):
        run(flow := Broken(), FROM_THE_START, broadcast_flag=lambda flag, _: pytest.fail("agreed") if flag else flag)
    assert flow.counts == [2]
