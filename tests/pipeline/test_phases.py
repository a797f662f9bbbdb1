"""What the phases of a call owe to each clip of a batch."""

import itertools

import numpy as np
import pytest
import torch

from mova.codecs.video import encode_video
from mova.errors import ConfigError, StateError
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import Control
from mova.settings.sampling import GivenSettings
from mova.types import LatentPair


def assert_same(left, right):
    """Equal up to the order of sums, which kernels choose by the size of a batch."""
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=0, atol=2e-5)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"negative_prompt": "static"},
        {"modality_scale": 2.0, "guidance_rescale": 0.7},
        {"adaptive_guidance": 0.3, "num_inference_steps": 8},
        {"step_cache": 0.3, "num_inference_steps": 8},
        {"step_cache": 0.2, "step_cache_order": 1, "num_inference_steps": 8},
        {"speed": "fastest", "num_inference_steps": 8},
        {"sampler": "unipc", "guidance_interval": (0.0, 0.8)},
    ],
    ids=str,
)
def test_a_clip_is_the_same_whatever_is_made_beside_it(latents_of, options):
    prompts, images = ["a dog", "a red boat on a calm lake"], [picture(1), picture(2)]
    options = {"guidance_scale": 3.0, **options}
    together = latents_of(prompts, image=images, seed=[5, 9], **options)
    for index, seed in enumerate((5, 9)):
        alone = latents_of(prompts[index], image=images[index], seed=seed, **options)
        assert_same([part[index : index + 1] for part in together], alone)


def test_frames_and_audio_of_a_batch_are_those_of_single_clips(pipe, short):
    together = pipe(["a dog", "gulls"], **short, seed=3, output_type="np")
    for index, prompt in enumerate(("a dog", "gulls")):
        alone = pipe(prompt, **short, seed=3, index=index, output_type="np")
        assert_same((together.frames[index], together.audio[index]), (alone.frames[0], alone.audio[0]))


def test_a_batch_takes_one_call_of_the_towers_and_clips_that_decide_for_themselves_one_each(pipe, short):
    calls = []
    handle = pipe.dual_tower_bridge.register_forward_hook(lambda *_: calls.append(1))
    block = pipe.audio_dit.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    try:
        made = []
        for options in ({}, {"adaptive_guidance": 1e-9}):
            calls.clear()
            result = pipe(
                ["a dog", "gulls"], **(short | {"guidance_scale": 1.0} | options), seed=3, output_type="latent"
            )
            made.append((len(calls), result.calls.predictions))
    finally:
        handle.remove()
        block.remove()
    assert made[1][0] == 2 * made[0][0]
    assert made[0][1] == made[1][1]


def test_each_text_of_a_batch_is_read_once_and_a_cut_is_named_for_every_clip(pipe, short):
    long = "noise " * 600
    read = []
    handle = pipe.text_encoder.register_forward_hook(lambda *_: read.append(1))
    try:
        result = pipe(["a dog", long, "a dog", long], **short, seed=0, output_type="latent")
    finally:
        handle.remove()
    assert len(read) == 2
    assert [cut.index for cut in result.cut_prompts] == [1, 3]


@pytest.fixture(scope="module")
def scene(pipe, short):
    """A clip of nine frames as its maker has it: 3 latent frames of video, 19 of audio."""
    rng = np.random.default_rng(0)
    film = rng.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    seconds = np.arange(20_000) / pipe.audio_vae.sample_rate
    return film, (0.3 * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32)


LONGER = {"num_frames": 9, "num_inference_steps": 3}


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_what_is_kept_of_a_clip_comes_back_to_the_bit_and_the_rest_is_made_anew(pipe, short, scene, sampler):
    film, sound = scene
    keep = {"keep_video": [(0, 5 / 24)], "keep_audio": [(0.0, 0.105), (0.2, 0.375)]}
    options = short | LONGER | {"seed": 0, "sampler": sampler, "video": film, "audio": sound, **keep}
    latents, made = (pipe("a dog", **options, output_type=kind) for kind in ("latent", "np"))
    encoded = encode_video(pipe.video_vae, torch.from_numpy(film).permute(3, 0, 1, 2)[None].float() / 127.5 - 1)
    assert torch.equal(latents.frames[:, :, :2], encoded[:, :, :2])
    assert not torch.isclose(latents.frames[:, :, 2:], encoded[:, :, 2:]).any()
    assert np.array_equal(np.rint(made.frames[0, :5] * 255), film[:5])
    assert not np.array_equal(np.rint(made.frames[0, 5:] * 255), film[5:])
    rate, hop = made.sample_rate, pipe.audio_vae.hop_length
    end = int(0.1 * rate / hop) * hop
    again = -(-int(0.2 * rate) // hop) * hop
    assert np.array_equal(made.audio[0, 0, :end], sound[:end])
    assert np.array_equal(made.audio[0, 0, again : made.audio.shape[-1]], sound[again : made.audio.shape[-1]])
    assert np.abs(made.audio[0, 0, end + 300 : again - 300] - sound[end + 300 : again - 300]).max() > 0.01
    said = made.record.of(0, None)
    assert said["keep_video"] == [[0.0, 5 / 24]]
    assert [snap["what"] for snap in said["snaps"]] == ["kept audio, end"]
    assert said["snaps"] == [snap.record() for snap in made.snaps]


def test_one_modality_may_be_made_anew_in_a_span_while_the_other_stays_whole(pipe, short, scene):
    film, sound = scene
    options = short | LONGER | {"seed": 0, "video": film, "audio": sound, "output_type": "np"}
    retaken = pipe("a dog", **options, keep_audio=[(0.0, 0.2)])
    assert np.array_equal(np.rint(retaken.frames[0] * 255), film)
    assert not np.array_equal(retaken.audio[0, 0, -2000:], sound[: retaken.audio.shape[-1]][-2000:])
    seen = pipe("a dog", **options, keep_video=[(0.0, 0.2)])
    assert np.array_equal(seen.audio[0, 0], sound[: seen.audio.shape[-1]])
    with pytest.raises(ConfigError, match="nothing is left to generate"):
        pipe("a dog", **options)


def test_keyframes_change_the_clip_at_any_moment_and_ends_are_two_of_them(pipe, short):
    options = short | LONGER | {"seed": 0, "output_type": "latent"}
    plain = pipe("a dog", picture(1), **options)
    between = pipe("a dog", picture(1), keyframes={0.16: picture(2)}, **options)
    assert not torch.allclose(plain.frames, between.frames)
    assert [snap.used_s for snap in between.snaps] == [4 / 24]
    ends = pipe("a dog", picture(1), last_image=picture(2), **options)
    assert torch.equal(ends.frames, pipe("a dog", keyframes={-1: picture(2), 0: picture(1)}, **options).frames)
    assert between.record.of(0, None)["keyframes"][0]["time_s"] == round(4 / 24, 6)


def test_the_modality_that_is_not_asked_for_is_not_decoded(pipe, short):
    decoded = []
    handles = [
        pipe.video_vae.decoder.register_forward_hook(lambda *_: decoded.append("video")),
        pipe.audio_vae.decoder.register_forward_hook(lambda *_: decoded.append("audio")),
    ]
    both = pipe("a dog", **short, seed=0, output_type="np")
    try:
        decoded.clear()
        sound = pipe("a dog", **short, seed=0, output_type="np", outputs=["audio"])
        assert set(decoded) == {"audio"}
        decoded.clear()
        film = pipe("a dog", **short, seed=0, output_type="np", outputs=["video"])
        assert set(decoded) == {"video"}
    finally:
        for handle in handles:
            handle.remove()
    assert sound.frames is None
    assert film.audio is None
    assert np.array_equal(sound.audio, both.audio)
    assert np.array_equal(film.frames, both.frames)
    assert film.record.of(0, None)["only"] == "video"


def test_a_whole_modality_may_have_a_share_of_the_noise_instead_of_none(pipe, short, scene):
    film, _ = scene
    clips = [
        pipe("a dog", **short, video=film[:5], seed=0, hold_noise=level, output_type="np") for level in (0, 0.5, 1)
    ]
    for clip in clips:
        assert np.array_equal(np.rint(clip.frames[0] * 255), film[:5])
    for one, other in itertools.combinations(clips, 2):
        assert not np.allclose(one.audio, other.audio)
    # A shift of what is clean is refused, of what has a share of the noise it counts.
    with pytest.raises(ConfigError, match="video is held clean"):
        pipe("a dog", **short, video=film[:5], video_shift=2.0, hold_noise=0)
    shifted = pipe("a dog", **short, video=film[:5], video_shift=2.0, seed=0, hold_noise=0.5, output_type="np")
    assert not np.allclose(shifted.audio, clips[1].audio)


def test_spans_that_keep_all_of_a_modality_are_as_what_is_given_whole(pipe, short, scene):
    film, _ = scene
    same = {"seed": 0, "hold_noise": 0.5, "output_type": "np", "video": film[:5]}
    whole, spans = (pipe("a dog", **short, **same, keep_video=spans) for spans in (None, [(0, 5 / 24)]))
    assert np.array_equal(whole.audio, spans.audio)


def test_known_latents_stay_without_being_decoded_and_encoded_again(pipe, short, scene):
    settings = pipe.complete_settings(GivenSettings(**short | LONGER))
    before = pipe.run(settings, CallInputs(prompt="a dog", noise=GivenNoise(seed=1), output_type="latent"))
    pair = LatentPair(before.frames, before.audio)
    media = GivenMedia(known_latents=pair, keep_video=[(0, 5 / 24)], keep_audio=[(0, 0.2)])
    after = pipe.run(settings, CallInputs(prompt="a cat", noise=GivenNoise(seed=2), media=media, output_type="latent"))
    assert torch.equal(after.frames[:, :, :2], before.frames[:, :, :2])
    assert torch.equal(after.audio[..., :10], before.audio[..., :10])
    assert not torch.isclose(after.frames[:, :, 2:], before.frames[:, :, 2:]).any()
    # With its frames it is told the same as without, where what stays is the beginning.
    frames = pipe.run(settings, CallInputs(prompt="a dog", noise=GivenNoise(seed=1), output_type="pt")).frames
    shown = GivenMedia(video=frames, keep_video=[(0, 5 / 24)])
    plan = pipe._plan_run(settings, CallInputs(prompt="a cat", media=shown))
    by_frames = pipe.prepare_latents(plan, shown, GivenNoise(seed=2))
    plan = pipe._plan_run(settings, CallInputs(prompt="a cat", media=media))
    by_latents = pipe.prepare_latents(plan, media, GivenNoise(seed=2))
    assert torch.equal(by_frames.condition[:, :4], by_latents.condition[:, :4])
    assert torch.allclose(by_frames.condition, by_latents.condition, atol=1e-3)
    # Of the first frame alone, as in training; of the rest it sees the latents.
    assert by_frames.condition[0, 0, :, 0, 0].tolist() == [1, 0, 0]


def test_where_the_first_frame_is_made_anew_the_tower_is_told_of_what_stays(pipe, short, scene):
    settings = pipe.complete_settings(GivenSettings(**short | LONGER))
    media = GivenMedia(video=scene[0], keep_video=[(5 / 24, 9 / 24)])
    start = pipe.prepare_latents(
        pipe._plan_run(settings, CallInputs(prompt="a cat", media=media)), media, GivenNoise(seed=2)
    )
    assert start.condition[0, 0, :, 0, 0].tolist() == [0, 0, 1]


def test_a_run_with_kept_parts_goes_on_with_the_same_bits_and_only_with_the_same_parts(pipe, short, scene):
    film, sound = scene
    settings = pipe.complete_settings(GivenSettings(**short | LONGER | {"sampler": "unipc"}))

    def run(control=None, **changes):
        media = GivenMedia(
            **{"video": film, "audio": sound, "keep_video": [(0, 0.2)], "keep_audio": [(0, 0.2)], **changes}
        )
        return pipe.run(
            settings,
            CallInputs(prompt="a dog", noise=GivenNoise(seed=3), media=media, output_type="latent", control=control),
        )

    kept = []
    whole = run(Control(save_state=kept.append, every=1))
    again = run(Control(resume_from=kept[0]))
    assert torch.equal(again.frames, whole.frames)
    assert torch.equal(again.audio, whole.audio)
    with pytest.raises(StateError, match="keep_audio"):
        run(Control(resume_from=kept[0]), keep_audio=[(0, 0.1)])


def test_parts_of_a_batch_are_kept_clip_by_clip(pipe, short, scene):
    film, sound = scene
    films, sounds = np.stack([film, film[::-1]]), np.stack([sound, -sound])[:, None]
    keep = {"keep_video": [(0, 5 / 24)], "keep_audio": [(0, 0.2)]}
    options = short | LONGER | {"output_type": "np", **keep}
    together = pipe(["a dog", "gulls"], **options, seed=[5, 9], video=films, audio=sounds)
    for index, (prompt, seed) in enumerate((("a dog", 5), ("gulls", 9))):
        alone = pipe(prompt, **options, seed=seed, video=films[index], audio=sounds[index])
        assert_same((together.frames[index], together.audio[index]), (alone.frames[0], alone.audio[0]))
        assert np.array_equal(np.rint(together.frames[index, :5] * 255), films[index, :5])
