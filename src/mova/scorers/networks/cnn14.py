"""Cnn14 of PANNs: what is heard in ten seconds of sound, as 527 logits of AudioSet and an embedding of 2048 numbers.

Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", 2020;
qiuqiangkong/audioset_tagging_cnn at d2f4b8c1. The variant for 32 kHz, without its front end, which is arithmetic:
`front_ends.audio_inputs.cnn14_mel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError

FRONT_END: Final = ("spectrogram_extractor.", "logmel_extractor.")
"""Beginnings of names under which a published file keeps the constants of its front end."""
WIDTHS: Final = (64, 128, 256, 512, 1024, 2048)
NUM_CLASSES: Final = 527
NUM_BANDS: Final = 64
_FFT: Final = 1024


class Cnn14Output(NamedTuple):
    """What Cnn14 makes of sounds.

    Attributes:
        logits: (N, classes); their sigmoids are the published clipwise probabilities.
        embedding: (N, width), 0 or more.
    """

    logits: torch.Tensor
    embedding: torch.Tensor


class _Block(nn.Module):
    """Two convolutions with normalisation and ReLU, then a mean over squares of `pool` cells."""

    def __init__(self, channels_in: int, channels_out: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return x if self.pool == 1 else functional.avg_pool2d(x, self.pool)


class Cnn14(nn.Module):
    """Six blocks of convolutions over time and mel bands, and two linear layers.

    Args:
        widths: channels of the blocks; the published network has six.
        num_classes: of the logits.
        num_bands: mel bands of the input.
        holds_front_end: whether there are places for the constants of the front end, which nothing reads. By their
            shapes a file of the variants for 8 and 16 kHz is known, which is like this one otherwise.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        num_classes: int = NUM_CLASSES,
        num_bands: int = NUM_BANDS,
        *,
        holds_front_end: bool = False,
    ) -> None:
        super().__init__()
        if holds_front_end:
            self.spectrogram_extractor, self.logmel_extractor = _front_end(num_bands)
        self.bn0 = nn.BatchNorm2d(num_bands)
        self._blocks: list[str] = []
        for index, width in enumerate(widths):
            name = f"conv_block{index + 1}"
            is_last = index == len(widths) - 1
            self.add_module(name, _Block(widths[index - 1] if index else 1, width, 1 if is_last else 2))
            self._blocks.append(name)
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        self.fc_audioset = nn.Linear(widths[-1], num_classes)

    def drop_front_end(self) -> None:
        """Let go of the constants of the front end."""
        for name in FRONT_END:
            delattr(self, name.removesuffix("."))

    def forward(self, log_mel: torch.Tensor) -> Cnn14Output:
        """Return logits and embeddings.

        Args:
            log_mel: (N, T, bands) in decibels, without any normalisation. T halves in every block but the last.

        Raises:
            ConfigError: there are too few steps of time to halve.
        """
        least = 2 ** (len(self._blocks) - 1)
        if log_mel.shape[1] < least:
            raise ConfigError(
                f"a log-mel for Cnn14 must have at least {least} steps, got {log_mel.shape[1]}; nearest is {least}"
            )
        # Normalised for each band over all times, so the bands stand where the channels do.
        x = self.bn0(log_mel.transpose(1, 2).unsqueeze(-1)).permute(0, 3, 2, 1)
        for name in self._blocks:
            x = self.get_submodule(name)(x)
        over_time = x.mean(dim=3)
        pooled = over_time.amax(dim=2) + over_time.mean(dim=2)
        embedding = functional.relu(self.fc1(pooled))
        return Cnn14Output(self.fc_audioset(embedding), embedding)


def _front_end(num_bands: int) -> tuple[nn.Module, nn.Module]:
    spectrogram, stft, log_mel = nn.Module(), nn.Module(), nn.Module()
    spectrogram.add_module("stft", stft)
    for part in ("conv_real", "conv_imag"):
        stft.add_module(part, nn.Conv1d(1, _FFT // 2 + 1, _FFT, bias=False))
    log_mel.register_parameter("melW", nn.Parameter(torch.zeros(_FFT // 2 + 1, num_bands)))
    return spectrogram, log_mel
