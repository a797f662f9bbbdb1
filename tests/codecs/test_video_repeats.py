"""Frames that stop changing are encoded once, and nobody can tell from the latents."""

from contextlib import contextmanager

import pytest
import torch

from mova.codecs import video
from mova.codecs.video import encode_posterior, encode_video
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.names import SHIPPED_MODELS
from mova.weights.components import load_component


def make_vae(**config):
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    vae = AutoencoderKLWan(**config).eval().requires_grad_(False)
    fold_causal_convolutions(vae)
    return vae


@pytest.fixture(scope="module", params=["published", "mova-tiny", "residual"])
def vae(request):
    if request.param == "published":
        # The decoder does not matter here.
        return make_vae(decoder_base_dim=8)
    if request.param == "residual":
        return make_vae(
            base_dim=8, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[True, True], is_residual=True
        )
    vae = load_component(SHIPPED_MODELS / "mova-tiny" / "video_vae").float()
    fold_causal_convolutions(vae)
    return vae


@pytest.fixture(autouse=True)
def one_latent_frame_at_a_time(monkeypatch):
    """As frames of the usual sizes are encoded."""
    monkeypatch.setattr(video, "CPU_CHUNK_ELEMENTS", 1)
    with torch.no_grad():
        yield


def clip(num_frames, known=(0,), size=8):
    """Grey frames and a few random ones."""
    frames = torch.zeros(1, 3, num_frames, size, size)
    for index in known:
        frames[:, :, index] = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(index)) * 2 - 1
    return frames


@contextmanager
def counted(module):
    """Count the calls of a module."""
    calls = []
    handle = module.register_forward_hook(lambda *_: calls.append(1))
    try:
        yield calls
    finally:
        handle.remove()


def encode_all(vae, frames):
    """Encode as the library does, with a call of the whole encoder for every part."""
    # A hook on the encoder wants to see every call.
    with counted(vae.encoder) as calls:
        latents = encode_video(vae, frames)
    assert len(calls) == latents.shape[2]
    return latents


def test_the_reference_is_what_the_library_gives(vae):
    frames = clip(13)
    expected = video.normalise_latents(vae, vae.encode(frames).latent_dist.mode())
    torch.testing.assert_close(encode_all(vae, frames), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("num_frames", "known"),
    [
        (1, [0]),
        (5, [0]),
        (13, [0, -1]),
        (49, [0]),
        (133, [0, -1]),
        (49, [0, 30, 34, -2]),
        (21, []),
    ],
)
def test_latents_of_frames_that_repeat_are_the_same_bits(vae, num_frames, known):
    frames = clip(num_frames, known)
    assert torch.equal(encode_video(vae, frames), encode_all(vae, frames))


def test_rows_that_know_other_frames_are_encoded_together(vae):
    frames = torch.cat([clip(33), clip(33, [0, -1]), clip(33, [12])])
    assert torch.equal(encode_video(vae, frames), encode_all(vae, frames))


def test_a_clip_that_stands_still_repeats_like_grey_frames(vae):
    frames = clip(9)
    still = torch.cat([frames, frames[:, :, :1].expand(-1, -1, 52, -1, -1)], dim=2)
    with counted(vae.encoder.conv_in) as calls:
        latents = encode_video(vae, still)
    assert len(calls) < latents.shape[2] // 2
    assert torch.equal(latents, encode_all(vae, still))


def test_the_first_layer_runs_as_far_as_its_memory_reaches_and_the_whole_encoder_ends_too(vae):
    frames = clip(193)
    with counted(vae.encoder.conv_in) as first, counted(vae.encoder.conv_out) as last:
        latents = encode_video(vae, frames)
    assert len(first) == 3, "the known frame, the frames after it, and these once more"
    assert len(first) < len(last) < latents.shape[2]
    assert torch.equal(latents[:, :, -1], latents[:, :, -2])


def test_a_frame_at_the_end_wakes_every_layer(vae):
    with counted(vae.encoder.conv_in) as first, counted(vae.encoder.conv_out) as last:
        latents = encode_video(vae, clip(193, [0, -1]))
    assert len(first) == 4
    assert len(last) < latents.shape[2]
    assert not torch.equal(latents[:, :, -1], latents[:, :, -2])


@pytest.mark.parametrize("elements", [1, 40_000, 150_000, 2**30])
def test_any_number_of_frames_in_a_part_repeats(patched_vae, elements, monkeypatch):
    """The last part is shorter than the others where the number does not divide."""
    fold_causal_convolutions(patched_vae)
    monkeypatch.setattr(video, "CPU_CHUNK_ELEMENTS", elements)
    frames = clip(133, size=16)
    with counted(patched_vae.encoder):
        expected = encode_video(patched_vae, frames)
    assert torch.equal(encode_video(patched_vae, frames), expected)


def test_moving_frames_call_the_encoder_as_a_whole(patched_vae, monkeypatch):
    frames = torch.rand(1, 3, 13, 8, 8)
    monkeypatch.setattr("mova.codecs.video_repeats._stages", None)
    assert encode_video(patched_vae, frames).isfinite().all()


def test_gradients_are_those_of_every_call(patched_vae):
    """What is left out would be missing in them."""
    weight = patched_vae.encoder.conv_in.weight

    def gradient(frames):
        weight.grad = None
        encode_posterior(patched_vae, frames)[0].sum().backward()
        return weight.grad

    frames = clip(33)
    with torch.enable_grad():
        weight.requires_grad_(True)
        found = gradient(frames)
        with counted(patched_vae.encoder) as calls:
            expected = gradient(frames)
    assert len(calls) == 9
    assert torch.equal(found, expected)


def test_hooks_of_offload_see_every_call(patched_vae):
    """They bring the weights of the next layer when a layer is called."""
    from diffusers.hooks import HookRegistry, ModelHook

    frames = clip(41)
    with counted(patched_vae.encoder.conv_in) as plain:
        expected = encode_video(patched_vae, frames)
    HookRegistry.check_if_exists_or_initialize(patched_vae.encoder.conv_out).register_hook(ModelHook(), "own")
    with counted(patched_vae.encoder.conv_in) as hooked:
        latents = encode_video(patched_vae, frames)
    assert (len(plain), len(hooked)) == (3, 11)
    assert torch.equal(latents, expected)


def test_values_that_are_not_numbers_never_settle(patched_vae):
    frames = clip(41)
    frames[:, :, 0] = torch.nan
    assert encode_video(patched_vae, frames).isnan().any()


def test_shapes_without_values_are_encoded(patched_vae):
    frames = torch.zeros(1, 3, 9, 8, 8, device="meta")
    assert encode_video(patched_vae.to("meta"), frames).shape == (1, 16, 3, 1, 1)
