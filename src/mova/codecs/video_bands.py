"""Decoding a part of a video exactly: a band of its frames, with as many cells around it as the decoder looks at.

The middle of the decoder attends over whole frames, at the size of the latents, where it costs next to nothing: it is
computed whole. Behind it everything is local. Each block gets the band and the rim that it and the blocks after it
still look at, so the rim shrinks towards the pixels, where the work is, and no pixel of the band ever feels the cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from mova.codecs.video import decode_video, needs_own_methods
from mova.errors import GeometryError

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

# Narrower bands would compute more rim than band.
MIN_BAND_CELLS = 8
_HEIGHT, _WIDTH = 3, 4


@dataclass(frozen=True)
class Band:
    """A part of the latent grid, whole along the other axes.

    Attributes:
        dim: 3 for rows, 4 for columns of (B, C, T, h, w).
        start, stop: in cells.
    """

    dim: int
    start: int
    stop: int


def split_bands(latent_shape: Sequence[int], parts: int) -> list[Band]:
    """Divide latents (B, C, T, h, w) along the longer side of the frames.

    Returns:
        At most `parts` bands, of at least `MIN_BAND_CELLS` each; a single one where the frames are too small.
    """
    dim = _WIDTH if latent_shape[_WIDTH] >= latent_shape[_HEIGHT] else _HEIGHT
    size = latent_shape[dim]
    count = max(1, min(parts, size // MIN_BAND_CELLS))
    edges = [size * index // count for index in range(count + 1)]
    return [Band(dim, start, stop) for start, stop in pairwise(edges)]


def can_decode_bands(vae: AutoencoderKLWan) -> bool:
    """Say whether bands are exact: not with tiles or hooks of diffusers' own, nor with other blocks than Wan 2.1's."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanUpBlock

    return not needs_own_methods(vae) and all(isinstance(block, WanUpBlock) for block in vae.decoder.up_blocks)


def decode_band(vae: AutoencoderKLWan, latents: torch.Tensor, band: Band) -> torch.Tensor:
    """Decode a band of normalised latents.

    Args:
        vae: the autoencoder, one of which `can_decode_bands` is true.
        latents: (B, C, T, h, w) normalised, all of them.
        band: which part.

    Returns:
        (B, 3, F, H, W) in [-1, 1] float32, of the band's height or width: that part of what `decode_video` gives, up to
        rounding.

    Raises:
        GeometryError: the band does not lie in the latents.
    """
    size = latents.shape[band.dim]
    if not 0 <= band.start < band.stop <= size:
        raise GeometryError(f"a band must lie in the {size} cells of the latents, got {band.start} to {band.stop}")
    with cut_to_band(vae, band, size):
        return decode_video(vae, latents)


def decode_in_bands(
    vae: AutoencoderKLWan, latents: torch.Tensor, num_bands: int, *, output_device: torch.device
) -> torch.Tensor:
    """Decode latents band by band on one device; the bands are put together elsewhere.

    Args:
        vae: the autoencoder; with more than one band one of which `can_decode_bands` is true.
        latents: (B, C, T, h, w) normalised.
        num_bands: most bands to divide into; fewer where the frames are too small for them.
        output_device: device that the decoded frames go to.

    Returns:
        (B, 3, F, H, W) in [-1, 1] float32 on `output_device`, what `decode_video` gives up to rounding.
    """
    clips = []
    for one in latents.split(1):
        bands = split_bands(one.shape, num_bands)
        if len(bands) == 1:
            clips.append(decode_video(vae, one).to(output_device))
            continue
        clips.append(torch.cat([decode_band(vae, one, band).to(output_device) for band in bands], dim=bands[0].dim))
    return torch.cat(clips)


@contextmanager
def cut_to_band(vae: AutoencoderKLWan, band: Band, size: int) -> Iterator[None]:
    """Let every part of the decoder pass on what the parts after it look at."""
    decoder = vae.decoder
    blocks = list(decoder.up_blocks)
    stages: list[Any] = [decoder.mid_block, *blocks, decoder.conv_out]
    scales = [1]
    for block in blocks:
        scales.append(scales[-1] * (1 if block.upsamplers is None else 2))
    scales.append(scales[-1])
    # Cells that are looked at beyond the band, behind each stage; nothing behind the last.
    rims = [0]
    for stage in reversed(stages[1:]):
        rims.append(_rim_before(stage, rims[-1]))
    rims.reverse()
    handles = []
    had = (0, size)
    for stage, scale, rim, before in zip(stages, scales, rims, [1, *scales[:-1]], strict=True):
        ratio = scale // before
        reach = (max(0, band.start * scale - rim), min(size * scale, band.stop * scale + rim))
        handles.append(stage.register_forward_hook(partial(_keep, band.dim, reach[0] - had[0] * ratio, reach)))
        had = reach
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _keep(dim: int, offset: int, reach: tuple[int, int], _: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.narrow(dim, offset, reach[1] - reach[0])


def _rim_before(stage: Any, after: int) -> int:
    """Return how far beyond its part a stage looks, in its own cells, to give a rim of `after` behind it."""
    residuals = getattr(stage, "resnets", None)
    if residuals is None:
        return int(after + stage.kernel_size[-1] // 2)
    if stage.upsamplers is not None:
        # A convolution at twice the size.
        after = -(-(after + 1) // 2)
    return after + sum(int(block.conv1.kernel_size[-1] // 2 + block.conv2.kernel_size[-1] // 2) for block in residuals)
