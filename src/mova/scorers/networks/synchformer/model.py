"""Synchformer as a whole: two extractors, and the head that compares 14 segments of video with 14 of sound.

Iashin et al., "Synchformer: Efficient Synchronization from Sparse Cues", 2024; v-iashin/Synchformer, the model trained
on AudioSet, 24-01-04T16-39-21.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError
from mova.scorers.networks.synchformer.audio import AudioExtractor
from mova.scorers.networks.synchformer.layers import heads_first, heads_last
from mova.scorers.networks.synchformer.sizes import SynchformerSizes
from mova.scorers.networks.synchformer.video import VideoExtractor

FURTHEST_S = 2.0
"""The first and the last class of the head, in seconds."""


class _Attention(nn.Module):
    """Attention of every token to every token."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.key = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (heads_first(part(x), self.heads) for part in (self.query, self.key, self.value))
        output: torch.Tensor = self.proj(heads_last(functional.scaled_dot_product_attention(q, k, v)))
        return output


class _Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(dim)
        self.ln2 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        output: torch.Tensor = x + self.mlp(self.ln2(x))
        return output


class _Places(nn.Module):
    """The learned table of places, under its published name."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, tokens, dim))


class _Head(nn.Module):
    """A transformer over a token for the offset, the video, a token between the two, and the sound."""

    def __init__(self, sizes: SynchformerSizes) -> None:
        super().__init__()
        dim = sizes.dim
        tokens = 2 + sizes.segments * (sizes.video_steps + sizes.mel_grid[1])
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, dim))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, dim))
        self.vis_in_lnorm = nn.LayerNorm(dim)
        self.aud_in_lnorm = nn.LayerNorm(dim)
        self.pos_emb_cfg = _Places(tokens, dim)
        self.blocks = nn.ModuleList(_Block(dim, sizes.head_heads) for _ in range(sizes.head_depth))
        self.ln_f = nn.LayerNorm(dim)
        self.off_head = nn.Linear(dim, sizes.classes)

    def forward(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        count = len(video)
        parts = [
            self.OFF_tok.expand(count, -1, -1),
            self.vis_in_lnorm(video),
            self.MOD_tok.expand(count, -1, -1),
            self.aud_in_lnorm(audio),
        ]
        x = torch.cat(parts, dim=1) + self.pos_emb_cfg.pos_emb
        for block in self.blocks:
            x = block(x)
        output: torch.Tensor = self.off_head(self.ln_f(x[:, 0]))
        return output


class Synchformer(nn.Module):
    """Both extractors and the head.

    Args:
        sizes: the published ones by default.
    """

    def __init__(self, sizes: SynchformerSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes or SynchformerSizes()
        self.vfeat_extractor = VideoExtractor(self.sizes)
        self.afeat_extractor = AudioExtractor(self.sizes)
        self.vproj = nn.Linear(self.sizes.dim, self.sizes.dim)
        self.aproj = nn.Linear(self.sizes.dim, self.sizes.dim)
        self.transformer = _Head(self.sizes)

    def video_features(self, segments: torch.Tensor) -> torch.Tensor:
        """Return (N, S, 8, dim) of segments of video (N, S, 16, 3, 224, 224) in [-1, 1]; numbers of published sizes."""
        of_each: torch.Tensor = self.vfeat_extractor(segments.flatten(0, 1))
        return _unflattened(of_each, segments)

    def audio_features(self, mels: torch.Tensor) -> torch.Tensor:
        """Return (N, S, 6, dim) of normalised log-mels of segments (N, S, 66, 128); numbers of published sizes."""
        of_each: torch.Tensor = self.afeat_extractor(mels.flatten(0, 1))
        return _unflattened(of_each, mels)

    def logits(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Return (N, classes) of features of as many segments as the head takes: (N, 14, 8, dim) and (N, 14, 6, dim).

        Raises:
            ConfigError: there are more segments or fewer.
        """
        wanted = self.sizes.segments
        for name, features in (("video", video), ("audio", audio)):
            if features.shape[1] != wanted:
                raise ConfigError(
                    f"Synchformer must be given {wanted} segments of {name} at a time, got {features.shape[1]}; "
                    f"nearest is {wanted}"
                )
        output: torch.Tensor = self.transformer(self.vproj(video.flatten(1, 2)), self.aproj(audio.flatten(1, 2)))
        return output

    def forward(self, segments: torch.Tensor, mels: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of segments of video and sound, as of the three methods."""
        return self.logits(self.video_features(segments), self.audio_features(mels))

    def offsets_s(self) -> torch.Tensor:
        """Return the offset that each class stands for, (classes,) float32 in seconds."""
        return torch.linspace(-FURTHEST_S, FURTHEST_S, self.sizes.classes)


def _unflattened(of_each: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """Return what was found in each segment, in clips and segments again."""
    return of_each.reshape(*segments.shape[:2], *of_each.shape[1:])
