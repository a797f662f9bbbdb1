"""How well a video is composed and how free of faults it is: DOVER, for non-commercial use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.media.read import read_frames
from mova.scorers.base import Direction, Findings, Measure, Needs, Score, WeightsFile, score_each
from mova.scorers.clip_media import ClipMedia

if TYPE_CHECKING:
    from mova.scorers.networks.dover.network import DoverNetwork, DoverScores

DOVER: Final = WeightsFile("DOVER.pth", "VQAssessment/DOVER, release 0.1", "S-Lab 1.0, non-commercial")
SEED: Final = 0
"""Of what is drawn of each clip: frames, and where fragments lie."""
_HELD_BYTES: Final = 192 * 2**20


class DoverScorer:
    """The two scores of DOVER, each by its name, since two official files order them differently.

    Args:
        folder: with the file; None where there is none.
        seed: of what is drawn; the same for every clip.
    """

    name = "dover"
    measures = (
        Measure("dover_aesthetic", "", Direction.HIGHER, "DOVER: how well a video is composed, 0 to 1."),
        Measure("dover_technical", "", Direction.HIGHER, "DOVER: how free a video is of faults, 0 to 1."),
    )
    needs = Needs(frames=True, weights=(DOVER,))

    def __init__(self, folder: Path | None, seed: int = SEED) -> None:
        self._folder = folder
        self._seed = seed

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the scores of each clip; one of a single frame is looked at as if it stood still."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder / DOVER.name)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        found = dover_scores(clip, _network(self._folder / DOVER.name), self._seed)
        return Findings({"dover_aesthetic": Score.of(found.aesthetic), "dover_technical": Score.of(found.technical)})


def dover_scores(clip: ClipMedia, network: DoverNetwork, seed: int = SEED) -> DoverScores:
    """Return what a network says of a clip.

    Args:
        clip: with a frame or more.
        network: with weights.
        seed: of what is drawn.
    """
    import torch

    from mova.scorers.front_ends import dover_views as views
    from mova.scorers.networks.dover.network import fused
    from mova.scorers.published.networks import device_of

    device = device_of(network)
    generator = torch.Generator().manual_seed(seed)
    technical = views.technical_places(clip.num_frames, generator)
    aesthetic = views.aesthetic_places(clip.num_frames, generator)
    offsets: np.ndarray | None = None
    scores = []
    with torch.inference_mode():
        for group, places in enumerate(technical):
            frames = views.enlarged(frames_at(clip, places))
            if offsets is None:
                offsets = views.fragment_offsets(frames.shape[1:3], len(technical), generator)
            view = views.fragments(frames, offsets[..., group])
            scores.append(float(network.technical(views.as_clip(view).to(device)).mean()))
        whole = views.small_frames(frames_at(clip, aesthetic))
        composed = float(network.aesthetic(views.as_clip(whole).to(device)).mean())
    return fused(technical=float(np.mean(scores)), aesthetic=composed)


def frames_at(clip: ClipMedia, places: np.ndarray, held_bytes: int = _HELD_BYTES) -> np.ndarray:
    """Return frames of a clip by their numbers: (F, H, W, 3) uint8 in the order of `places`.

    Args:
        clip: to read, from the first to the last of them.
        places: (F,) numbers from 0.
        held_bytes: what may be held of the others at once.

    Raises:
        ReadError: the file cannot be read, or is shorter than it says.
    """
    height, width = clip.info.video.display_size
    found = np.empty((len(places), height, width, 3), np.uint8)
    at_once = max(1, held_bytes // (height * width * 3))
    end = int(places.max()) + 1
    for first in range(int(places.min()), end, at_once):
        count = min(at_once, end - first)
        here = (places >= first) & (places < first + count)
        if here.any():
            # In the middle of a frame's time no rounding can make it its neighbour.
            start_s = (first + 0.5) / clip.frame_rate if first else 0.0
            part = read_frames(clip.path, frame_rate=clip.frame_rate, num_frames=count, start_s=start_s)
            found[here] = part[places[here] - first]
    return found


@lru_cache(maxsize=1)
def _network(path: Path) -> DoverNetwork:
    from mova.scorers.published.networks import on_device

    return on_device(_read(path))


def _read(path: Path) -> DoverNetwork:
    """Return the network with its weights; nothing in the file is executed."""
    from mova.scorers.networks.dover.network import DoverNetwork
    from mova.scorers.published.networks import opened

    return opened(DoverNetwork, path)
