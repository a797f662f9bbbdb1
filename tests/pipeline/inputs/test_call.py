"""What a call is given as one object: a run with complete settings makes the clip of a call."""

import pytest
import torch

from mova.errors import ConfigError
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.settings.sampling import GivenSettings


def test_a_run_makes_the_clip_of_a_call(pipe, short):
    settings = pipe.complete_settings(GivenSettings(**short))
    inputs = CallInputs(prompt="a dog", noise=GivenNoise(seed=3, index=1), output_type="latent")
    made, called = pipe.run(settings, inputs), pipe("a dog", **short, seed=3, index=1, output_type="latent")
    assert torch.equal(made.frames, called.frames)
    assert torch.equal(made.audio, called.audio)
    assert made.record.of(0, made.seeds) == called.record.of(0, called.seeds)


def test_settings_are_completed_for_what_is_given_whole(pipe, short):
    asked = GivenSettings(**short)
    given = GivenMedia(video=torch.zeros(1))
    assert pipe.complete_settings(asked, media=given).video_shift is None
    assert pipe.complete_settings(asked, speed="fast").sampler == "unipc"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"prompt": 3}, "prompt must be a text or a list of texts, got 3"),
        ({"per_prompt": 0}, "num_videos_per_prompt must be a whole number of 1 or more, got 0; nearest is 1"),
        ({"on_step_end": 3}, "callback_on_step_end must be a function, got 3"),
    ],
    ids=str,
)
def test_a_run_checks_what_it_is_given(pipe, short, change, text):
    with pytest.raises(ConfigError, match=text):
        pipe.run(pipe.complete_settings(GivenSettings(**short)), CallInputs(**({"prompt": "a dog"} | change)))
