"""All windows of a long clip made together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mova.conditioning.windows import plan_windows
from mova.errors import NumericalError
from mova.pipeline.long.given import LongInputs, Watch, window_seed
from mova.pipeline.long.prompts import PromptTrack
from mova.pipeline.long.run import LongRun
from mova.pipeline.long.together import make_together
from mova.settings.sampling import GivenSettings


@pytest.fixture(scope="module")
def settings(pipe):
    given = GivenSettings(height=32, width=32, num_frames=13, num_inference_steps=2, guidance_scale=1.0)
    return pipe.complete_settings(given)


@pytest.fixture(scope="module")
def plan(settings):
    window = settings.geometry
    return plan_windows(replace(window, num_frames=37), window, overlap_s=0.2, method="joint")


def asked(**changes):
    later = [(1.2, "a cat")]
    return LongInputs(
        **{"prompts": PromptTrack.of("a dog", later), "method": "joint", "seed": 3, "retries": 1} | changes
    )


def test_joint_windows_make_one_clip(pipe, settings, plan):
    run = LongRun(pipe, settings, plan, asked(retries=0))
    pieces = list(run.pieces())
    frames = np.concatenate([piece.frames for piece in pieces])
    assert frames.shape == (37, 32, 32, 3)
    assert sum(piece.samples.shape[1] for piece in pieces) == plan.clip.num_samples
    assert run.calls.predictions == 4 * 2
    assert [report.prompt for report in run.reports] == ["a dog", "a dog", "a dog", "a cat"]
    # The jump at a seam is none beside those elsewhere.
    changes = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean((1, 2, 3))
    seams = [round(report.begin_s * 24) - 1 for report in run.reports[1:]]
    assert changes[seams].max() < 3 * np.median(changes)


def test_numbers_that_are_not_finite_are_another_try_for_all(pipe, settings, plan, monkeypatch):
    whole, seen = type(pipe).denoise, []

    def denoise(self, run, text, start, **options):
        seen.append(start.seeds)
        if len(seen) == 1:
            raise NumericalError("latents must stay finite")
        return whole(self, run, text, start, **options)

    monkeypatch.setattr(type(pipe), "denoise", denoise)
    made, _, _ = make_together(pipe, settings, plan, asked(), None, Watch())
    assert [one.report.attempts[0].found for one in made] == ["not finite"] * 4
    assert made[2].report.seed == window_seed(3, 2, 1)
    assert sum(one.video.shape[2] for one in made) == plan.clip.num_latent_frames
    assert all(torch.isfinite(one.audio).all() for one in made)
