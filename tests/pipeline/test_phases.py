"""What the phases of a call owe to each clip of a batch."""

import numpy as np
import pytest
import torch


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
