"""Decoding a video piece by piece: latent frames go in as they come, frames come out, in memory for one piece.

The decoder's convolutions look back a few frames each. What they keep of one piece goes into the next, so the pieces
make one video, without a seam between them, however long it grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mova.codecs.video import DecoderCache, check_streams, decode_part
from mova.codecs.video_bands import Band, can_decode_bands, cut_to_band, split_bands
from mova.errors import GeometryError

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan


@dataclass(frozen=True, eq=False)
class StreamMark:
    """A place in a stream.

    Attributes:
        caches: of each band; none at the beginning.
    """

    caches: list[DecoderCache]


class VideoStream:
    """Decodes one clip in pieces.

    Args:
        vae: the autoencoder.
        bands: of the frames that are decoded after each other, which takes less memory; see `video_bands`.
        output_device: that the frames go to; None leaves them where they are decoded.

    Raises:
        ConfigError: an autoencoder with tiling, slicing or hooks of its own, which keeps nothing between pieces.
    """

    def __init__(
        self, vae: AutoencoderKLWan, *, bands: int = 1, output_device: torch.device | str | None = None
    ) -> None:
        check_streams(vae)
        self._vae, self._output_device = vae, output_device
        self._most_bands = bands if bands > 1 and can_decode_bands(vae) else 1
        self._bands: list[Band] = []
        self._caches: list[DecoderCache] = []
        self._shape: torch.Size | None = None

    @torch.no_grad()
    def push(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode the next latent frames.

        Args:
            latents: (1, C, n, h, w) normalised, n at least 1.

        Returns:
            (1, 3, f, H, W) in [-1, 1] float32: f is the temporal stride for each latent frame, 1 for the clip's first.

        Raises:
            GeometryError: latents of another size than before.
        """
        shape = latents.shape[:2] + latents.shape[3:]
        if self._shape is None:
            self._shape = shape
            self._bands = split_bands(latents.shape, self._most_bands) if self._most_bands > 1 else []
            self._caches = [DecoderCache(self._vae) for _ in range(max(1, len(self._bands)))]
        if shape != self._shape or latents.shape[0] != 1 or not latents.shape[2]:
            raise GeometryError(
                f"latents of a stream must be (1, C, n, h, w) of one size, got {tuple(latents.shape)} after "
                f"{tuple(self._shape)}"
            )
        if len(self._bands) < 2:
            return self._out(decode_part(self._vae, latents, self._caches[0]))
        parts = []
        for band, cache in zip(self._bands, self._caches, strict=True):
            with cut_to_band(self._vae, band, latents.shape[band.dim]):
                parts.append(self._out(decode_part(self._vae, latents, cache)))
        return torch.cat(parts, dim=self._bands[0].dim)

    def mark(self) -> StreamMark:
        """Return the place that the stream has come to, for `go_back`."""
        return StreamMark([cache.copy() for cache in self._caches])

    def go_back(self, mark: StreamMark) -> None:
        """Go on from a place where the stream was before, as if nothing had come since."""
        self._caches = [cache.copy() for cache in mark.caches]
        if not self._caches:
            self._shape = None

    def _out(self, frames: torch.Tensor) -> torch.Tensor:
        return frames if self._output_device is None else frames.to(self._output_device)
