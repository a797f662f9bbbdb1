"""Sizes of a Synchformer: the published ones by default, small ones for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SynchformerSizes:
    """What may differ between networks of this kind.

    Attributes:
        dim: width of tokens, of both extractors and of the head.
        depth: blocks of each extractor.
        heads: of attention in the extractors.
        image: pixels of a side of a square frame, a multiple of `patch`.
        frames: of a segment, an even number: a token spans two.
        patch: pixels of a side of a patch of a frame, cells of a side of one of the mel.
        mel_bands: of the sound.
        mel_steps: of time, of a segment.
        mel_stride: cells between patches of the mel.
        segments: that the head takes, neither more nor fewer.
        head_depth: blocks of the head.
        head_heads: of attention in the head.
        classes: offsets that the head chooses from.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    image: int = 224
    frames: int = 16
    patch: int = 16
    mel_bands: int = 128
    mel_steps: int = 66
    mel_stride: int = 10
    segments: int = 14
    head_depth: int = 3
    head_heads: int = 8
    classes: int = 21

    @property
    def places(self) -> int:
        """Patches of one frame."""
        return (self.image // self.patch) ** 2

    @property
    def video_steps(self) -> int:
        """Features of one segment of video."""
        return self.frames // 2

    @property
    def mel_grid(self) -> tuple[int, int]:
        """Patches of one mel: over the bands, over time, which is the number of features of a segment of sound."""
        across, along = ((size - self.patch) // self.mel_stride + 1 for size in (self.mel_bands, self.mel_steps))
        return across, along
