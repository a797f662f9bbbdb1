from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError, GeometryError, MovaError
from mova.geometry import CodecGeometry
from mova.settings.sampling import (
    NOTHING_GIVEN,
    NULL_IMAGES,
    SAMPLERS,
    SIGMA_LOOKUPS,
    GivenSettings,
    SamplingSettings,
)
from mova.weights.locate import ModelDefaults

SMALL = CodecGeometry(sample_rate=16_000, hop_length=320, audio_channels=32)


def test_defaults_are_the_published_ones_and_valid():
    chosen = SamplingSettings()
    assert (chosen.height, chosen.width, chosen.num_frames, chosen.frame_rate) == (352, 640, 193, 24.0)
    assert (chosen.num_inference_steps, chosen.guidance_scale, chosen.video_shift) == (50, 5.0, None)
    assert chosen.geometry.num_audio_latents == 403
    assert SamplingSettings.for_model(ModelDefaults(), CodecGeometry()) == chosen


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"height": 360}, GeometryError, "height must be a positive multiple of 16, got 360; nearest are 352 and 368"),
        ({"width": 0}, GeometryError, "width must be a positive multiple of 16, got 0; nearest is 16"),
        ({"width": -16}, GeometryError, "width must be a positive multiple of 16, got -16"),
        ({"num_frames": 192}, GeometryError, "1 plus a multiple of 4, got 192; nearest are 189 and 193"),
        ({"num_frames": 0}, GeometryError, "1 plus a multiple of 4, got 0; nearest is 1"),
        ({"frame_rate": 0.0}, GeometryError, "frame rate must be a positive number"),
        ({"frame_rate": float("nan")}, GeometryError, "frame rate must be a positive number"),
        ({"num_inference_steps": -3}, ConfigError, "steps must lie between 1 and 1000, got -3; nearest is 1"),
        ({"num_inference_steps": 10**9}, ConfigError, "got 1000000000; nearest is 1000"),
        ({"num_inference_steps": 2.5}, ConfigError, "steps must be a whole number from 1 to 1000, got 2.5"),
        ({"guidance_scale": -0.1}, ConfigError, "guidance_scale must be finite and 0 or more, got -0.1"),
        ({"modality_scale": float("inf")}, ConfigError, "modality_scale must be finite"),
        ({"audio_guidance_scale": float("nan")}, ConfigError, "audio_guidance_scale must be finite"),
        ({"audio_modality_scale": -1.0}, ConfigError, "audio_modality_scale must be finite"),
        ({"hold_noise": -0.5}, ConfigError, r"hold_noise must lie in \[0, 1\], got -0.5; nearest is 0"),
        ({"guidance_rescale": 1.5}, ConfigError, r"guidance_rescale must lie in \[0, 1\], got 1.5; nearest is 1"),
        ({"guidance_interval": (0.5, 0.5)}, ConfigError, "0 <= low < high <= 1, got 0.5 and 0.5"),
        ({"video_shift": 0.0}, ConfigError, "video_shift must be positive and finite, got 0.0"),
        ({"audio_shift": float("nan")}, ConfigError, "audio_shift must be positive and finite"),
        ({"sampler": "eular"}, ConfigError, "sampler must be one of euler, unipc; got 'eular'; nearest is euler"),
        ({"null_image": "wite"}, ConfigError, "null_image must be one of white, none; got 'wite'; nearest is white"),
        ({"sigma_lookup": "table"}, ConfigError, "sigma_lookup must be one of exact, nearest"),
    ],
    ids=str,
)
def test_wrong_values_name_rule_value_and_nearest(change, error, text):
    with pytest.raises(error, match=text) as caught:
        SamplingSettings(**change)
    assert caught.value.exit_code == 2


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(-40, 2000),
    num_frames=st.integers(-9, 300),
    steps=st.integers(-5, 1100),
    scale=st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_numbers_are_either_valid_or_refused(height, num_frames, steps, scale):
    try:
        chosen = SamplingSettings(height=height, num_frames=num_frames, num_inference_steps=steps, guidance_scale=scale)
    except MovaError:
        return
    assert chosen.geometry.latent_height * 8 == height
    assert chosen.geometry.num_latent_frames * 4 - 3 == num_frames


def test_what_is_not_given_takes_the_models_value():
    defaults = ModelDefaults(height=128, width=128, num_frames=49, guidance_scale=3.0, sampler="unipc")
    chosen = SamplingSettings.for_model(defaults, SMALL, GivenSettings(width=64, guidance_scale=None, audio_shift=1.0))
    assert (chosen.height, chosen.width, chosen.num_frames) == (128, 64, 49)
    assert (chosen.guidance_scale, chosen.sampler, chosen.audio_shift) == (3.0, "unipc", 1.0)
    assert chosen.geometry.num_samples == 32_666


def test_a_modality_that_is_held_clean_takes_no_recommended_shift():
    defaults = ModelDefaults(video_shift=5.0, audio_shift=3.0)

    def shifts(given=NOTHING_GIVEN, **held):
        chosen = SamplingSettings.for_model(defaults, SMALL, given, **held)
        return chosen.video_shift, chosen.audio_shift

    assert shifts() == (5.0, 3.0)
    assert shifts(hold_video=True) == (None, 3.0)
    assert shifts(hold_audio=True) == (5.0, None)
    # One that has some of the noise has a schedule, whoever says so.
    assert shifts(GivenSettings(hold_noise=0.5), hold_audio=True) == (5.0, 3.0)
    defaults = ModelDefaults(video_shift=5.0, audio_shift=3.0, audio_hold_noise=0.5)
    assert shifts(hold_audio=True) == (5.0, 3.0)
    assert shifts(GivenSettings(hold_noise=0.0), hold_audio=True) == (5.0, None)
    assert shifts(hold_video=True) == (None, 3.0)
    levels = [SamplingSettings.for_model(defaults, SMALL, **held).hold_noise for held in ({}, {"hold_audio": True})]
    assert levels == [0.0, 0.5]
    # What the caller asks for stays and is refused before the first computation.
    assert shifts(GivenSettings(video_shift=2.0), hold_video=True) == (2.0, 3.0)


def test_names_are_those_of_the_code_that_uses_them():
    from mova.conditioning.frames import NullImage
    from mova.diffusion.sampler import SamplerName
    from mova.diffusion.schedule import SigmaLookup

    assert get_args(SamplerName) == SAMPLERS
    assert get_args(SigmaLookup) == SIGMA_LOOKUPS
    assert get_args(NullImage) == NULL_IMAGES
