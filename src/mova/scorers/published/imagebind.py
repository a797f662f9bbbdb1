"""IB-Score: how near what is seen and what is heard are in ImageBind's space. The weights are non-commercial."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.scorers.base import (
    Absence,
    Direction,
    EmbeddingSpace,
    Findings,
    Measure,
    Needs,
    Score,
    WeightsFile,
    all_absent,
    score_each,
)
from mova.scorers.clip_media import ClipMedia
from mova.scorers.front_ends.clip_starts import CLIP_S, SAMPLE_RATE, Spacing
from mova.scorers.published.clip_inputs import TAIL_S, audio_gap, num_steps, sampled_frames
from mova.scorers.published.quirks import NO_QUIRKS, Quirks

if TYPE_CHECKING:
    from mova.scorers.networks.imagebind.model import ImageBind, ImageBindSizes

IMAGEBIND: Final = WeightsFile("imagebind_huge.pth", "facebookresearch/ImageBind", "CC-BY-NC-SA-4.0, non-commercial")
FRAME_RATE: Final = 0.5
_NAME: Final = "imagebind"


class ImageBindScorer:
    """Cosine between the mean embedding of frames, one each two seconds, and that of three clips of the sound.

    Args:
        folder: with the file; None where there is none.
        quirks: of the reference that are taken over.
        spacing: of the three clips of the sound, which releases of pytorchvideo place differently.
        sizes: of the network: other than the published ones only in tests.
    """

    name = _NAME
    measures = (
        Measure(_NAME, "", Direction.HIGHER, "ImageBind: cosine between what is seen and what is heard, -1 to 1."),
    )
    needs = Needs(frames=True, audio=True, weights=(IMAGEBIND,))

    def __init__(
        self,
        folder: Path | None,
        quirks: Quirks = NO_QUIRKS,
        spacing: Spacing = Spacing.THIRDS,
        sizes: ImageBindSizes | None = None,
    ) -> None:
        self._folder = folder
        self._quirks = quirks
        self._spacing = spacing
        self._sizes = sizes

    @property
    def spaces(self) -> tuple[EmbeddingSpace, ...]:
        """One for what is seen and one for what is heard; both are the same space."""
        width = 1024 if self._sizes is None else self._sizes.out_dim
        return (
            EmbeddingSpace("imagebind_video", width, _NAME, "Clips that look alike to ImageBind."),
            EmbeddingSpace("imagebind_audio", width, _NAME, "Clips that sound alike to ImageBind."),
        )

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the cosine of each clip of two seconds or more whose first channel is not silent."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder / IMAGEBIND.name, self._sizes)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        duration_s = clip.duration_s - (TAIL_S if self._quirks.duration_minus_100_ms else 0.0)
        channels = clip.channels(SAMPLE_RATE)
        if duration_s < CLIP_S or channels.shape[1] < CLIP_S * SAMPLE_RATE:
            return self._absent(f"{duration_s:.2f} s are looked at, less than the {CLIP_S} s of a clip of sound")
        if not channels[0].any():
            whose = "first channel, the only one that ImageBind hears," if channels.any() else "sound"
            return self._absent(f"the {whose} is silent")
        gap = audio_gap(clip)
        if gap:
            return self._absent(gap)
        count = max(1, num_steps(duration_s, FRAME_RATE))
        frames = np.concatenate(list(sampled_frames(clip, FRAME_RATE, count)))
        network = _network(self._folder / IMAGEBIND.name, self._sizes)
        video, audio = video_embedding(frames, network), audio_embedding(channels, network, self._spacing)
        lengths = float(np.linalg.norm(video.astype(np.float64)) * np.linalg.norm(audio.astype(np.float64)))
        cosine = float(video.astype(np.float64) @ audio.astype(np.float64)) / lengths if lengths else float("nan")
        return Findings({_NAME: Score.of(cosine)}, embeddings={"imagebind_video": video, "imagebind_audio": audio})

    def _absent(self, why: str) -> Findings:
        return all_absent(self.measures, Absence.NOT_APPLICABLE, why)


def video_embedding(frames: np.ndarray, network: ImageBind) -> np.ndarray:
    """Return the mean of unit vectors of three crops of each pair of neighbours: (1024,) float32.

    Args:
        frames: (F, H, W, 3) uint8, one each two seconds; a single one is paired with itself.
        network: with its weights.
    """
    import torch

    from mova.scorers.front_ends.image_crops import imagebind_crops, neighbour_pairs
    from mova.scorers.published.networks import device_of

    pairs = neighbour_pairs(imagebind_crops(frames)).to(device_of(network))
    with torch.inference_mode():
        # Three crops of one pair at a time: whole videos may be long.
        found = torch.cat([network.video_embeddings(some) for some in pairs.split(3)])
        return np.asarray(found.mean(dim=0).float().cpu().numpy())


def audio_embedding(channels: np.ndarray, network: ImageBind, spacing: Spacing = Spacing.THIRDS) -> np.ndarray:
    """Return the mean of the vectors of three clips of two seconds: (1024,) float32.

    Args:
        channels: (channels, S) in [-1, 1] at 16 kHz, two seconds or more.
        network: with its weights.
        spacing: of the three clips.
    """
    import torch

    from mova.scorers.front_ends.fbank import imagebind_mels
    from mova.scorers.published.networks import device_of

    mels = imagebind_mels(channels, spacing)
    with torch.inference_mode():
        return np.asarray(network.audio_embeddings(mels.to(device_of(network))).mean(dim=0).float().cpu().numpy())


@lru_cache(maxsize=1)
def _network(path: Path, sizes: ImageBindSizes | None) -> ImageBind:
    from mova.scorers.published.networks import on_device

    return on_device(_read(path, sizes))


def _read(path: Path, sizes: ImageBindSizes | None) -> ImageBind:
    from mova.scorers.networks.imagebind.model import OTHER_MODALITIES, ImageBind
    from mova.scorers.published.networks import opened

    return opened(lambda: ImageBind(sizes), path, ignored=OTHER_MODALITIES)
