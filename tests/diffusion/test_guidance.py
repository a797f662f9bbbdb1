"""Dual guidance: the paper's formula with the least number of calls."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.diffusion.guidance import CONDITIONAL, TEXTLESS, UNCONDITIONAL, Branch, Guidance
from mova.errors import ConfigError
from mova.types import Velocities


def prediction(branch: Branch, batch_size: int = 2) -> Velocities:
    """A fixed, different prediction for each branch."""
    generator = torch.Generator().manual_seed(2 * branch.text + branch.bridge)
    return Velocities(
        video=torch.randn(batch_size, 2, 3, 2, 2, generator=generator),
        audio=torch.randn(batch_size, 3, 5, generator=generator),
    )


def guided(guidance: Guidance, video_sigma: float = 0.5, audio_sigma: float = 0.5) -> Velocities:
    mix = guidance.at(video_sigma, audio_sigma)
    return mix.combine([prediction(branch) for branch in mix.branches])


def formula(name: str, text_scale: float, bridge_scale: float) -> torch.Tensor:
    """Equation 6 as it is printed, all three predictions used."""
    neither, bridge, both = (getattr(prediction(branch), name) for branch in (UNCONDITIONAL, TEXTLESS, CONDITIONAL))
    return neither + bridge_scale * (bridge - neither) + text_scale * (both - bridge)


SCALES = st.one_of(st.sampled_from([0.0, 1.0, 3.5, 5.0]), st.floats(0, 12))
MAYBE_SCALES = st.one_of(st.none(), SCALES)


@settings(max_examples=200, deadline=None)
@given(text=SCALES, bridge=SCALES, audio_text=MAYBE_SCALES, audio_bridge=MAYBE_SCALES)
def test_fewest_calls_give_the_general_formula(text, bridge, audio_text, audio_bridge):
    guidance = Guidance(text, bridge, audio_text, audio_bridge)
    result = guided(guidance)
    expected_audio = formula(
        "audio", text if audio_text is None else audio_text, bridge if audio_bridge is None else audio_bridge
    )
    torch.testing.assert_close(result.video, formula("video", text, bridge), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(result.audio, expected_audio, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("scales", "branches"),
    [
        ((1.0, 1.0), (CONDITIONAL,)),
        ((5.0, 1.0), (CONDITIONAL, TEXTLESS)),
        ((3.5, 3.5), (CONDITIONAL, UNCONDITIONAL)),
        ((5.0, 3.5), (CONDITIONAL, TEXTLESS, UNCONDITIONAL)),
        ((1.0, 3.5), (CONDITIONAL, TEXTLESS, UNCONDITIONAL)),
        ((0.0, 1.0), (TEXTLESS,)),
        ((0.0, 0.0), (UNCONDITIONAL,)),
        ((0.0, 2.0), (TEXTLESS, UNCONDITIONAL)),
    ],
)
def test_branches_are_those_with_a_weight(scales, branches):
    assert Guidance(*scales).at(0.5, 0.5).branches == branches


def test_modality_scale_one_is_plain_text_guidance():
    negative, positive = prediction(TEXTLESS), prediction(CONDITIONAL)
    result = guided(Guidance(guidance_scale=5.0, modality_scale=1.0))
    torch.testing.assert_close(result.video, negative.video + 5.0 * (positive.video - negative.video))
    torch.testing.assert_close(result.audio, negative.audio + 5.0 * (positive.audio - negative.audio))


def test_equal_scales_guide_away_from_the_call_without_text_and_bridge():
    negative, positive = prediction(UNCONDITIONAL), prediction(CONDITIONAL)
    result = guided(Guidance(guidance_scale=3.5, modality_scale=3.5))
    torch.testing.assert_close(result.video, negative.video + 3.5 * (positive.video - negative.video))


def test_no_guidance_returns_the_prediction_untouched():
    assert torch.equal(guided(Guidance()).video, prediction(CONDITIONAL).video)


def test_modalities_share_the_calls_that_either_needs():
    sound_only = Guidance(audio_guidance_scale=4.0)
    assert sound_only.at(0.5, 0.5).branches == (CONDITIONAL, TEXTLESS)
    assert torch.equal(guided(sound_only).video, prediction(CONDITIONAL).video)
    mixed = Guidance(guidance_scale=5.0, audio_guidance_scale=3.0, audio_modality_scale=3.0)
    assert mixed.at(0.5, 0.5).branches == (CONDITIONAL, TEXTLESS, UNCONDITIONAL)


def test_interval_guides_each_modality_by_its_own_noise_level():
    guidance = Guidance(guidance_scale=5.0, audio_modality_scale=2.0, interval=(0.2, 0.8))
    assert guidance.at(0.9, 0.9).branches == (CONDITIONAL,)
    assert guidance.at(0.2, 0.1).branches == (CONDITIONAL,)
    assert guidance.at(0.8, 0.9).branches == (CONDITIONAL, TEXTLESS)
    late = guided(guidance, video_sigma=0.9, audio_sigma=0.5)
    assert torch.equal(late.video, prediction(CONDITIONAL).video)
    torch.testing.assert_close(late.audio, formula("audio", 5.0, 2.0), atol=1e-5, rtol=1e-5)


def test_held_modality_asks_for_no_call():
    guidance = Guidance(guidance_scale=5.0, audio_guidance_scale=1.0)
    assert guidance.at(0.5, 0.5).branches == (CONDITIONAL, TEXTLESS)
    assert guidance.at(0.0, 0.5).branches == (CONDITIONAL,)


def test_full_rescale_gives_each_sample_the_spread_of_the_conditional_prediction():
    rescaled = guided(Guidance(guidance_scale=6.0, modality_scale=2.0, rescale=1.0))
    plain = guided(Guidance(guidance_scale=6.0, modality_scale=2.0))
    for name in ("video", "audio"):
        reference, result, before = (getattr(v, name).flatten(1) for v in (prediction(CONDITIONAL), rescaled, plain))
        torch.testing.assert_close(result.std(1), reference.std(1))
        assert (before.std(1) > 1.5 * reference.std(1)).all()
        torch.testing.assert_close(result / result.std(1, keepdim=True), before / before.std(1, keepdim=True))


def test_partial_rescale_lies_between():
    half, full, none = (guided(Guidance(5.0, rescale=rescale)).audio for rescale in (0.5, 1.0, 0.0))
    torch.testing.assert_close(half, (full + none) / 2)


def test_rescale_asks_for_its_reference_where_it_has_no_weight():
    mix = Guidance(guidance_scale=0.0, modality_scale=2.0, rescale=0.5).at(0.5, 0.5)
    assert mix.branches == (CONDITIONAL, TEXTLESS, UNCONDITIONAL)
    assert mix.video_weights[0] == 0
    # A single weighted branch has nothing to rescale, so nothing more is asked for.
    assert Guidance(guidance_scale=0.0, rescale=0.5).at(0.5, 0.5).branches == (TEXTLESS,)


def test_combination_is_float32_and_leaves_weightless_infinities_out():
    mix = Guidance(audio_guidance_scale=4.0).at(0.5, 0.5)
    predictions = [prediction(branch) for branch in mix.branches]
    predictions[1] = Velocities(video=torch.full_like(predictions[1].video, torch.inf), audio=predictions[1].audio)
    half = [Velocities(video=p.video.bfloat16(), audio=p.audio.bfloat16()) for p in predictions]
    result = mix.combine(half)
    assert result.video.dtype == result.audio.dtype == torch.float32
    assert result.video.isfinite().all()


@pytest.mark.parametrize(
    ("guidance", "guided"),
    [
        (Guidance(), (False, False)),
        (Guidance(guidance_scale=2.0), (True, True)),
        (Guidance(guidance_scale=0.0), (True, True)),
        (Guidance(audio_modality_scale=2.0), (False, True)),
        (Guidance(guidance_scale=2.0, audio_guidance_scale=1.0, rescale=0.5), (True, False)),
    ],
)
def test_a_mix_says_which_modality_it_guides(guidance, guided):
    assert guidance.at(0.5, 0.5).guided == guided
    assert guidance.at(0.0, 0.5).guided == (False, guided[1])


def test_number_of_predictions_must_match():
    with pytest.raises(ConfigError, match="got 1 for 2 branches"):
        Guidance(5.0).at(0.5, 0.5).combine([prediction(CONDITIONAL)])


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"guidance_scale": -1.0}, "guidance_scale must be finite and 0 or more, got -1.0"),
        ({"modality_scale": float("nan")}, "modality_scale must be finite"),
        ({"audio_guidance_scale": float("inf")}, "audio_guidance_scale must be finite"),
        ({"audio_modality_scale": -0.5}, "audio_modality_scale .* got -0.5"),
        ({"rescale": 1.5}, r"rescale must lie in \[0, 1\], got 1.5; nearest is 1"),
        ({"interval": (0.5, 0.5)}, "low < high"),
        ({"interval": (-0.1, 0.5)}, "0 <= low"),
        ({"interval": (0.0, 1.1)}, "high <= 1"),
        ({"tolerance": -0.1}, r"adaptive_guidance must lie in \[0, 1\], got -0.1; nearest is 0"),
        ({"tolerance": float("nan")}, "adaptive_guidance must lie"),
    ],
)
def test_wrong_scales_are_refused(arguments, rule):
    with pytest.raises(ConfigError, match=rule):
        Guidance(**arguments)
