import copy
import itertools

import numpy as np
import pytest
import torch

from mova.errors import ConfigError, GeometryError, NumericalError
from mova.pipeline.pipeline import MovaPipeline

# A sample alone and the same sample in a batch go through the same sums in another order.
TOLERANCE = {"atol": 2e-4, "rtol": 1e-4}


def assert_same(left, right):
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


def are_equal(left, right):
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def picture(seed=0, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def film(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def test_same_seed_same_clip_other_seed_other_clip(latents_of):
    first = latents_of(seed=1)
    assert are_equal(first, latents_of(seed=1))
    for one, other in zip(first, latents_of(seed=2), strict=True):
        assert (one - other).abs().mean() > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "gulls"},
        {"image": picture()},
        {"last_image": picture()},
        {"null_image": "none"},
        {"guidance_scale": 3.0},
        {"modality_scale": 2.0},
        {"guidance_scale": 3.0, "negative_prompt": "noise"},
        {"guidance_scale": 3.0, "audio_guidance_scale": 1.5},
        {"guidance_scale": 3.0, "guidance_rescale": 0.7},
        {"guidance_scale": 3.0, "guidance_interval": (0.0, 0.8)},
        {"video_shift": 2.0},
        {"audio_shift": 2.0},
        {"sampler": "unipc"},
        {"frame_rate": 24.1},
    ],
    ids=" ".join,
)
def test_every_argument_takes_effect(latents_of, change):
    plain = {"guidance_scale": change["guidance_scale"]} if "guidance_scale" in change and len(change) > 1 else {}
    before, after = latents_of(**plain), latents_of(**change)
    assert before[1].shape != after[1].shape or not are_equal(before, after)


def test_clips_per_prompt_stand_side_by_side_and_differ(pipe, short, latents_of):
    result = pipe(["a dog", "gulls"], **short, num_videos_per_prompt=2, seed=3, output_type="latent")
    assert result.frames.shape[0] == result.audio.shape[0] == 4
    assert result.seeds == ((3, 0), (3, 1), (3, 2), (3, 3))
    for one, other in itertools.combinations(result.frames, 2):
        assert (one - other).abs().mean() > 0.1
    single = latents_of(["a dog", "a dog", "gulls"], seed=3)
    assert_same((result.frames[:3], result.audio[:3]), single)


def test_given_latents_are_used_exactly(pipe, latents_of, short):
    from mova.geometry import ClipGeometry
    from mova.pipeline.inputs.media import draw_batch
    from mova.settings.seeds import sample_seeds

    geometry = ClipGeometry(32, 32, 5, 24.0, pipe.codec_geometry)
    noise = draw_batch(geometry, sample_seeds(7, 1))
    drawn = latents_of(seed=7)
    assert are_equal(drawn, latents_of(seed=None, latents=noise.video, audio_latents=noise.audio))
    assert are_equal(drawn, latents_of(seed=7, latents=noise.video)), "the other modality keeps its own stream"
    given = pipe("a dog", **short, latents=noise.video, audio_latents=noise.audio, output_type="latent")
    assert given.seeds is None


def test_generator_draws_video_first_then_audio(latents_of):
    generator = torch.Generator().manual_seed(4)
    video, audio = torch.randn(1, 16, 2, 4, 4, generator=generator), torch.randn(1, 16, 11, generator=generator)
    by_generator = latents_of(seed=None, generator=torch.Generator().manual_seed(4))
    assert are_equal(by_generator, latents_of(seed=None, latents=video, audio_latents=audio))
    each = latents_of(["a dog"] * 2, seed=None, generator=[torch.Generator().manual_seed(seed) for seed in (4, 5)])
    assert_same([part[:1] for part in each], by_generator)


def test_one_clip_of_a_batch_is_made_again_alone(pipe, short, latents_of):
    together = pipe(["a dog"] * 2, **short, seed=3, output_type="latent")
    (_, (seed, index)) = together.seeds
    again = pipe("a dog", **short, seed=seed, index=index, output_type="latent")
    assert again.seeds == ((3, 1),)
    assert_same((together.frames[1:], together.audio[1:]), (again.frames, again.audio))
    assert not are_equal((again.frames, again.audio), latents_of(seed=3))


def test_missing_seed_is_drawn_and_named(pipe, short, latents_of):
    result = pipe("a dog", **short, output_type="latent")
    ((seed, index),) = result.seeds
    assert index == 0
    assert are_equal((result.frames, result.audio), latents_of(seed=seed))


@pytest.mark.parametrize(
    "scales",
    [
        {"guidance_scale": 3.0},
        {"guidance_scale": 3.0, "modality_scale": 2.0},
        {"guidance_scale": 2.0, "modality_scale": 2.0},
    ],
    ids=str,
)
def test_branches_in_one_call_equal_branches_in_turn(latents_of, scales):
    together = latents_of(**scales, batch_branches=True)
    assert_same(together, latents_of(**scales, batch_branches=False))


@pytest.mark.parametrize(
    ("scales", "calls"),
    [
        ({"guidance_scale": 1.0}, 4),
        ({"guidance_scale": 3.0}, 8),
        ({"guidance_scale": 3.0, "modality_scale": 3.0}, 8),
        ({"guidance_scale": 3.0, "modality_scale": 2.0}, 12),
        ({"guidance_scale": 3.0, "guidance_interval": (0.0, 0.7)}, 5),
    ],
    ids=str,
)
def test_only_the_needed_branches_are_computed(pipe, latents_of, scales, calls):
    counted = []
    handle = pipe.audio_dit.head.register_forward_hook(lambda *_: counted.append(1))
    try:
        latents_of(**scales, batch_branches=False)
    finally:
        handle.remove()
    assert len(counted) == calls


def test_negative_prompt_is_read_only_where_guidance_needs_it(pipe, short):
    too_long = "noise " * 600
    plain = pipe("a dog", negative_prompt=too_long, **short, output_type="latent")
    assert plain.cut_prompts == ()
    guided = pipe("a dog", negative_prompt=too_long, **(short | {"guidance_scale": 3.0}), output_type="latent")
    assert len(guided.cut_prompts) == 1


def test_prompt_embeds_stand_for_prompts(pipe, short, latents_of):
    from mova.codecs.prompt import encode_prompts

    embeds, negative = (
        encode_prompts(pipe.tokenizer, pipe.text_encoder, [text]).embeds for text in ("a dog", "static")
    )
    by_text = latents_of(negative_prompt="static", guidance_scale=3.0)
    by_embeds = latents_of(None, prompt_embeds=embeds, negative_prompt_embeds=negative, guidance_scale=3.0)
    assert are_equal(by_text, by_embeds)


def test_both_experts_work_and_a_single_one_is_enough(pipe, short, latents_of):
    single = MovaPipeline(**(pipe.components | {"video_dit_2": None}))
    single.set_progress_bar_config(disable=True)
    result = single("a dog", **short, seed=0, output_type="latent")
    assert result.frames.isfinite().all()
    assert not are_equal((result.frames, result.audio), latents_of(seed=0))


def test_output_types_agree(pipe, short):
    results = {kind: pipe("a dog", **short, seed=0, output_type=kind) for kind in ("pil", "np", "pt")}
    assert results["np"].frames.shape == (1, 5, 32, 32, 3)
    assert results["pt"].frames.shape == (1, 5, 3, 32, 32)
    assert len(results["pil"].frames[0]) == 5
    clips = {kind: result.clip() for kind, result in results.items()}
    for clip in clips.values():
        assert clip.frames.dtype == np.uint8
        assert np.array_equal(clip.frames, clips["pil"].frames)
        assert np.array_equal(clip.waveform, clips["pil"].waveform)
        assert clip.waveform.shape == (1, 10_000), "5 frames at 24 per second are 10,000 samples at 48 kHz"
        assert (clip.frame_rate, clip.sample_rate) == (24.0, 48_000)
    frames, audio = pipe("a dog", **short, seed=0, output_type="np", return_dict=False)
    assert np.array_equal(frames, results["np"].frames)
    assert np.array_equal(audio, results["np"].audio)


def test_sound_is_made_for_a_film_that_stays_as_it_is(pipe, short):
    results = [pipe("a dog", video=film(seed), **short, seed=0, output_type="pil") for seed in (1, 2)]
    for seed, result in zip((1, 2), results, strict=True):
        assert np.array_equal(result.clip().frames, film(seed))
    assert not np.array_equal(results[0].audio, results[1].audio)


def test_picture_is_made_for_a_sound_that_stays_as_it_is(pipe, short):
    sounds = [np.random.default_rng(seed).uniform(-1, 1, 12_000).astype(np.float32) for seed in (1, 2)]
    results = [pipe("a dog", audio=sound, **short, seed=0, output_type="np") for sound in sounds]
    for sound, result in zip(sounds, results, strict=True):
        assert np.array_equal(result.audio[0, 0], sound[:10_000])
    assert not np.array_equal(results[0].frames, results[1].frames)


def test_a_recommended_shift_is_no_obstacle_to_a_given_film_or_sound(pipe, short):
    from mova.weights.locate import ModelDefaults

    own = MovaPipeline(**pipe.components)
    own.set_progress_bar_config(disable=True)
    own.defaults = ModelDefaults(video_shift=2.0, audio_shift=3.0)
    sound = np.random.default_rng(0).uniform(-1, 1, 10_000).astype(np.float32)
    for media, other in (({"video": film()}, "audio_shift"), ({"audio": sound}, "video_shift")):
        made = own("a dog", **media, **short, seed=0, output_type="latent")
        same = pipe("a dog", **media, **short, seed=0, output_type="latent", **{other: getattr(own.defaults, other)})
        assert torch.equal(made.frames, same.frames)
        assert torch.equal(made.audio, same.audio)
        asked = "audio_shift" if other == "video_shift" else "video_shift"
        with pytest.raises(ConfigError, match=r"is held clean, so its shift and strength would do nothing, got 4\.0"):
            own("a dog", **media, **short, seed=0, **{asked: 4.0})


def test_held_latents_do_not_change(pipe, short):
    seen = []

    def watch(_, step, timestep, values):
        seen.append((timestep, values["latents"].clone()))

    pipe("a dog", video=film(), **short, seed=0, callback_on_step_end=watch, output_type="latent")
    assert [timestep for timestep, _ in seen] == [0.0] * 4
    assert all(torch.equal(latents, seen[0][1]) for _, latents in seen)


def test_callback_sees_every_step_and_may_replace_latents(latents_of):
    seen = []

    def watch(_, step, timestep, values):
        seen.append((step, timestep))
        return {"latents": torch.zeros_like(values["latents"])} if step == 3 else None

    video, audio = latents_of(callback_on_step_end=watch)
    assert [step for step, _ in seen] == [0, 1, 2, 3]
    assert [timestep for _, timestep in seen] == sorted((timestep for _, timestep in seen), reverse=True)
    assert seen[0][1] == 1000.0
    assert video.abs().max() == 0
    assert torch.equal(audio, latents_of()[1])


def test_a_call_changes_no_component(pipe, latents_of):
    before = {name: copy.deepcopy(module.state_dict()) for name, module in networks(pipe)}
    scheduler = copy.deepcopy(dict(pipe.scheduler.config)), pipe.scheduler.timesteps.clone()
    first = latents_of(guidance_scale=3.0, video_shift=2.0, image=picture())
    assert are_equal(first, latents_of(guidance_scale=3.0, video_shift=2.0, image=picture()))
    for name, module in networks(pipe):
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[name][key]), (name, key)
    assert dict(pipe.scheduler.config) == scheduler[0]
    assert torch.equal(pipe.scheduler.timesteps, scheduler[1])


def networks(pipe):
    return [(name, part) for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)]


def test_defaults_of_the_model_fill_what_is_not_given(pipe):
    from mova.weights.locate import ModelDefaults

    own = MovaPipeline(**pipe.components)
    own.set_progress_bar_config(disable=True)
    own.defaults = ModelDefaults(height=16, width=48, num_frames=9, num_inference_steps=2, guidance_scale=1.0)
    assert own("a dog", seed=0, output_type="pt").frames.shape == (1, 9, 3, 16, 48)
    assert own("a dog", seed=0, num_frames=5, output_type="pt").frames.shape == (1, 5, 3, 16, 48)
    assert MovaPipeline.defaults == ModelDefaults(), "the class keeps the published values"


def test_latents_that_are_not_finite_stop_the_run_and_name_the_step(pipe, short):
    broken = copy.deepcopy(pipe.video_dit_2)
    with torch.no_grad():
        broken.head.head.bias.fill_(float("nan"))
    bad = MovaPipeline(**(pipe.components | {"video_dit_2": broken}))
    bad.set_progress_bar_config(disable=True)
    with pytest.raises(NumericalError, match=r"NaN or infinity in video after step 3 of 4 \(low_noise expert\)"):
        bad("a dog", **short, seed=0)


def test_pictures_that_are_not_finite_are_not_returned(pipe, short):
    broken = copy.deepcopy(pipe.video_vae)
    with torch.no_grad():
        broken.decoder.conv_out.bias.fill_(float("nan"))
    bad = MovaPipeline(**(pipe.components | {"video_vae": broken}))
    bad.set_progress_bar_config(disable=True)
    with pytest.raises(NumericalError, match="the decoded video must hold finite numbers"):
        bad("a dog", **short, seed=0)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"height": 30}, GeometryError, "height must be a positive multiple of 16, got 30; nearest are 16 and 32"),
        ({"num_frames": 8}, GeometryError, "frames must be 1 plus a multiple of 4, got 8; nearest are 5 and 9"),
        ({"num_inference_steps": 0}, ConfigError, "got 0; nearest is 1"),
        ({"sampler": "ddim"}, ConfigError, "sampler must be one of euler, unipc; got 'ddim'"),
        ({"output_type": "gif"}, ConfigError, "output_type must be one of pil, np, pt, latent; got 'gif'"),
        ({"prompt": []}, ConfigError, "got an empty list"),
        ({"prompt": None}, ConfigError, "exactly one of prompt and prompt_embeds"),
        ({"num_videos_per_prompt": 0}, ConfigError, "num_videos_per_prompt must be a whole number of 1 or more, got 0"),
        ({"generator": torch.Generator()}, ConfigError, "seed and generator are both given"),
        ({"video": film(), "audio": np.zeros(10_000)}, ConfigError, "nothing is left to generate"),
        ({"video": film(), "image": picture()}, ConfigError, "video already holds the frames"),
        ({"video": film()[:3]}, GeometryError, "video must be"),
        ({"audio": np.zeros(100, np.float32)}, GeometryError, "audio must last 10000 samples at 48000 Hz, got 100"),
        ({"latents": torch.zeros(1, 16, 2, 4, 5)}, GeometryError, r"latents must be \(1, 16, 2, 4, 4\)"),
        ({"image": [picture()] * 2, "last_image": [picture()] * 3}, ConfigError, "as many as each other"),
        ({"image": [picture()] * 3}, ConfigError, "image must hold 1 or 1 items for 1 prompts, got 3"),
        ({"seed": [1, 2]}, ConfigError, r"seed must be one number or one per clip \(1\), got 2"),
        ({"seed": -1}, ConfigError, "seed must be a whole number of 0 or more, got -1; nearest is 0"),
    ],
    # Objects have their address in their text, which differs between processes.
    ids=lambda part: " ".join(part) if isinstance(part, dict) else None,
)
def test_wrong_arguments_are_errors(latents_of, change, error, text):
    with pytest.raises(error, match=text):
        latents_of(**change)


def test_only_the_published_kind_of_audio_autoencoder_is_taken(pipe):
    with pytest.raises(ConfigError, match="audio_vae_type must be 'dac', got 'oobleck'"):
        MovaPipeline(**pipe.components, audio_vae_type="oobleck")


def test_a_foreign_scheduler_is_refused_at_assignment_with_the_reason(pipe):
    from diffusers import FlowMatchEulerDiscreteScheduler

    own = MovaPipeline(**pipe.components)
    before = own.scheduler
    with pytest.raises(ConfigError, match=r"noise levels for video and others for audio, got FlowMatchEuler.*sampler="):
        own.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(ConfigError, match="got NoneType"):
        MovaPipeline(**(pipe.components | {"scheduler": None}))
    own.scheduler = type(before).from_config(before.config)
    assert own.scheduler is not before
