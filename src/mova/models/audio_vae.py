"""Continuous autoencoder of waveforms in the style of DAC: strided convolutions, Snake activations, a Gaussian latent.

Shapes: B batch, S samples, C latent channels, A latent steps (S / hop, rounded up).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.torch_utils import randn_tensor
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError, GeometryError

_LOGVAR_RANGE = (-30.0, 20.0)
_DILATIONS = (1, 3, 9)


@dataclass(frozen=True)
class AudioPosterior:
    """Diagonal Gaussian over the latents of a waveform.

    Attributes:
        mean: (B, C, A).
        logvar: (B, C, A), clamped to [-30, 20].
    """

    mean: torch.Tensor
    logvar: torch.Tensor

    def mode(self) -> torch.Tensor:
        """Return the mean, (B, C, A)."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw latents (B, C, A); gradients reach mean and variance. A CPU generator serves every device."""
        noise: torch.Tensor = randn_tensor(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def kl(self) -> torch.Tensor:
        """Return (B,): divergence from the standard normal, averaged (not summed) over channels and steps."""
        divergence = self.mean.square() + self.logvar.exp() - 1.0 - self.logvar
        return 0.5 * divergence.mean(dim=(1, 2))


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, with one alpha per channel (Ziyin et al., 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, L) to the same shape."""
        return torch.addcmul(x, torch.sin(self.alpha * x).square(), (self.alpha + 1e-9).reciprocal())


class _WeightNormed(nn.Module):
    """A convolution whose weight may be split into direction `weight_v` and length `weight_g` per first-axis slice."""

    weight: torch.Tensor
    padding: Any
    weight_g: torch.Tensor
    weight_v: torch.Tensor

    def _split_weight(self) -> None:
        direction = self.weight.detach().clone()
        del self.weight
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True))
        self.weight_v = nn.Parameter(direction)

    def _joined_weight(self) -> torch.Tensor:
        if "weight_v" not in self._parameters:
            return self.weight
        length: torch.Tensor = torch.linalg.vector_norm(self.weight_v, dim=(1, 2), keepdim=True)
        return self.weight_v * (self.weight_g / length)

    @torch.no_grad()
    def fold(self) -> None:
        """Replace direction and length by the plain weight that the forward computes from them."""
        if "weight_v" in self._parameters:
            weight = self._joined_weight()
            del self.weight_v, self.weight_g
            self.weight = nn.Parameter(weight)


class Convolution(_WeightNormed, nn.Conv1d):
    """`torch.nn.Conv1d`, optionally weight-normed."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        weight_norm: bool,
    ) -> None:
        nn.Conv1d.__init__(
            self, in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation
        )
        if weight_norm:
            self._split_weight()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, L) to (B, out_channels, L')."""
        return functional.conv1d(x, self._joined_weight(), self.bias, self.stride, self.padding, self.dilation)


class TransposedConvolution(_WeightNormed, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` that multiplies the length by its stride, optionally weight-normed."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, weight_norm: bool) -> None:
        nn.ConvTranspose1d.__init__(
            self,
            in_channels,
            out_channels,
            2 * stride,
            stride=stride,
            padding=math.ceil(stride / 2),
            output_padding=stride % 2,
        )
        if weight_norm:
            self._split_weight()

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:  # noqa: ARG002
        """Map (B, in_channels, L) to (B, out_channels, L * stride)."""
        return functional.conv_transpose1d(
            x, self._joined_weight(), self.bias, self.stride, self.padding, self.output_padding
        )


class ResidualUnit(nn.Module):
    """Two Snake-activated convolutions beside a skip path."""

    def __init__(self, channels: int, dilation: int, *, weight_norm: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            Convolution(channels, channels, 7, padding=3 * dilation, dilation=dilation, weight_norm=weight_norm),
            Snake(channels),
            Convolution(channels, channels, 1, weight_norm=weight_norm),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, L) to the same shape (shorter where the convolutions do not pad)."""
        update: torch.Tensor = self.block(x)
        cut = (x.shape[-1] - update.shape[-1]) // 2
        return (x[..., cut:-cut] if cut else x) + update


class EncoderBlock(nn.Module):
    """Residual units, then a strided convolution that doubles the channels."""

    def __init__(self, channels: int, stride: int, *, weight_norm: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(ResidualUnit(channels, dilation, weight_norm=weight_norm) for dilation in _DILATIONS),
            Snake(channels),
            Convolution(
                channels,
                2 * channels,
                2 * stride,
                stride=stride,
                padding=math.ceil(stride / 2),
                weight_norm=weight_norm,
            ),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, L) to (B, 2 channels, L / stride)."""
        output: torch.Tensor = self.block(x)
        return output


class DecoderBlock(nn.Module):
    """A transposed convolution that halves the channels, then residual units."""

    def __init__(self, channels: int, stride: int, *, weight_norm: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            TransposedConvolution(channels, channels // 2, stride, weight_norm=weight_norm),
            *(ResidualUnit(channels // 2, dilation, weight_norm=weight_norm) for dilation in _DILATIONS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, L) to (B, channels / 2, L * stride)."""
        output: torch.Tensor = self.block(x)
        return output


class Encoder(nn.Module):
    """Waveform to features, one step per hop."""

    def __init__(self, channels: int, rates: Sequence[int], latent_channels: int, *, weight_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(1, channels, 7, padding=3, weight_norm=weight_norm)]
        for rate in rates:
            layers.append(EncoderBlock(channels, rate, weight_norm=weight_norm))
            channels *= 2
        layers.append(Snake(channels))
        layers.append(Convolution(channels, latent_channels, 3, padding=1, weight_norm=weight_norm))
        self.block = nn.Sequential(*layers)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Map (B, 1, S) to (B, C, S / hop)."""
        output: torch.Tensor = self.block(waveform)
        return output


class Decoder(nn.Module):
    """Features to waveform."""

    def __init__(self, channels: int, rates: Sequence[int], latent_channels: int, *, weight_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(latent_channels, channels, 7, padding=3, weight_norm=weight_norm)]
        for rate in rates:
            layers.append(DecoderBlock(channels, rate, weight_norm=weight_norm))
            channels //= 2
        layers.append(Snake(channels))
        layers.append(Convolution(channels, 1, 7, padding=3, weight_norm=weight_norm))
        layers.append(nn.Tanh())
        self.model = nn.Sequential(*layers)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (B, C, A) to (B, 1, A * hop) in [-1, 1]."""
        output: torch.Tensor = self.model(features)
        return output


class AudioAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Autoencoder of mono audio, published as `DAC`. Arguments are the keys of its config.json.

    Args:
        encoder_dim: channels after the first convolution; doubled at every rate.
        encoder_rates: strides; their product is the hop.
        latent_dim: C; encoder_dim x 2^rates if not given.
        decoder_dim: channels before the first transposed convolution; halved at every rate.
        decoder_rates: strides with the same product.
        sample_rate: in Hz.
        continuous: must be true: Gaussian latents, no codebooks.
        use_weight_norm: keep `weight_g` and `weight_v` of every convolution instead of the plain weight.
        n_codebooks, codebook_size, codebook_dim, quantizer_dropout: kept for the published layout; without effect.

    Raises:
        ConfigError: not continuous, or strides that do not multiply to the same hop.
    """

    _keep_in_fp32_modules: ClassVar[list[str]] = ["encoder", "decoder", "quant_conv", "post_quant_conv"]
    _no_split_modules: ClassVar[list[str]] = ["ResidualUnit"]
    _group_offload_block_modules: ClassVar[list[str]] = ["encoder", "decoder", "quant_conv", "post_quant_conv"]

    @register_to_config
    def __init__(
        self,
        encoder_dim: int = 128,
        encoder_rates: Sequence[int] = (2, 3, 4, 5, 8),
        latent_dim: int | None = 128,
        decoder_dim: int = 2048,
        decoder_rates: Sequence[int] = (8, 5, 4, 3, 2),
        n_codebooks: int = 9,  # noqa: ARG002
        codebook_size: int = 1024,  # noqa: ARG002
        codebook_dim: int = 8,  # noqa: ARG002
        quantizer_dropout: bool = False,  # noqa: ARG002
        sample_rate: int = 48_000,
        continuous: bool = True,
        use_weight_norm: bool = False,
    ) -> None:
        super().__init__()
        if not continuous:
            raise ConfigError(f"continuous must be true: codebooks are not part of MOVA, got {continuous}")
        if math.prod(encoder_rates) != math.prod(decoder_rates):
            raise ConfigError(
                f"decoder_rates must multiply to the encoder's hop {math.prod(encoder_rates)}, "
                f"got {math.prod(decoder_rates)}"
            )
        if decoder_dim % 2 ** len(decoder_rates):
            raise ConfigError(f"decoder_dim must be a multiple of {2 ** len(decoder_rates)}, got {decoder_dim}")
        channels = latent_dim or encoder_dim * 2 ** len(encoder_rates)
        self.hop_length = math.prod(encoder_rates)
        self.sample_rate = sample_rate
        self.latent_channels = channels
        self.encoder = Encoder(encoder_dim, encoder_rates, channels, weight_norm=use_weight_norm)
        self.quant_conv = nn.Conv1d(channels, 2 * channels, 1)
        self.post_quant_conv = nn.Conv1d(channels, channels, 1)
        self.decoder = Decoder(decoder_dim, decoder_rates, channels, weight_norm=use_weight_norm)

    def encode(self, waveform: torch.Tensor) -> AudioPosterior:
        """Encode a waveform; it is padded with silence at its end to a multiple of the hop.

        Args:
            waveform: (B, 1, S) in [-1, 1], S at least 1.

        Returns:
            The posterior of A = ceil(S / hop) latent steps.

        Raises:
            GeometryError: another shape.
        """
        if waveform.ndim != 3 or waveform.shape[1] != 1 or not waveform.shape[2]:
            raise GeometryError(f"waveform must be (B, 1, S) with S at least 1, got {tuple(waveform.shape)}")
        padded = functional.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        return self._posterior(padded)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents (B, C, A) to a waveform (B, 1, A * hop) in [-1, 1]."""
        waveform: torch.Tensor = self.decoder(self.post_quant_conv(latents))
        return waveform

    def forward(self, waveform: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Encode, draw latents and decode: (B, 1, S) to the reconstruction of the same length."""
        return self.decode(self.encode(waveform).sample(generator))[..., : waveform.shape[-1]]

    def fold_weight_norm(self) -> AudioAutoencoder:
        """Replace all weight-normed weights by plain ones, in place; the results stay the same bit for bit."""
        for module in self.modules():
            if isinstance(module, _WeightNormed):
                module.fold()
        self.register_to_config(use_weight_norm=False)
        return self

    def disable_padding(self) -> None:
        """Compute only where every convolution sees real samples, for exact work in pieces; lengths shrink.

        `encode` still fills the last hop with silence.
        """
        for module in self.modules():
            if isinstance(module, _WeightNormed):
                module.padding = (0,)

    def _posterior(self, padded: torch.Tensor) -> AudioPosterior:
        mean, logvar = self.quant_conv(self.encoder(padded)).chunk(2, dim=1)
        return AudioPosterior(mean, logvar.clamp(*_LOGVAR_RANGE))
