"""Waveform to audio latents and back, through the continuous audio autoencoder; always in float32.

The autoencoder is sensitive to bf16 and small next to the towers, so both directions leave any autocast region. Audio
latents carry no normalisation constants: what the autoencoder gives is what the towers see (fact sheet, 1.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mova.errors import GeometryError

if TYPE_CHECKING:
    from mova.models.audio_vae import AudioAutoencoder


def encode_audio(autoencoder: AudioAutoencoder, waveform: torch.Tensor) -> torch.Tensor:
    """Encode a waveform to latents (the mode of the posterior).

    Args:
        autoencoder: the audio autoencoder.
        waveform: (B, 1, S) in [-1, 1] at the autoencoder's sample rate; zeros fill the last hop.

    Returns:
        (B, C, A) float32, A = S / hop_length rounded up.
    """
    with torch.autocast(waveform.device.type, enabled=False):
        return autoencoder.encode(pad_to_hop(waveform, autoencoder.hop_length).float()).mode().float()


def decode_audio(
    autoencoder: AudioAutoencoder, latents: torch.Tensor, *, num_samples: int | None = None
) -> torch.Tensor:
    """Decode latents to a waveform.

    Args:
        autoencoder: the audio autoencoder.
        latents: (B, C, A).
        num_samples: S to cut to; None keeps all A * hop_length samples.

    Returns:
        (B, 1, S) float32.

    Raises:
        GeometryError: the latents are shorter than `num_samples`.
    """
    available = latents.shape[-1] * autoencoder.hop_length
    if num_samples is not None and not 0 < num_samples <= available:
        raise GeometryError(f"{latents.shape[-1]} audio latents hold 1 to {available} samples, got {num_samples}")
    with torch.autocast(latents.device.type, enabled=False):
        waveform = autoencoder.decode(latents.float()).float()
    return waveform[..., :num_samples]


def pad_to_hop(waveform: torch.Tensor, hop_length: int) -> torch.Tensor:
    """Pad (B, 1, S) with zeros on the right to a multiple of the hop."""
    if waveform.ndim != 3 or waveform.shape[1] != 1 or waveform.shape[2] == 0:
        raise GeometryError(f"waveform must be (B, 1, S) with at least one sample, got {tuple(waveform.shape)}")
    return functional.pad(waveform, (0, -waveform.shape[-1] % hop_length))
