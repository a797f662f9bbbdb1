"""Windows that agree on what they share."""

import pytest
import torch

from mova.conditioning.windows import plan_windows
from mova.geometry import ClipGeometry, CodecGeometry
from mova.pipeline.long.joint import Agreement
from mova.types import LatentPair, Velocities

TINY = CodecGeometry(sample_rate=16_000, hop_length=320)


@pytest.fixture(scope="module")
def plan():
    window = ClipGeometry(16, 16, 49, 24.0, TINY)
    return plan_windows(ClipGeometry(16, 16, 129, 24.0, TINY), window, overlap_s=1.0, method="joint")


def pair_of(plan, kind, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count, window = len(plan.windows), plan.window
    video = torch.randn(count, 2, window.num_latent_frames, 2, 2, generator=generator)
    return kind(video, torch.randn(count, 3, window.num_audio_latents, generator=generator))


def whole(plan, pair):
    """Return the clip that windows make, each latent of it by all windows that have it."""
    found = {}
    for window in plan.windows:
        first = window.start + bool(window.index)
        for latent in range(first, window.stop):
            found.setdefault(("video", latent), []).append(pair.video[window.index, :, latent - window.start])
        for latent in range(window.audio_start, window.audio_stop - 1):
            found.setdefault(("audio", latent), []).append(pair.audio[window.index, :, latent - window.audio_start])
    return found


def test_windows_have_the_same_numbers_where_they_overlap(plan):
    agreement = Agreement(plan)
    for made in (
        agreement.average(pair_of(plan, Velocities)),
        agreement.share_noise(pair_of(plan, LatentPair)),
    ):
        places = whole(plan, made)
        assert sum(len(values) > 1 for values in places.values()) > 20
        for values in places.values():
            assert all(torch.equal(value, values[0]) for value in values)


def test_velocities_that_agree_already_stay(plan):
    agreement = Agreement(plan)
    once = agreement.average(pair_of(plan, Velocities))
    twice = agreement.average(once)
    assert (once.video - twice.video).abs().max() < 1e-6
    assert (once.audio - twice.audio).abs().max() < 1e-6


def test_what_one_window_alone_has_is_left_to_it(plan):
    given = pair_of(plan, Velocities)
    made = Agreement(plan).average(given)
    alone = plan.windows[1].start
    assert torch.equal(made.video[0, :, :alone], given.video[0, :, :alone])
    # The first latent frame of a later window stands for one frame, and is its own.
    assert torch.equal(made.video[1, :, 0], given.video[1, :, 0])


def test_shared_noise_is_noise(plan):
    noise = Agreement(plan).share_noise(pair_of(plan, LatentPair))
    assert abs(float(noise.video.std()) - 1.0) < 0.1
    assert torch.equal(noise.video[0], pair_of(plan, LatentPair).video[0])


def test_a_single_window_is_left_as_it_is():
    window = ClipGeometry(16, 16, 49, 24.0, TINY)
    plan = plan_windows(window, window)
    given = pair_of(plan, Velocities)
    made = Agreement(plan).average(given)
    assert torch.equal(made.video, given.video)
    assert torch.equal(made.audio, given.audio)
