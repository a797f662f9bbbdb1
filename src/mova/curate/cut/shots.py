"""Cuts between shots, by how much small frames change: PySceneDetect's detector that compares with the neighbours."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol

from mova.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from scenedetect.detectors import AdaptiveDetector

# The detector asks for a rate, and measures nothing by it: frames are counted.
_ANY_RATE = 24.0
# A cut changes the pixels by this many times more than they change in the frames beside it, of which there are these.
_STANDS_OUT, _BESIDE = 2.0, (-2, -1, 1, 2)


class ShotFinder(Protocol):
    """Looks at frames in order and says where shots begin."""

    @property
    def width(self) -> int | None:
        """Width of the small frames that it wants."""

    def add(self, frame: np.ndarray) -> None:
        """Look at the next frame: (h, w, 3) uint8 BGR."""

    def cuts(self) -> list[int]:
        """Return the number of the first frame of each shot but the first, after the last frame."""


class AdaptiveShots:
    """A cut changes the frame more than what moves beside it. Counts frames, whatever their times are.

    The detector weighs hue as much as brightness. The hue of grey and of dark pixels is noise, which turns over at key
    frames and in fades: what it finds must stand out in the pixels themselves too.

    Args:
        threshold: how many times more a cut changes than the frames beside it.
        min_frames: frames between two cuts at least.

    Raises:
        MissingExtraError: PySceneDetect is not installed.
    """

    width: int | None = 256

    def __init__(self, threshold: float, min_frames: int) -> None:
        try:
            import cv2
            from scenedetect import FrameTimecode
            from scenedetect.detectors import AdaptiveDetector
        except ImportError:
            raise MissingExtraError("scenedetect-headless", "curate") from None
        cv2.setNumThreads(1)
        self._difference = cv2.absdiff
        self._time = FrameTimecode
        self._detector: AdaptiveDetector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=min_frames)
        self._count = 0
        self._cuts: list[int] = []
        self._previous: np.ndarray | None = None
        self._changes = array("f")

    def add(self, frame: np.ndarray) -> None:
        """See `ShotFinder`."""
        found = self._detector.process_frame(self._time(self._count, fps=_ANY_RATE), frame)
        self._cuts += [int(cut.frame_num) for cut in found]
        self._count += 1
        self._changes.append(0.0 if self._previous is None else self._difference(self._previous, frame).mean())
        self._previous = frame

    def cuts(self) -> list[int]:
        """See `ShotFinder`."""
        last = self._detector.post_process(self._time(max(0, self._count - 1), fps=_ANY_RATE))
        found = {*self._cuts, *(int(cut.frame_num) for cut in last)} - {0}
        return sorted(cut for cut in found if self._stands_out(cut))

    def _stands_out(self, cut: int) -> bool:
        beside = [self._changes[cut + step] for step in _BESIDE if 0 < cut + step < self._count]
        return not beside or self._changes[cut] >= _STANDS_OUT * sum(beside) / len(beside)
