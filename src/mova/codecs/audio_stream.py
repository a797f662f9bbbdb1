"""Decoding audio piece by piece: latents go in as they come, samples come out as soon as nothing can change them.

The decoder is made of convolutions: a sample depends on latents of a bounded reach on both sides. Each piece is decoded
with so many latents around it, of which the samples are thrown away. So the pieces are what the whole would be, up to
rounding, and no seam is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mova.codecs.audio import decode_audio, encode_audio
from mova.errors import GeometryError

if TYPE_CHECKING:
    from mova.models.audio_vae import AudioAutoencoder


def decoder_reach(autoencoder: AudioAutoencoder) -> int:
    """Return how many latents on each side of one its samples can depend on."""
    from mova.models.audio_vae import Convolution, TransposedConvolution

    layers = [one for one in autoencoder.decoder.modules() if isinstance(one, Convolution | TransposedConvolution)]
    reach = 0
    for layer in reversed(layers):
        if isinstance(layer, TransposedConvolution):
            stride = int(layer.stride[0])
            reach = -(-(reach + 2 * stride - 1) // stride)
        else:
            reach += int(layer.dilation[0]) * (int(layer.kernel_size[0]) - 1) // 2
    return reach


def encoder_reach(autoencoder: AudioAutoencoder) -> int:
    """Return how many samples on each side of a latent's own it can depend on."""
    from mova.models.audio_vae import Convolution

    layers = [one for one in autoencoder.encoder.modules() if isinstance(one, Convolution)]
    reach, hop = 0, 1
    for layer in layers:
        stride, size = int(layer.stride[0]), int(layer.dilation[0]) * (int(layer.kernel_size[0]) - 1)
        reach += hop * (size if stride > 1 else size // 2)
        hop *= stride
    return reach


class AudioStream:
    """Decodes the audio of one clip in pieces.

    Args:
        autoencoder: the audio autoencoder.
    """

    def __init__(self, autoencoder: AudioAutoencoder) -> None:
        self._autoencoder = autoencoder
        self._reach = decoder_reach(autoencoder)
        self._waiting: torch.Tensor | None = None
        self._done = 0  # latents at the beginning of `_waiting` whose samples are out

    @property
    def delay(self) -> int:
        """Latents at the end whose samples wait for those that follow."""
        return self._reach

    def push(self, latents: torch.Tensor) -> torch.Tensor:
        """Take the next latents.

        Args:
            latents: (1, C, n); n may be 0.

        Returns:
            (1, 1, s) float32: the next samples that later latents cannot change; s may be 0.

        Raises:
            GeometryError: another shape than before.
        """
        if self._waiting is not None and latents.shape[:2] != self._waiting.shape[:2]:
            raise GeometryError(
                f"latents of a stream must be (1, C, n) of one width, got {tuple(latents.shape)} after "
                f"{tuple(self._waiting.shape)}"
            )
        self._waiting = latents if self._waiting is None else torch.cat([self._waiting, latents], dim=2)
        return self._decode(self._waiting.shape[2] - self._reach)

    def finish(self) -> torch.Tensor:
        """Return the samples (1, 1, s) that are left: nothing follows."""
        return torch.zeros(1, 1, 0) if self._waiting is None else self._decode(self._waiting.shape[2])

    @torch.no_grad()
    def _decode(self, ready: int) -> torch.Tensor:
        """Return the samples of latents from those that are out to `ready`, and forget what nothing needs any more."""
        assert self._waiting is not None, "there are latents"
        hop = self._autoencoder.hop_length
        if ready <= self._done:
            return torch.zeros(1, 1, 0, device=self._waiting.device)
        until = min(ready + self._reach, self._waiting.shape[2])
        decoded = decode_audio(self._autoencoder, self._waiting[:, :, :until])
        samples = decoded[..., self._done * hop : ready * hop]
        kept = max(0, ready - self._reach)
        self._waiting, self._done = self._waiting[:, :, kept:].clone(), ready - kept
        return samples


def encode_span(autoencoder: AudioAutoencoder, waveform: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Encode a part of longer audio as if all of it had been encoded at once.

    Args:
        autoencoder: the audio autoencoder.
        waveform: (B, 1, S), all of it; silence follows its end.
        start, stop: latents, counted from the beginning; at least one.

    Returns:
        (B, C, stop - start) float32.
    """
    hop = autoencoder.hop_length
    around = -(-encoder_reach(autoencoder) // hop)
    first = max(0, start - around)
    samples = waveform[..., first * hop : (stop + around) * hop]
    # The silence behind the end is encoded as such, and not as the end of a file.
    needed = (stop + around - first) * hop
    if samples.shape[-1] < needed:
        samples = functional.pad(samples, (0, needed - samples.shape[-1]))
    return encode_audio(autoencoder, samples)[..., start - first : stop - first]
