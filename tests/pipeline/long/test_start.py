"""What the loop of a window starts from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mova.conditioning.windows import plan_windows
from mova.pipeline.long.given import LongInputs
from mova.pipeline.long.prompts import PromptTrack
from mova.pipeline.long.start import WindowStarter
from mova.pipeline.long.store import StoredWindow
from mova.settings.sampling import GivenSettings


@pytest.fixture(scope="module")
def settings(pipe):
    given = GivenSettings(height=32, width=32, num_frames=13, num_inference_steps=2, guidance_scale=1.0)
    return pipe.complete_settings(given)


@pytest.fixture(scope="module")
def plan(settings):
    window = settings.geometry
    return plan_windows(replace(window, num_frames=37), window, overlap_s=0.2)


@pytest.fixture
def starter(pipe, settings, plan):
    def make(**changes):
        inputs = LongInputs(prompts=PromptTrack.of("a dog"), **changes)
        return WindowStarter(pipe, settings, plan, inputs)

    return make


@torch.no_grad()
@pytest.mark.parametrize("told", ["first", "all"])
def test_a_window_holds_the_latents_of_the_one_before_as_they_are(starter, plan, told):
    made = starter(told=told)
    first, second = plan.windows[:2]
    generator = torch.Generator().manual_seed(0)
    channels = plan.clip.codec
    video = torch.randn(1, channels.video_channels, first.kept, 4, 4, generator=generator)
    audio = torch.randn(1, channels.audio_channels, first.audio_kept, generator=generator)
    frames = torch.rand(1, 3, 13, 32, 32, generator=generator) * 2 - 1
    made.note(StoredWindow(video, audio, first.audio_kept, None), frames, second)
    run, _, start = made.start(second, "a dog", 5)
    held = start.holds
    assert held.video.held.tolist() == [index < second.known for index in range(4)]
    assert held.audio.held.sum() == second.known_audio
    assert torch.equal(held.video.latents[:, :, 1 : second.known], video[:, :, first.kept - second.known + 1 :])
    assert torch.equal(held.audio.latents[:, :, : second.known_audio], audio[:, :, -second.known_audio :])
    # The condition names what is told, as an image of the first frame does or to the last known frame.
    stride = channels.temporal_stride
    count = 1 if told == "first" else second.known
    assert start.condition[0, :stride, :, 0, 0].mean(0).tolist() == [float(index < count) for index in range(4)]
    shown = start.condition[:, stride:, 1 : second.known]
    assert torch.equal(shown, held.video.latents[:, :, 1 : second.known]) == (told == "all")
    assert run.schedule.audio_sigmas.any()


@torch.no_grad()
@pytest.mark.parametrize(("length", "held"), [(70_000, "whole"), (20_000, "part"), (1_000, "nothing")])
def test_own_audio_is_held_as_far_as_it_goes(starter, plan, length, held):
    own = (np.random.default_rng(0).random((1, length)) - 0.5).astype(np.float32)
    run, _, start = starter(known_audio=own).start(plan.windows[0], "a dog", 5)
    if held == "nothing":
        assert start.holds is None
        return
    hold = start.holds.audio
    assert hold.is_whole == (held == "whole")
    # Held whole, the audio has no noise from the first step on.
    assert run.schedule.audio_sigmas.any() == (held == "part")
    if held == "whole":
        assert torch.equal(start.latents.audio, hold.latents)


@torch.no_grad()
def test_own_audio_that_is_held_whole_has_its_share_of_the_noise(pipe, settings, plan):
    own = (np.random.default_rng(0).random((1, 70_000)) - 0.5).astype(np.float32)
    noisy = replace(settings, hold_noise=0.5, audio_shift=2.0)
    inputs = LongInputs(prompts=PromptTrack.of("a dog"), known_audio=own)
    run, _, start = WindowStarter(pipe, noisy, plan, inputs).start(plan.windows[0], "a dog", 5)
    assert start.holds.method == "renoise"
    free = pipe.scheduler.make_schedule(2, audio_shift=2.0)
    assert torch.equal(run.schedule.audio_timesteps, 0.5 * free.audio_timesteps)
