"""Bands of a picture, decoded apart."""

import pytest
import torch
from diffusers import AutoencoderKLWan

from mova.codecs.video import decode_video
from mova.codecs.video_bands import MIN_BAND_CELLS, Band, can_decode_bands, decode_band, decode_in_bands, split_bands
from mova.errors import GeometryError
from mova.kernels.cpu_conv import fold_causal_convolutions

# Of the published autoencoder, and of the shipped one with its pixel patch.
PUBLISHED = {"base_dim": 8, "z_dim": 16, "num_res_blocks": 2}
PATCHED = {
    "base_dim": 8,
    "z_dim": 16,
    "dim_mult": [1, 2, 4],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 8,
}


# Of a picture that is computed in float64 and comes back in float32: on every CPU, more than that is a seam.
ROUNDING = 3e-7


def make_vae(settings):
    torch.manual_seed(0)
    return AutoencoderKLWan(**settings).eval().double()


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        pytest.param(PUBLISHED, (8, 26), id="published"),
        pytest.param(PUBLISHED, (25, 9), id="published upright", marks=pytest.mark.slow),
        pytest.param(PATCHED, (8, 26), id="patched"),
        pytest.param(PATCHED, (25, 9), id="patched upright"),
    ],
)
@torch.no_grad()
def test_bands_are_what_a_whole_decode_has_in_their_place(settings, size, folded):
    vae = make_vae(settings)
    if folded:
        fold_causal_convolutions(vae)
    latents = 0.2 * torch.randn(1, 16, 3, *size, dtype=torch.float64)
    whole = decode_video(vae, latents)
    # A saturated picture would hide differences.
    assert (whole.abs() < 1).float().mean() > 0.95
    bands = split_bands(latents.shape, 3)
    assert len(bands) == 3
    decoded = torch.cat([decode_band(vae, latents, band) for band in bands], bands[0].dim)
    assert decoded.shape == whole.shape
    assert (decoded - whole).abs().max() < ROUNDING
    # Nothing stays behind.
    assert torch.equal(decode_video(vae, latents), whole)


@pytest.mark.parametrize("num_bands", [1, pytest.param(2, marks=pytest.mark.slow), 3, 8])
@torch.no_grad()
def test_bands_that_take_turns_are_put_together_without_a_seam(num_bands):
    vae = make_vae(PUBLISHED)
    latents = 0.2 * torch.randn(2, 16, 2, 8, 26, dtype=torch.float64)
    together = decode_in_bands(vae, latents, num_bands, output_device=torch.device("cpu"))
    whole = torch.cat([decode_video(vae, one) for one in latents.split(1)])
    assert together.shape == whole.shape
    assert (together - whole).abs().max() < ROUNDING
    # A seam would be a step between columns that the whole picture does not have.
    steps = [(frames[..., 1:] - frames[..., :-1]).abs().amax() for frames in (together, whole)]
    assert abs(steps[0] - steps[1]) < ROUNDING


@torch.no_grad()
def test_the_work_follows_the_band(monkeypatch):
    vae, latents = make_vae(PUBLISHED), torch.zeros(1, 16, 1, 8, 64, dtype=torch.float64)
    widths = []
    vae.decoder.conv_out.register_forward_hook(lambda _, inputs, __: widths.append(inputs[0].shape[-1]))
    decode_band(vae, latents, Band(4, 16, 32))
    # 128 pixels, and on each side one that the last convolution looks at.
    assert widths == [130]


def test_small_pictures_are_one_band():
    assert split_bands((1, 16, 3, 8, 2 * MIN_BAND_CELLS - 1), 4) == [Band(4, 0, 2 * MIN_BAND_CELLS - 1)]
    assert [(band.start, band.stop) for band in split_bands((1, 16, 3, 33, 8), 4)] == [
        (0, 8),
        (8, 16),
        (16, 24),
        (24, 33),
    ]


def test_a_band_outside_the_latents_is_refused():
    with pytest.raises(GeometryError, match="must lie in the 8 cells of the latents, got 4 to 9"):
        decode_band(make_vae(PUBLISHED), torch.zeros(1, 16, 1, 8, 8), Band(4, 4, 9))


def test_tiles_of_diffusers_and_other_blocks_are_left_alone():
    vae = make_vae(PUBLISHED)
    assert can_decode_bands(vae)
    vae.enable_tiling()
    assert not can_decode_bands(vae)
    assert not can_decode_bands(make_vae(PUBLISHED | {"is_residual": True}))
