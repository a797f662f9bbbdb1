"""What the towers learn from: encoded clips as batches, and where batches come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from mova.data.known import FrameTask


@dataclass(frozen=True)
class LatentBatch:
    """B encoded clips of one size, on the device that computes.

    Attributes:
        keys: names of the clips, for messages.
        bucket: bucket that all of the clips are in.
        video: (B, C, T, h, w) normalised; zeros where a clip has no video.
        condition: (B, C, T, h, w) normalised latents of the known frames.
        mask: (B, 4, T) of the known frames, 0 or 1.
        audio: (B, C, A); zeros where a clip has no audio.
        prompts: (B, P, D).
        video_counted: (B, T) 0 or 1: latent frames of the clip itself; 0 past its end, or where it has no video.
        audio_counted: (B, A) 0 or 1, likewise.
    """

    keys: tuple[str, ...]
    bucket: int
    video: torch.Tensor
    condition: torch.Tensor
    mask: torch.Tensor
    audio: torch.Tensor
    prompts: torch.Tensor
    video_counted: torch.Tensor
    audio_counted: torch.Tensor

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class ClipFacts:
    """What is known of a clip before it is encoded.

    Attributes:
        key: its name, for messages.
        bucket: clips of one bucket have one size and can share a batch.
        has_video, has_audio: whether it has video, audio.
        content: hash of what is seen and heard, wherever it comes from.
        caption: text of the clip.
    """

    key: str
    bucket: int
    has_video: bool = True
    has_audio: bool = True
    content: str = ""
    caption: str = ""


class LatentSource(Protocol):
    """Encoded clips by index: from a cache, or encoded when asked for.

    Attributes:
        facts: facts of every clip.
        frame_rate: frames per second of all of them.
        null_prompt: (P, D) embedding of the empty text.
    """

    @property
    def facts(self) -> Sequence[ClipFacts]:
        """See above."""

    frame_rate: float
    null_prompt: torch.Tensor

    def batch(self, indices: Sequence[int], step: int = 0, tasks: Sequence[FrameTask | None] = ()) -> LatentBatch:
        """Return clips of one bucket, float32.

        Args:
            indices: indices of the clips.
            step: optimiser steps done; a source that encodes when asked draws new random starts from it.
            tasks: of each clip, for which task its frames are known; None, or nothing for all, is the ordinary one.

        Raises:
            DataError: a clip that cannot be read, or too many of them.
        """

    def white_condition(self, bucket: int) -> torch.Tensor:
        """Return (C, T, h, w), the condition of a plain white first frame at the size of a bucket."""
