"""A loop that is interrupted after any step and goes on ends with the bits of one that was not."""

import pytest
import torch

from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import Guidance
from mova.diffusion.loop_state import LoopState, PartState, Resuming
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import StateError
from mova.types import LatentPair, Velocities

SCHEDULER = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True)
STEPS = 6


def noise(batch_size: int = 2) -> LatentPair:
    generator = torch.Generator().manual_seed(0)
    return LatentPair(
        video=torch.randn(batch_size, 2, 3, 4, 4, generator=generator),
        audio=torch.randn(batch_size, 4, 10, generator=generator),
    )


class Flow:
    """A velocity that depends on everything the loop hands over, and a count of the calls."""

    def __init__(self) -> None:
        self.branches: list[int] = []

    def __call__(self, branches, latents, video_timestep, audio_timestep, expert):
        self.branches.append(len(branches))
        bend = 0.7 if expert == "high_noise" else 0.4
        return [
            Velocities(
                video=bend * latents.video * (0.5 + branch.text) + video_timestep.view(-1, 1, 1, 1, 1) / 1000,
                audio=latents.audio * (0.3 + 0.4 * branch.bridge) - audio_timestep.view(-1, 1, 1) / 1000,
            )
            for branch in branches
        ]


def run(flow=None, start=None, hold=None, **options):
    schedule = SCHEDULER.make_schedule(STEPS, **({f"hold_{hold}": True} if hold else {"audio_shift": 2.0}))
    return denoise(flow or Flow(), start or noise(), schedule, boundary_ratio=0.9, **options)


def states(every=1, **options) -> list[LoopState]:
    kept: list[LoopState] = []
    run(resuming=Resuming(on_state=kept.append, every=every), **options)
    return kept


def equal(one: LatentPair, other: LatentPair) -> bool:
    return torch.equal(one.video, other.video) and torch.equal(one.audio, other.audio)


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
@pytest.mark.parametrize("hold", [None, "video", "audio"])
def test_a_run_that_goes_on_from_any_step_ends_with_the_same_bits(sampler, hold):
    options = {"sampler": sampler, "hold": hold, "guidance": Guidance(3.0, 2.0)}
    whole, kept = run(**options), states(**options)
    assert [state.done for state in kept] == [1, 2, 3, 4, 5]
    for state in kept:
        flow = Flow()
        assert equal(run(flow, resuming=Resuming(start=state), **options), whole), state.done
        assert len(flow.branches) == STEPS - state.done


def test_guidance_that_has_ended_stays_ended_for_its_expert():
    options = {"guidance": Guidance(3.0, tolerance=1.0), "sampler": "unipc"}
    flow = Flow()
    whole = run(flow, **options)
    assert 1 in flow.branches[1:]
    for state in states(**options):
        again = Flow()
        assert equal(run(again, resuming=Resuming(start=state), **options), whole)
        assert again.branches == flow.branches[state.done :]


def test_each_clip_of_a_batch_goes_on_with_its_own_guidance():
    functions = [Flow(), Flow()]
    options = {"guidance": Guidance(3.0, tolerance=0.001)}
    whole = run(functions, **options)
    kept: list[LoopState] = []
    run([Flow(), Flow()], resuming=Resuming(on_state=kept.append), **options)
    assert set(kept[0].parts) == {"solver", "guidance.0", "guidance.1"}
    for state in kept:
        assert equal(run([Flow(), Flow()], resuming=Resuming(start=state), **options), whole)


def test_states_come_every_so_many_steps_counted_from_the_beginning():
    assert [state.done for state in states(every=2)] == [2, 4]
    first = states(every=3)[0]
    kept: list[LoopState] = []
    run(resuming=Resuming(start=first, on_state=kept.append, every=2))
    assert [state.done for state in kept] == [4]


def test_a_run_that_is_stopped_hands_over_the_state_of_that_moment_once():
    kept: list[LoopState] = []
    done: list[int] = []
    options = {"sampler": "unipc"}
    run(
        resuming=Resuming(on_state=kept.append, every=2),
        watch=lambda step: done.append(step.done),
        is_stopped=lambda: done[-1:] == [3],
        **options,
    )
    assert [state.done for state in kept] == [2, 3]
    assert equal(run(resuming=Resuming(start=kept[-1]), **options), run(**options))
    kept.clear()
    run(resuming=Resuming(on_state=kept.append), is_stopped=lambda: True)
    assert kept == [], "nothing was done yet"


def test_a_watcher_sees_the_clean_latents_that_a_step_points_to():
    seen = []
    end = run(watch=seen.append)
    assert [(step.done, step.total) for step in seen] == [(done, STEPS) for done in range(1, STEPS + 1)]
    assert equal(seen[-1].latents, end)
    torch.testing.assert_close(seen[-1].clean().video, end.video)
    held = []
    run(hold="audio", watch=held.append)
    assert all(torch.equal(step.clean().audio, noise().audio) for step in held)


@pytest.mark.parametrize(
    "change",
    [
        {"total": 7},
        {"done": 0},
        {"done": STEPS},
        {"latents": noise(1)},
        {"parts": {}},
        {"parts": {"solver": PartState(), "guidance.0": PartState({"ended_for": "a third"})}},
        {"parts": {"solver": PartState(), "guidance.0": PartState()}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_state_of_another_run_is_refused_before_the_first_call(change):
    state = states()[0]
    other = LoopState(**({name: getattr(state, name) for name in ("done", "total", "latents", "parts")} | change))
    flow = Flow()
    with pytest.raises(StateError, match="start it anew"):
        run(flow, resuming=Resuming(start=other))
    assert flow.branches == []


def test_a_state_is_not_changed_by_the_run_that_it_came_from_or_goes_to():
    kept = states(sampler="unipc")
    before = [value.clone() for state in kept for part in state.parts.values() for value in part.tensors.values()]
    run(sampler="unipc", resuming=Resuming(start=kept[1]))
    after = [value for state in kept for part in state.parts.values() for value in part.tensors.values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
