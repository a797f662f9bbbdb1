"""Videos that have collapsed."""

import numpy as np
import pytest

from mova.media.measures.collapse import LEAST_FRAMES, LEAST_MOTION, LEAST_SPREAD, find_collapse
from mova.toyworld import render, sample_scene, split_seed


def noisy(frames, amount):
    rng = np.random.default_rng(0)
    return (frames + rng.normal(0, amount, frames.shape)).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def still():
    rng = np.random.default_rng(1)
    return np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_flat_video_is_found_under_the_noise_of_an_autoencoder(colour):
    found = find_collapse(noisy(np.full((25, 64, 64, 3), colour, np.float64), 1.0))
    assert found.kind == "flat"
    assert found.spread < LEAST_SPREAD
    assert str(found).startswith("flat: its pixels differ by")


def test_a_video_that_is_flat_behind_its_first_frames_is_flat(still):
    frames = np.full((25, 64, 64, 3), 200, np.uint8)
    frames[:4] = still
    assert find_collapse(frames).kind == "flat"


def test_a_still_is_found_under_the_noise_of_an_autoencoder(still):
    found = find_collapse(noisy(np.broadcast_to(still, (25, 64, 64, 3)).astype(np.float64), 2.0))
    assert found.kind == "frozen"
    assert found.motion < LEAST_MOTION


def test_a_small_thing_that_moves_is_motion(still):
    frames = np.repeat(still[None], 25, axis=0)
    for index, frame in enumerate(frames):
        frame[10:14, index : index + 4] = 255 - frame[10:14, index : index + 4]
    assert find_collapse(frames) is None


def test_slow_changes_of_light_are_motion(still):
    frames = np.repeat(still[None], 49, axis=0).astype(np.float64)
    assert find_collapse((frames * np.linspace(1.0, 0.8, 49)[:, None, None, None]).astype(np.uint8)) is None


def test_nothing_is_said_of_the_motion_of_few_frames(still):
    assert find_collapse(np.repeat(still[None], LEAST_FRAMES - 1, axis=0)) is None


def test_no_clip_of_the_toy_world_is_found():
    clips = [render(sample_scene(split_seed("validation", index)), size=64, num_frames=49) for index in range(24)]
    assert [find_collapse(clip.clip.frames) for clip in clips] == [None] * 24
