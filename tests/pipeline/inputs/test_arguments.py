"""Arguments of a call: whatever is given, it is used or refused by name before any network computes."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mova.errors import ConfigError, MovaError


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"prompt": 3}, r"prompt must be a text or a list of texts, got 3 \(int\)"),
        ({"prompt": ["a", None]}, r"prompt must be a text, got None \(NoneType\)"),
        ({"negative_prompt": b"x"}, r"negative_prompt must be a text or a list of texts, got b'x' \(bytes\)"),
        ({"negative_prompt": ["a", "b", "c"]}, "negative_prompt must hold 1 or 1 items for 1 prompts, got 3"),
        ({"height": "32"}, r"height must be a whole number .*got '32' \(str\)"),
        ({"height": 32.0}, r"height must be a whole number .*got 32\.0 \(float\)"),
        ({"num_inference_steps": True}, "num_inference_steps must be a whole number"),
        ({"frame_rate": None, "guidance_scale": "high"}, r"guidance_scale must be a number, got 'high' \(str\)"),
        ({"guidance_scale": torch.ones(2)}, r"guidance_scale must be a number, got \(2,\) torch\.float32 \(Tensor\)"),
        ({"guidance_interval": 0.5}, r"guidance_interval must be two numbers, got 0\.5"),
        ({"guidance_interval": ("a", 1)}, "guidance_interval must be a number, got 'a'"),
        ({"speed": []}, r"speed must be a text, got \[\] \(list\)"),
        ({"sampler": 3}, "sampler must be a text, got 3"),
        ({"output_type": None}, "output_type must be one of"),
        ({"num_videos_per_prompt": 1.5}, "num_videos_per_prompt must be a whole number"),
        ({"num_videos_per_prompt": 10**9}, "num_videos_per_prompt must be a whole number from 1 to 1024"),
        ({"seed": None, "generator": 3}, "generator must be a torch.Generator or one per clip, got 3"),
        ({"prompt": None, "prompt_embeds": torch.zeros(1, 3, 5)}, r"prompt_embeds must be a tensor \(B, P, 32\)"),
        ({"prompt": None, "prompt_embeds": "x"}, r"prompt_embeds must be a tensor .* got 'x' \(str\)"),
        ({"latents": [1, 2]}, r"latents must be a tensor \(1, 16, 2, 4, 4\), got \[1, 2\]"),
        ({"batch_branches": "yes"}, "batch_branches must be True, False or None, got 'yes'"),
        ({"callback_on_step_end": 3}, "callback_on_step_end must be a function, got 3"),
        ({"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}, "must be a list of latents, audio_latents, got"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, dict) else None,
)
def test_what_cannot_be_used_is_named_with_its_value(latents_of, pipe, change, text):
    with pytest.raises(MovaError, match=text):
        latents_of(**change)


def test_numbers_of_other_libraries_are_numbers(latents_of):
    plain = latents_of(guidance_scale=3.0, num_frames=5, guidance_interval=(0.0, 0.9))
    same = latents_of(
        guidance_scale=np.float32(3.0),
        num_frames=np.int64(5),
        num_inference_steps=torch.tensor(4),
        height=np.array(32),
        guidance_interval=[np.float64(0.0), torch.tensor(0.9, dtype=torch.float64)],
        seed=np.int64(0),
    )
    assert all(torch.equal(one, other) for one, other in zip(plain, same, strict=True))


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from(
        [10**12, 10**5000, -(10**30), float("nan"), float("inf"), 1e300, "", "x", b"x", (), [], {}, object()]
    ),
    st.floats(allow_nan=True),
    st.text(max_size=3),
    st.lists(st.integers(-2, 3) | st.text(max_size=2) | st.none(), max_size=3),
    st.sampled_from([np.zeros(0), np.zeros((2, 2)), np.int8(3), torch.zeros(2), torch.tensor(True), torch.tensor(2)]),
    st.builds(lambda: (one for one in "ab")),
)
NAMES = (
    *("prompt", "image", "last_image", "negative_prompt", "video", "audio", "height", "width", "num_frames"),
    *("frame_rate", "num_inference_steps", "guidance_scale", "modality_scale", "audio_guidance_scale", "seed", "index"),
    *("audio_modality_scale", "guidance_rescale", "guidance_interval", "video_shift", "audio_shift", "sampler"),
    *("sigma_lookup", "null_image", "num_videos_per_prompt", "generator", "latents", "audio_latents", "speed"),
    *("prompt_embeds", "negative_prompt_embeds", "batch_branches", "adaptive_guidance", "step_cache", "output_type"),
    *("step_cache_order", "hold_noise", "callback_on_step_end", "callback_on_step_end_tensor_inputs"),
)


class ReachedError(Exception):
    """The arguments were accepted: encoding would begin now."""


@pytest.fixture
def only_checked(pipe, short, monkeypatch):
    """Return a call that ends where the first network would compute."""

    def stop(*_, **__):
        raise ReachedError

    monkeypatch.setattr(pipe, "encode_prompt", stop)

    def call(**changes):
        pipe(**({"prompt": "a dog", "seed": 0} | short | changes))

    return call


@seed(17)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(NAMES), ANYTHING, min_size=1, max_size=3))
def test_any_arguments_are_used_or_refused_before_anything_is_computed(only_checked, changes):
    with pytest.raises((ReachedError, MovaError)) as raised:
        only_checked(**changes)
    if isinstance(raised.value, MovaError):
        assert len(str(raised.value)) < 2000


def test_an_unknown_argument_is_named_by_python(pipe):
    with pytest.raises(TypeError, match="guidance"):
        pipe("a dog", guidance=3)


def test_errors_are_config_errors_so_that_value_errors_catch_them(latents_of):
    with pytest.raises(ValueError, match="height"):
        latents_of(height="x")
    assert issubclass(ConfigError, ValueError)
