"""A clip and what begins like it share the encoding of their first frame, and nobody can tell from the latents."""

from contextlib import nullcontext

import pytest
import torch

from mova.codecs import video
from mova.codecs.video import encode_posterior, encode_video
from mova.codecs.video_beginnings import Beginning
from mova.conditioning.frames import known_frames
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.names import SHIPPED_MODELS
from mova.weights.components import load_component


@pytest.fixture(scope="module", params=["published", "mova-tiny"])
def vae(request):
    from diffusers import AutoencoderKLWan

    if request.param == "mova-tiny":
        return load_component(SHIPPED_MODELS / "mova-tiny" / "video_vae").float()
    torch.manual_seed(0)
    # The decoder does not matter here.
    return AutoencoderKLWan(decoder_base_dim=8).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def nothing_is_learned():
    with torch.no_grad():
        yield


def moving(num_frames, batch_size=1, size=8, seed=0):
    return torch.rand(batch_size, 3, num_frames, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def patched(vae, frames):
    """Return frames as the encoder takes them."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    size = vae.config.patch_size
    return frames if size is None else patchify(frames, size)


def first_known(frames):
    known = torch.zeros(len(frames), frames.shape[2], dtype=torch.bool)
    known[:, 0] = True
    return known


def first_calls(vae, encode):
    """Return what is encoded, and the numbers of frames that the encoder's first layer was called with."""
    lengths = []
    handle = vae.encoder.conv_in.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
    try:
        return encode(), lengths
    finally:
        handle.remove()


def assert_shared(vae, frames, known, *, is_shared=True):
    """Both are the bits of two encodes; where they share, the first frame is encoded once."""
    expected, apart = first_calls(vae, lambda: (encode_video(vae, frames), known_frames(vae, frames, known)))
    beginning = Beginning()
    found, together = first_calls(
        vae,
        lambda: (
            encode_video(vae, frames, beginning=beginning),
            known_frames(vae, frames, known, beginning=beginning),
        ),
    )
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1].latents, expected[1].latents)
    assert torch.equal(found[1].latents.signbit(), expected[1].latents.signbit())
    assert torch.equal(found[1].mask, expected[1].mask)
    assert apart.count(1) == 2
    assert together.count(1) == (1 if is_shared else 2)
    assert len(apart) - len(together) == (1 if is_shared else 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("num_frames", "batch_size"), [(1, 2), (5, 1), (9, 3)])
def test_a_clip_and_its_first_frame_condition_are_the_bits_of_two_encodes(vae, num_frames, batch_size, precision):
    frames = moving(num_frames, batch_size)
    rounded = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
    with rounded:
        assert_shared(vae, frames, first_known(frames))


@pytest.mark.parametrize("elements", [1, 2**30])
def test_grey_frames_after_a_shared_one_are_encoded_once(vae, elements, monkeypatch):
    monkeypatch.setattr(video, "CPU_CHUNK_ELEMENTS", elements)
    frames = moving(33)
    assert_shared(vae, frames, first_known(frames))
    beginning = Beginning()
    encode_video(vae, frames, beginning=beginning)
    _, lengths = first_calls(vae, lambda: known_frames(vae, frames, first_known(frames), beginning=beginning))
    assert lengths == ([4, 4] if elements == 1 else [32])


def test_frames_laid_out_in_another_way_are_encoded_apart(vae):
    """Kernels for channels that lie together give other last bits; pixels put into patches are laid out anew."""
    pixels = moving(9, 2).add(1).mul(127).movedim(1, -1).to(torch.uint8).contiguous()
    frames = video.to_unit(pixels)
    assert_shared(vae, frames, first_known(frames), is_shared=vae.config.patch_size is not None)


def test_convolutions_folded_for_the_cpu_share_too():
    frames = moving(13)
    folded = load_component(SHIPPED_MODELS / "mova-tiny" / "video_vae").float()
    fold_causal_convolutions(folded)
    assert_shared(folded, frames, first_known(frames))


def test_a_last_frame_that_is_known_too_is_no_hindrance(vae):
    frames = moving(21, 2)
    known = first_known(frames)
    known[1, -1] = True
    assert_shared(vae, frames, known)


def test_a_clip_whose_first_frame_is_not_known_is_encoded_apart(vae):
    frames = moving(9, 2)
    known = torch.zeros(2, 9, dtype=torch.bool)
    known[0, 0] = known[1, 4] = True
    assert_shared(vae, frames, known, is_shared=False)


def test_whatever_is_not_the_same_bits_begins_in_another_way(vae):
    frames = moving(5, 2)
    frames[:, :, 0] = 0.0
    signed = frames.clone()
    signed[:, :, 0] = -0.0
    beginning = Beginning()
    encode_video(vae, frames, beginning=beginning)
    for others in (frames[:1], signed, moving(5, 2, seed=1), moving(5, 2, size=16)):
        expected, alone = first_calls(vae, lambda others=others: encode_video(vae, others))
        found, beside = first_calls(vae, lambda others=others: encode_video(vae, others, beginning=beginning))
        assert torch.equal(found, expected)
        assert beside == alone
    _, again = first_calls(vae, lambda: encode_video(vae, frames, beginning=beginning))
    assert again == [4], "the first ones are those that count"


def test_a_beginning_keeps_what_the_encoder_keeps_of_one_frame(vae):
    beginning = Beginning()
    encode_video(vae, moving(17, 2, size=16), beginning=beginning)
    kept = [tensor for value in vars(beginning).values() for tensor in (value if isinstance(value, tuple) else [value])]
    cache = [None] * len(kept)
    latent = vae.encoder(patched(vae, moving(1, 2, size=16)), feat_cache=cache, feat_idx=[0])
    stored = [tensor.untyped_storage() for tensor in kept if isinstance(tensor, torch.Tensor)]
    assert sum(storage.nbytes() for storage in stored) == sum(
        tensor.nbytes for tensor in [latent, *cache] if tensor is not None
    )


def test_gradients_are_those_of_every_call(patched_vae):
    weight = patched_vae.encoder.conv_in.weight.requires_grad_(True)
    frames = moving(9)

    def gradient(beginning):
        weight.grad = None
        for _ in range(2):
            encode_posterior(patched_vae, frames, beginning)[0].sum().backward()
        return weight.grad

    with torch.enable_grad():
        assert torch.equal(gradient(Beginning()), gradient(None))


def test_hooks_see_every_call(patched_vae):
    lengths = []
    patched_vae.encoder.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
    frames, beginning = moving(5), Beginning()
    first, second = (encode_video(patched_vae, frames, beginning=beginning) for _ in range(2))
    assert torch.equal(first, second)
    assert lengths == [1, 4, 1, 4]


def test_tiles_are_encoded_as_before(patched_vae):
    patched_vae.enable_tiling()
    frames, beginning = moving(5), Beginning()
    assert torch.equal(
        encode_video(patched_vae, frames, beginning=beginning), encode_video(patched_vae, frames, beginning=beginning)
    )
