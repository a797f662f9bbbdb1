"""What is asked of a long clip, and what is said of its windows."""

from dataclasses import replace

import numpy as np
import pytest

from mova.conditioning.windows import plan_windows
from mova.errors import ConfigError
from mova.geometry import ClipGeometry, num_samples
from mova.pipeline.long.given import LongInputs, WindowAttempt, window_seed
from mova.pipeline.long.prompts import PromptTrack

WINDOW = ClipGeometry(32, 32, 13, 24.0)


def test_joint_windows_refuse_what_they_cannot_go_on_from():
    with pytest.raises(ConfigError, match="made jointly begin with nothing but an image"):
        LongInputs(prompts=PromptTrack.of("a"), method="joint", known_audio=np.zeros((1, 5), np.float32))


def test_a_clip_to_go_on_from_and_an_image_contradict_each_other():
    with pytest.raises(ConfigError, match="holds the first frames; leave out the image"):
        LongInputs(prompts=PromptTrack.of("a"), known_frames=np.zeros((5, 32, 32, 3), np.uint8), image="x")


def test_seeds_of_windows_differ():
    seeds = {window_seed(1, window, attempt) for window in range(5) for attempt in range(3)}
    assert len(seeds) == 15
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_samples_are_counted_as_those_of_the_whole_file():
    inputs = LongInputs(prompts=PromptTrack.of("a"), before=7)
    clip = replace(WINDOW, num_frames=37, frame_rate=24_000 / 1001)
    counted = inputs.samples_until(clip, 37) + num_samples(7, clip.frame_rate, 48_000)
    assert counted == num_samples(44, clip.frame_rate, 48_000)


def test_a_report_names_times_of_the_file_and_the_last_attempts():
    plan = plan_windows(replace(WINDOW, num_frames=37), WINDOW)
    inputs = LongInputs(prompts=PromptTrack.of("a"), before=24)
    attempts = tuple(WindowAttempt(seed, "flat", "flat: ...") for seed in range(9))
    made = inputs.report(plan, plan.windows[0], "a", 9, attempts).record()
    assert made["begin_s"] == 1.0
    assert [one["seed"] for one in made["attempts"]] == [5, 6, 7, 8]
