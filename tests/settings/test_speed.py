"""The ladder of speeds: what a rung changes, what it leaves to the caller, and what it asks of the model."""

import pytest
import torch

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.geometry import CodecGeometry
from mova.pipeline.loop.parallel import Spread
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.settings.speed import SPEEDS, Speed, speed_named
from mova.weights.locate import ModelDefaults


def settings(speed="exact", **given):
    defaults = ModelDefaults(height=64, width=64, num_frames=9, num_inference_steps=20, guidance_scale=2.0)
    return SamplingSettings.for_model(defaults, CodecGeometry(), GivenSettings(**given), speed=speed)


def test_exact_is_the_default_and_changes_nothing():
    assert settings() == settings(speed="exact") == settings(speed="exact", num_inference_steps=20)
    assert (settings().adaptive_guidance, settings().step_cache, settings().step_cache_order) == (0, 0, 0)
    assert settings().guidance_interval == (0.0, 1.0)


def test_every_rung_asks_less_of_the_model_than_the_one_before(pipe, short):
    calls = []
    for name in ("exact", "fast", "fastest"):
        options = {key: value for key, value in short.items() if key not in ("num_inference_steps", "guidance_scale")}
        made = pipe("a dog", **options, guidance_scale=3.0, seed=0, output_type="latent", speed=name)
        calls.append(made.calls.predictions - made.calls.repeated)
    assert calls == sorted(calls, reverse=True)
    assert len(set(calls)) == 3


def test_what_is_given_counts_on_every_rung():
    for name in SPEEDS:
        chosen = settings(speed=name, num_inference_steps=7, guidance_interval=(0.1, 0.9), step_cache=0.0)
        assert (chosen.num_inference_steps, chosen.guidance_interval, chosen.step_cache) == (7, (0.1, 0.9), 0.0)
        chosen = settings(speed=name, adaptive_guidance=0.3, step_cache_order=2, sampler="euler")
        assert (chosen.adaptive_guidance, chosen.step_cache_order, chosen.sampler) == (0.3, 2, "euler")


def test_steps_are_a_share_of_what_the_model_recommends():
    assert settings(speed="fast").num_inference_steps == SPEEDS["fast"].steps(20) == 10
    assert settings(speed="fastest").num_inference_steps == 5
    assert Speed(words="", step_share=0.01).steps(20) == 1


def test_fewer_steps_are_taken_by_the_second_order_sampler():
    assert settings().sampler == "euler"
    assert {settings(speed=name).sampler for name in ("fast", "fastest")} == {"unipc"}


def test_exact_gives_the_bits_of_a_call_without_a_speed(latents_of):
    plain, named = latents_of(), latents_of(speed="exact", step_cache=0.0)
    assert all(torch.equal(one, other) for one, other in zip(plain, named, strict=True))


def test_several_processes_do_not_decide_by_the_tokens_that_each_has(pipe, short, monkeypatch):
    monkeypatch.setattr(pipe, "_spread", Spread(Parallel(ring=2)))
    with pytest.raises(ConfigError, match=r"step_cache is for one process.*got 0.15 with 2; nearest is 0"):
        pipe("a dog", **short, seed=0, step_cache=0.15)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: speed_named("faster"),
            "speed must be one of exact, fast, fastest, distilled; got 'faster'; nearest is fast",
        ),
        (lambda: Speed(words="", step_share=0.0), r"step_share must lie in \(0, 1\], got 0.0"),
        (lambda: settings(step_cache=-0.1), "step_cache must be finite and 0 or more, got -0.1; nearest is 0"),
        (lambda: settings(step_cache=float("inf")), "step_cache must be finite"),
        (lambda: settings(step_cache_order=3), "step_cache_order must be 0, 1 or 2, got 3; nearest is 2"),
        (lambda: settings(step_cache_order=-1), "step_cache_order must be 0, 1 or 2, got -1; nearest is 0"),
        (lambda: settings(adaptive_guidance=-0.1), r"adaptive_guidance must lie in \[0, 1\], got -0.1; nearest is 0"),
        (lambda: settings(adaptive_guidance=2.0), r"adaptive_guidance must lie in \[0, 1\], got 2.0; nearest is 1"),
    ],
)
def test_wrong_values_are_explained(make, text):
    with pytest.raises(ConfigError, match=text):
        make()
