"""The towers of ImageBind for frames and for sounds.

Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", 2023; facebookresearch/ImageBind, imagebind_huge. The
published file holds four modalities more, which are left out by their names. CC-BY-NC-SA-4.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from mova.scorers.networks.imagebind.layers import EPS, FirstToken, Scale, Stem, Tokens, Trunk, UnitLength

OTHER_MODALITIES: Final = tuple(
    f"modality_{part}.{modality}."
    for part in ("preprocessors", "trunks", "heads", "postprocessors")
    for modality in ("text", "depth", "thermal", "imu")
)
"""Beginnings of the names in the published file that are not read."""


@dataclass(frozen=True)
class ImageBindSizes:
    """What may differ between networks of this kind: the published sizes by default, small ones for tests.

    Attributes:
        out_dim: numbers of an embedding.
        vision_dim: width of tokens of frames.
        vision_depth: blocks for frames.
        vision_heads: of attention.
        image: pixels of a side of a square frame, a multiple of `image_patch`.
        image_patch: pixels of a side of a patch; a token spans two frames.
        audio_dim: width of tokens of sounds.
        audio_depth: blocks for sounds.
        audio_heads: of attention.
        mel_bands: of a sound.
        mel_steps: of time.
        mel_patch: cells of a side of a patch.
        mel_stride: cells between patches.
    """

    out_dim: int = 1024
    vision_dim: int = 1280
    vision_depth: int = 32
    vision_heads: int = 16
    image: int = 224
    image_patch: int = 14
    audio_dim: int = 768
    audio_depth: int = 12
    audio_heads: int = 12
    mel_bands: int = 128
    mel_steps: int = 204
    mel_patch: int = 16
    mel_stride: int = 10

    @property
    def image_tokens(self) -> int:
        """Patches of a pair of frames."""
        return (self.image // self.image_patch) ** 2

    @property
    def mel_tokens(self) -> int:
        """Patches of a sound."""
        bands, steps = ((size - self.mel_patch) // self.mel_stride + 1 for size in (self.mel_bands, self.mel_steps))
        return bands * steps


class ImageBind(nn.Module):
    """Both towers.

    Args:
        sizes: the published ones by default.
    """

    def __init__(self, sizes: ImageBindSizes | None = None) -> None:
        super().__init__()
        own = self.sizes = sizes or ImageBindSizes()
        patch = (2, own.image_patch, own.image_patch)
        # Place 0 of the published sequence doubles single images.
        frames = nn.Sequential(nn.Identity(), nn.Conv3d(3, own.vision_dim, patch, patch, bias=False))
        mels = nn.Conv2d(1, own.audio_dim, own.mel_patch, own.mel_stride, bias=False)
        self.modality_preprocessors = nn.ModuleDict(
            {
                "vision": Tokens(Stem(frames, None), own.image_tokens, own.vision_dim),
                "audio": Tokens(Stem(mels, nn.LayerNorm(own.audio_dim)), own.mel_tokens, own.audio_dim),
            }
        )
        self.modality_trunks = nn.ModuleDict(
            {
                "vision": Trunk(own.vision_dim, own.vision_heads, own.vision_depth, has_norm=True, has_extra_row=False),
                "audio": Trunk(own.audio_dim, own.audio_heads, own.audio_depth, has_norm=False, has_extra_row=True),
            }
        )
        self.modality_heads = nn.ModuleDict(
            {"vision": _head(own.vision_dim, own.out_dim), "audio": _head(own.audio_dim, own.out_dim)}
        )
        self.modality_postprocessors = nn.ModuleDict(
            {"vision": UnitLength(), "audio": nn.Sequential(UnitLength(), Scale())}
        )

    def video_embeddings(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return (N, 1024) unit vectors of pairs of frames.

        Args:
            pairs: (N, 2, 3, 224, 224), normalised as CLIP does; one image is given twice.
        """
        return self._embed("vision", pairs.transpose(1, 2))

    def audio_embeddings(self, mels: torch.Tensor) -> torch.Tensor:
        """Return (N, 1024), each as long as the stored scale says, of normalised log-mels (N, 128, 204)."""
        return self._embed("audio", mels.unsqueeze(1))

    def forward(self, pairs: torch.Tensor, mels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embeddings of both, as of the two methods."""
        return self.video_embeddings(pairs), self.audio_embeddings(mels)

    def _embed(self, modality: str, x: torch.Tensor) -> torch.Tensor:
        for part in (
            self.modality_preprocessors,
            self.modality_trunks,
            self.modality_heads,
            self.modality_postprocessors,
        ):
            x = part[modality](x)
        return x


def _head(dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim, EPS), FirstToken(), nn.Linear(dim, out_dim, bias=False))
