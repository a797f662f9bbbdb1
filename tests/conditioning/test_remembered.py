"""A white first frame is encoded once per model and size; what changes the model is noticed."""

import gc
import weakref

import pytest
import torch

from mova.conditioning import remembered
from mova.conditioning.frames import frame_condition
from mova.geometry import ClipGeometry, CodecGeometry

CODEC = CodecGeometry(audio_channels=16)


def geometry(num_frames=5, height=32):
    return ClipGeometry(height, 32, num_frames, 24.0, CODEC)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


class Counted:
    """Calls of an encoder's first layer."""

    def __init__(self, vae):
        self.count = 0
        vae.encoder.conv_in.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1

    def taken(self):
        count, self.count = self.count, 0
        return count


def test_the_second_clip_needs_no_encoder_and_gets_the_same_bits_as_its_own(patched_vae):
    encoder = Counted(patched_vae)
    first = frame_condition(patched_vae, {}, geometry())
    assert encoder.taken()
    second = frame_condition(patched_vae, {}, geometry())
    assert encoder.taken() == 0
    given = frame_condition(patched_vae, {0: torch.ones(1, 3, 32, 32)}, geometry())
    assert encoder.taken()
    assert torch.equal(first, second)
    assert torch.equal(first, given)


def test_a_caller_cannot_change_what_is_remembered(patched_vae):
    from mova.conditioning.frames import known_images

    first = known_images(patched_vae, {}, geometry()).latents
    expected = first.clone()
    for _ in range(2):
        first.zero_()
        first = known_images(patched_vae, {}, geometry()).latents
        assert torch.equal(first, expected)


def scale_in_place(vae):
    vae.encoder.conv_in.weight.mul_(1.5)


def write_past_the_version_counter(vae):
    vae.encoder.mid_block.resnets[0].conv1.bias.data.add_(0.25)


def swap_places(vae):
    weight = vae.encoder.conv_out.weight
    weight.copy_(weight.flip(0))


def change_statistics(vae):
    vae.register_to_config(latents_mean=[0.5] * 16)


def change_last_layer(vae):
    vae.quant_conv.bias.add_(1.0)


@pytest.mark.parametrize(
    "change", [scale_in_place, write_past_the_version_counter, swap_places, change_statistics, change_last_layer]
)
def test_a_changed_model_encodes_anew(patched_vae, change):
    encoder = Counted(patched_vae)
    before = frame_condition(patched_vae, {}, geometry())
    encoder.taken()
    change(patched_vae)
    after = frame_condition(patched_vae, {}, geometry())
    assert encoder.taken()
    assert not torch.equal(before, after)


def test_another_size_dtype_or_precision_is_encoded_and_the_former_one_is_still_known(patched_vae):
    encoder = Counted(patched_vae)
    expected = frame_condition(patched_vae, {}, geometry())
    for other in (geometry(9), geometry(height=64)):
        encoder.taken()
        frame_condition(patched_vae, {}, other)
        assert encoder.taken()
    with torch.autocast("cpu", torch.bfloat16):
        frame_condition(patched_vae, {}, geometry())
    assert encoder.taken()
    patched_vae.to(torch.bfloat16)
    frame_condition(patched_vae, {}, geometry())
    assert encoder.taken()
    # What bfloat16 has rounded stays so.
    patched_vae.to(torch.float32)
    assert not torch.equal(frame_condition(patched_vae, {}, geometry()), expected)
    assert encoder.taken()
    frame_condition(patched_vae, {}, geometry())
    assert encoder.taken() == 0


def test_only_the_last_sizes_are_kept(patched_vae):
    encoder = Counted(patched_vae)
    for num_frames in (1, 5, 9, 13, 17, 1):
        encoder.taken()
        frame_condition(patched_vae, {}, geometry(num_frames))
        assert encoder.taken()
    frame_condition(patched_vae, {}, geometry(17))
    assert encoder.taken() == 0


def test_tiles_and_gradients_are_never_remembered(patched_vae):
    encoder = Counted(patched_vae)
    patched_vae.enable_tiling(32, 32, 16, 16)
    for _ in range(2):
        frame_condition(patched_vae, {}, geometry())
        assert encoder.taken()
    patched_vae.disable_tiling()
    with torch.enable_grad():
        for _ in range(2):
            frame_condition(patched_vae, {}, geometry())
            assert encoder.taken()


def test_it_is_forgotten_with_the_model():
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan(base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval()
    frame_condition(vae, {}, geometry())
    count, gone = len(remembered._latents), weakref.ref(vae)
    del vae
    gc.collect()
    assert gone() is None
    assert len(remembered._latents) == count - 1
