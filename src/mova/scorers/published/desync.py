"""DeSync: how far sound and video are apart, as Synchformer hears and sees it at the beginning and end of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.scorers.base import (
    Absence,
    Direction,
    Findings,
    Measure,
    Needs,
    Score,
    WeightsFile,
    all_absent,
    score_each,
)
from mova.scorers.clip_media import ClipMedia
from mova.scorers.published.clip_inputs import TAIL_S, audio_gap, num_steps, sampled_frames, stands_still
from mova.scorers.published.quirks import NO_QUIRKS, Quirks

if TYPE_CHECKING:
    import torch

    from mova.scorers.networks.synchformer.model import Synchformer
    from mova.scorers.networks.synchformer.sizes import SynchformerSizes

SYNCHFORMER: Final = WeightsFile("synchformer_24-01-04T16-39-21.pt", "v-iashin/Synchformer", "MIT (code)")
FRAME_RATE: Final = 25
SAMPLE_RATE: Final = 16_000
WINDOW: Final = 14
"""Segments that the head looks at together: 4.8 seconds."""
_AT_ONCE: Final = {"cuda": 14}
"""Segments that are looked at together, by the kind of the device; elsewhere two."""


class DesyncScorer:
    """Offset between sound and video in the first and in the last 4.8 seconds of a clip.

    The head chooses one of 21 offsets between -2 and 2 seconds. What lies between the two windows is not looked at.

    Args:
        folder: with the file; None where there is none.
        quirks: of the reference that are taken over.
        sizes: of the network: other than the published ones only in tests.
    """

    name = "synchformer"
    measures = (
        Measure(
            "desync",
            "s",
            Direction.LOWER,
            "Synchformer: how far sound and video are apart, mean of the first and the last 4.8 s.",
        ),
        Measure("desync_start", "s", Direction.LOWER, "Synchformer: how far they are apart in the first 4.8 s."),
        Measure("desync_end", "s", Direction.LOWER, "Synchformer: how far they are apart in the last 4.8 s."),
    )
    needs = Needs(frames=True, audio=True, weights=(SYNCHFORMER,))

    def __init__(self, folder: Path | None, quirks: Quirks = NO_QUIRKS, sizes: SynchformerSizes | None = None) -> None:
        self._folder = folder
        self._quirks = quirks
        self._sizes = sizes

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the offsets of each clip that lasts 4.8 seconds, moves and is not silent."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder / SYNCHFORMER.name, self._sizes)

    def _find(self, clip: ClipMedia) -> Findings:
        from mova.scorers.front_ends.image_crops import synchformer_frames

        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        duration_s = clip.duration_s - (TAIL_S if self._quirks.duration_minus_100_ms else 0.0)
        if num_common_segments(duration_s) < WINDOW:
            return self._absent(f"{duration_s:.2f} s are looked at, less than the 4.8 s of {WINDOW} segments")
        sound = clip.waveform(SAMPLE_RATE)[: num_steps(duration_s, SAMPLE_RATE)]
        if not sound.any():
            return self._absent("the sound is silent")
        gap = audio_gap(clip)
        if gap:
            return self._absent(gap)
        parts = sampled_frames(clip, FRAME_RATE, num_steps(duration_s, FRAME_RATE))
        frames = np.concatenate([synchformer_frames(part) for part in parts])
        if stands_still(frames):
            return self._absent("the video stands still")
        first, last = offsets_s(frames, sound, _network(self._folder / SYNCHFORMER.name, self._sizes))
        apart = {"desync": (abs(first) + abs(last)) / 2, "desync_start": abs(first), "desync_end": abs(last)}
        return Findings({name: Score.of(value) for name, value in apart.items()})

    def _absent(self, why: str) -> Findings:
        return all_absent(self.measures, Absence.NOT_APPLICABLE, why)


def num_common_segments(duration_s: float) -> int:
    """Return how many segments there are of both sound and video: 23 of 7.9 seconds, 24 of 8.04."""
    from mova.scorers.front_ends.image_crops import SEGMENT_FRAMES, SEGMENT_STEP_FRAMES
    from mova.scorers.front_ends.published_mels import SEGMENT_SAMPLES, SEGMENT_STEP, num_segments

    seen = num_segments(num_steps(duration_s, FRAME_RATE), SEGMENT_FRAMES, SEGMENT_STEP_FRAMES)
    return min(seen, num_segments(num_steps(duration_s, SAMPLE_RATE), SEGMENT_SAMPLES, SEGMENT_STEP))


def offsets_s(frames: np.ndarray, sound: np.ndarray, network: Synchformer) -> tuple[float, float]:
    """Return the likeliest offset of the first 14 segments and that of the last 14, in seconds.

    Args:
        frames: (F, 3, 224, 224) uint8 at 25 per second, of `front_ends.image_crops.synchformer_frames`.
        sound: (S,) in [-1, 1] at 16 kHz; both hold 14 segments or more.
        network: with its weights.
    """
    import torch

    from mova.scorers.front_ends.image_crops import SEGMENT_FRAMES, SEGMENT_STEP_FRAMES
    from mova.scorers.front_ends.published_mels import num_segments, synchformer_mels
    from mova.scorers.published.networks import device_of

    device = device_of(network)
    mels = synchformer_mels(sound)
    count = min(len(mels), num_segments(len(frames), SEGMENT_FRAMES, SEGMENT_STEP_FRAMES))
    starts = (0, count - WINDOW)
    wanted = sorted({start + index for start in starts for index in range(WINDOW)})
    with torch.inference_mode():
        seen: dict[int, torch.Tensor] = {}
        heard: dict[int, torch.Tensor] = {}
        at_once = _AT_ONCE.get(device.type, 2)
        for first in range(0, len(wanted), at_once):
            batch = wanted[first : first + at_once]
            segments = _segments_of(frames, batch).to(device)
            seen.update(zip(batch, network.video_features(segments)[0], strict=True))
            heard.update(zip(batch, network.audio_features(mels[None, batch].to(device))[0], strict=True))
        windows = [
            torch.stack([torch.stack([features[start + index] for index in range(WINDOW)]) for start in starts])
            for features in (seen, heard)
        ]
        classes = network.logits(*windows).argmax(dim=-1).tolist()
    grid = network.offsets_s()
    return float(grid[classes[0]]), float(grid[classes[1]])


def _segments_of(frames: np.ndarray, wanted: Sequence[int]) -> torch.Tensor:
    """Return some segments as numbers, (1, N, 16, 3, 224, 224): whole videos would take four times the memory."""
    import torch

    from mova.scorers.front_ends.image_crops import SEGMENT_FRAMES, SEGMENT_STEP_FRAMES, synchformer_segments

    starts = [SEGMENT_STEP_FRAMES * index for index in wanted]
    return torch.cat([synchformer_segments(frames[start : start + SEGMENT_FRAMES]) for start in starts])[None]


@lru_cache(maxsize=1)
def _network(path: Path, sizes: SynchformerSizes | None) -> Synchformer:
    from mova.scorers.published.networks import on_device

    return on_device(_read(path, sizes))


def _read(path: Path, sizes: SynchformerSizes | None) -> Synchformer:
    from mova.scorers.networks.synchformer.model import Synchformer
    from mova.scorers.published.networks import opened

    return opened(lambda: Synchformer(sizes), path)
