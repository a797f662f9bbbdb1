"""SyncNet v2: mouths of five frames and 0.2 s of speech into one space, where what belongs together lies near.

Chung and Zisserman, Out of time: automated lip sync in the wild, 2016. Names of the tensors as class S of
joonson/syncnet_python (commit 6efbb1c, MIT) stores them.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

WINDOW_FRAMES: Final = 5
"""Frames of a window, at 25 per second."""
WINDOW_STEPS: Final = 20
"""Columns of coefficients of a window, at 100 per second."""
COEFFICIENTS: Final = 13
SIDE: Final = 224
"""Height and width of a face in pixels."""
WIDTH: Final = 1024
"""Numbers of an embedding."""
_HIDDEN: Final = 512


def _audio_layer(
    inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3), padding: int = 1
) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _video_layer(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int = 1, padding: int = 0
) -> tuple[nn.Module, ...]:
    # Kernels span several frames in the first layer only; none strides or pads over time.
    convolution = nn.Conv3d(inputs, outputs, kernel, stride=(1, stride, stride), padding=(0, padding, padding))
    return convolution, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)


def _embedding() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(_HIDDEN, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU(inplace=True), nn.Linear(_HIDDEN, WIDTH)
    )


class SyncNet(nn.Module):
    """Two trunks of convolutions, each with two dense layers behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_audio_layer(1, 64),
            # Changes nothing; it keeps the numbers of the layers that follow.
            nn.MaxPool2d((1, 1), stride=(1, 1)),
            *_audio_layer(64, 192),
            nn.MaxPool2d((3, 3), stride=(1, 2)),
            *_audio_layer(192, 384),
            *_audio_layer(384, 256),
            *_audio_layer(256, 256),
            nn.MaxPool2d((3, 3), stride=(2, 2)),
            *_audio_layer(256, _HIDDEN, (5, 4), padding=0),
        )
        self.netfcaud = _embedding()
        self.netfclip = _embedding()
        self.netcnnlip = nn.Sequential(
            *_video_layer(3, 96, (WINDOW_FRAMES, 7, 7), stride=2),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_video_layer(96, 256, (1, 5, 5), stride=2, padding=1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_video_layer(256, 256, (1, 3, 3), padding=1),
            *_video_layer(256, 256, (1, 3, 3), padding=1),
            *_video_layer(256, 256, (1, 3, 3), padding=1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_video_layer(256, _HIDDEN, (1, 6, 6)),
        )

    def forward(self, frames: torch.Tensor, coefficients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embeddings of both: see `forward_lip` and `forward_aud`."""
        return self.forward_lip(frames), self.forward_aud(coefficients)

    def forward_aud(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return embeddings (N, 1024) of speech.

        Args:
            coefficients: (N, 1, 13, 20) float32, `front_ends.mfcc` of 0.2 s, time last.
        """
        found: torch.Tensor = self.netfcaud(self.netcnnaud(coefficients).flatten(1))
        return found

    def forward_lip(self, frames: torch.Tensor) -> torch.Tensor:
        """Return embeddings (N, 1024) of faces.

        Args:
            frames: (N, 3, 5, 224, 224) float32 in 0..255, channels in the order blue, green, red.
        """
        found: torch.Tensor = self.netfclip(self.forward_lipfeat(frames))
        return found

    def forward_lipfeat(self, frames: torch.Tensor) -> torch.Tensor:
        """Return what the trunk sees in faces, before the dense layers: (N, 512); arguments as `forward_lip`."""
        found: torch.Tensor = self.netcnnlip(frames)
        return found.flatten(1)

    def lip_windows(self, frames: torch.Tensor) -> torch.Tensor:
        """Return embeddings (F - 4, 1024) of all windows of five frames that follow each other.

        Equal to `forward_lip` of each window; frames are held once and not five times.

        Args:
            frames: (3, F, 224, 224) as in `forward_lip`, F at least 5.
        """
        seen = self.netcnnlip(frames[None])[0, :, :, 0, 0]
        found: torch.Tensor = self.netfclip(seen.transpose(0, 1))
        return found
