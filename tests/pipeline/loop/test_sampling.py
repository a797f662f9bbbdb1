"""What a run asks of the model, and that it is counted."""

import pytest
import torch

from mova.conditioning.holds import Hold, Holds
from mova.errors import ConfigError
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.sampling import Course, sample
from mova.settings.sampling import GivenSettings
from mova.types import LatentPair


@pytest.mark.parametrize(
    ("options", "predictions"),
    [
        ({}, 4),
        ({"guidance_scale": 3.0}, 8),
        ({"guidance_scale": 3.0, "modality_scale": 2.0}, 12),
        # With shift 5 the noise levels are 1, 0.94, 0.83 and 0.63.
        ({"guidance_scale": 3.0, "guidance_interval": (0.9, 1.0), "video_shift": 5.0, "audio_shift": 5.0}, 6),
    ],
)
def test_predictions_are_counted_by_step_and_branch(pipe, short, options, predictions):
    made = pipe("a dog", **short | options, seed=0, output_type="latent")
    assert (made.calls.predictions, made.calls.repeated, made.calls.planned) == (predictions, 0, predictions)


@pytest.fixture
def count_forwards(pipe):
    """Count joint forwards: each passes the head of the audio tower once."""
    forwards = []
    handle = pipe.audio_dit.head.register_forward_hook(lambda *_: forwards.append(1))
    yield forwards
    handle.remove()


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
@pytest.mark.parametrize(("modality_scale", "planned", "made"), [(1.0, 12, 8), (2.0, 18, 10)])
def test_predictions_that_adaptive_guidance_spares_are_not_made_and_not_counted(
    pipe, short, count_forwards, sampler, modality_scale, planned, made
):
    options = short | {"num_inference_steps": 6, "guidance_scale": 3.0, "video_shift": 5.0}
    clips = pipe(
        ["a dog", "a cat"],
        **options,
        modality_scale=modality_scale,
        sampler=sampler,
        seed=0,
        output_type="latent",
        batch_branches=False,
        adaptive_guidance=1.0,
    )
    # Each of two experts is guided at its first step, which is enough for the widest tolerance.
    assert len(count_forwards) == clips.calls.predictions == 2 * made
    assert clips.calls.planned == 2 * planned
    assert len(clips.frames) == 2


@pytest.mark.parametrize("off", [{"adaptive_guidance": 0.0}, {"step_cache_order": 2}])
def test_each_switch_is_exact_where_it_is_off(latents_of, off):
    options = {"guidance_scale": 3.0, "sampler": "unipc"}
    plain, switched = latents_of(**options), latents_of(**options, **off)
    assert all(torch.equal(one, other) for one, other in zip(plain, switched, strict=True))


def test_the_step_cache_and_adaptive_guidance_work_together(pipe, short):
    made = pipe(
        "a dog",
        **short | {"num_inference_steps": 40, "guidance_scale": 3.0},
        seed=0,
        output_type="latent",
        adaptive_guidance=1.0,
        step_cache=0.5,
        step_cache_order=1,
    )
    assert (made.calls.planned, made.calls.predictions) == (80, 42)
    assert 0 < made.calls.repeated < 42


def test_a_whole_clip_with_a_threshold_counts_what_it_repeats_and_stays_near(pipe, short):
    exact, near = (
        pipe("a dog", **short | {"num_inference_steps": 40}, seed=0, output_type="latent", step_cache=threshold)
        for threshold in (0.0, 0.5)
    )
    assert exact.calls.repeated == 0
    assert 0 < near.calls.repeated < near.calls.predictions == exact.calls.predictions == 40
    error = (near.frames - exact.frames).std() / exact.frames.std()
    assert 0 < error < 0.5


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_callback_that_hands_back_what_it_was_shown_changes_nothing(latents_of, sampler):
    plain = latents_of(sampler=sampler)
    same = latents_of(sampler=sampler, callback_on_step_end=lambda *told: told[-1])
    assert all(torch.equal(one, other) for one, other in zip(plain, same, strict=True))


def test_a_callback_is_shown_what_it_asks_for_and_may_change_it_in_place(latents_of):
    seen = []

    def clear(pipeline, step, timestep, shown):
        seen.append(list(shown))
        if step == 3:
            shown["audio_latents"].zero_()

    _, audio = latents_of(callback_on_step_end=clear, callback_on_step_end_tensor_inputs=["audio_latents"])
    assert seen == [["audio_latents"]] * 4
    assert not audio.any()


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (3, "must return None or a mapping of latents, got 3"),
        ({"noise": torch.zeros(1)}, "may return latents, audio_latents, got 'noise'"),
        ({"latents": torch.zeros(1)}, r"latents of callback_on_step_end must be \(1, 16, 2, 4, 4\), got \(1,\)"),
        ({"latents": None}, "got None"),
    ],
    ids=str,
)
def test_what_a_callback_hands_back_is_checked(latents_of, returned, text):
    with pytest.raises(ConfigError, match=text):
        latents_of(callback_on_step_end=lambda *_: returned)


def test_a_run_that_is_interrupted_ends_before_its_next_step(pipe, short):
    steps = []

    def stop(pipeline, step, timestep, shown):
        steps.append(shown["latents"].clone())
        pipeline._interrupt = step == 1
        assert pipeline.interrupt == (step == 1)

    stopped = pipe("a dog", **short, seed=0, output_type="latent", callback_on_step_end=stop)
    assert len(steps) == 2
    assert torch.equal(stopped.frames, steps[-1])
    assert pipe("a dog", **short, seed=0, output_type="latent").calls.predictions == 4, "the next call runs to its end"


@pytest.mark.parametrize("spared", [{}, {"step_cache": 0.9}, {"adaptive_guidance": 1.0}, {"clip_by_clip": True}])
def test_what_is_held_comes_back_to_the_bit_whatever_is_spared(pipe, short, spared):
    """The loop as the pipeline runs it, with the last audio latents and the first video latent known."""
    clip_by_clip = spared.get("clip_by_clip", False)
    given = GivenSettings(**short | {"num_inference_steps": 30, "guidance_scale": 3.0, "sampler": "unipc"})
    settings = pipe.complete_settings(
        given.over(GivenSettings(**{k: v for k, v in spared.items() if k != "clip_by_clip"}))
    )
    noise = GivenNoise(seed=0)
    plan = pipe.check_inputs(settings, GivenMedia(), noise, ["a dog", "a cat"], None, 1, "latent")
    text, start = pipe.encode_prompt(plan, ["a dog", "a cat"]), pipe.prepare_latents(plan, GivenMedia(), noise)
    known = LatentPair(torch.randn_like(start.latents.video), torch.randn_like(start.latents.audio))
    video_held, audio_held = torch.arange(known.video.shape[2]) < 1, torch.arange(known.audio.shape[2]) >= 3
    holds = Holds(Hold(known.video, video_held), Hold(known.audio, audio_held))
    with torch.no_grad():
        made, calls = sample(
            pipe._joint_models(),
            Course.of(plan),
            text,
            start.latents,
            start.condition,
            holds=holds,
            clip_by_clip=clip_by_clip,
        )
    assert torch.equal(made.video[:, :, video_held], known.video[:, :, video_held])
    assert torch.equal(made.audio[..., audio_held], known.audio[..., audio_held])
    assert made.video.isfinite().all()
    assert (calls.repeated > 0) is ("step_cache" in spared)
    assert (calls.predictions < calls.planned) is ("adaptive_guidance" in spared)
