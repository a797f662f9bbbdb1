import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.kernels.cpu_conv import fold_causal_convolutions


@settings(max_examples=25, deadline=None)
@given(
    taps=st.sampled_from([1, 2, 3]),
    stride=st.sampled_from([1, 2]),
    space=st.sampled_from([(1, 1), (3, 1), (3, 2)]),
    batch_size=st.integers(1, 2),
    extra_frames=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_folded_convolution_equals_the_three_dimensional_one(taps, stride, space, batch_size, extra_frames, seed):
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    torch.manual_seed(seed)
    size, space_stride = space
    conv = WanCausalConv3d(
        3, 5, (taps, size, size), (stride, space_stride, space_stride), (taps // 2, size // 2, size // 2)
    )
    frames = torch.randn(batch_size, 3, taps + extra_frames, 6, 7)
    expected = conv(frames)
    assert fold_causal_convolutions(conv) == 1
    torch.testing.assert_close(conv(frames), expected, atol=6e-6, rtol=1e-5)


def test_whole_autoencoder_gives_the_same_after_folding(patched_vae):
    frames = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    latents = patched_vae.encode(frames).latent_dist.mode()
    decoded = patched_vae.decode(latents).sample
    assert fold_causal_convolutions(patched_vae) > 20
    torch.testing.assert_close(patched_vae.encode(frames).latent_dist.mode(), latents, atol=6e-6, rtol=1e-5)
    torch.testing.assert_close(patched_vae.decode(latents).sample, decoded, atol=6e-6, rtol=1e-5)


def test_folding_keeps_the_state_dict_and_survives_a_copy(patched_vae):
    keys = list(patched_vae.state_dict())
    fold_causal_convolutions(patched_vae)
    assert list(patched_vae.state_dict()) == keys

    clone = copy.deepcopy(patched_vae)
    for parameter in clone.parameters():
        parameter.zero_()
    latents = torch.zeros(1, 16, 1, 4, 4)
    assert clone.decode(latents).sample.abs().max() == 0, "the copy must use its own weights"
    assert patched_vae.decode(latents).sample.abs().max() > 0


def test_gradients_flow_through_the_folded_form():
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    conv = WanCausalConv3d(2, 3, 3, padding=1)
    frames = torch.randn(1, 2, 4, 5, 5)
    conv(frames).square().sum().backward()
    expected, conv.weight.grad = conv.weight.grad, None
    fold_causal_convolutions(conv)
    conv(frames).square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, expected, atol=1e-4, rtol=1e-5)
