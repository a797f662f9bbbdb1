"""Cuts between shots, by how much small frames change: the detectors of PySceneDetect."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Protocol

from mova.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from scenedetect import SceneDetector

WIDTH: Final = 256
"""Width in pixels of the small frames that the detectors are made for."""
# The detectors ask for a rate, and measure nothing by it: frames are counted.
_ANY_RATE: Final = 24.0
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


class _CountedShots:
    """Looks at frames in order and counts them, whatever their times are.

    Args:
        detector: of PySceneDetect.
    """

    width: int | None = WIDTH

    def __init__(self, detector: SceneDetector) -> None:
        from scenedetect import FrameTimecode

        self._time = FrameTimecode
        self._detector = detector
        self._count = 0
        self._cuts: list[int] = []

    def add(self, frame: np.ndarray) -> None:
        """See `ShotFinder`."""
        found = self._detector.process_frame(self._time(self._count, fps=_ANY_RATE), frame)
        self._cuts += [int(cut.frame_num) for cut in found]
        self._count += 1

    def cuts(self) -> list[int]:
        """See `ShotFinder`."""
        last = self._detector.post_process(self._time(max(0, self._count - 1), fps=_ANY_RATE))
        return sorted({*self._cuts, *(int(cut.frame_num) for cut in last)} - {0})


class AdaptiveShots(_CountedShots):
    """A cut changes the frame more than what moves beside it.

    The detector weighs hue as much as brightness. The hue of grey and of dark pixels is noise, which turns over at key
    frames and in fades: what it finds must stand out in the pixels themselves too.

    Args:
        threshold: how many times more a cut changes than the frames beside it.
        min_frames: frames between two cuts at least.

    Raises:
        MissingExtraError: PySceneDetect is not installed.
    """

    def __init__(self, threshold: float, min_frames: int) -> None:
        _check_installed()
        import cv2
        from scenedetect.detectors import AdaptiveDetector

        super().__init__(AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=min_frames))
        self._difference = cv2.absdiff
        self._previous: np.ndarray | None = None
        self._changes = array("f")

    def add(self, frame: np.ndarray) -> None:
        """See `ShotFinder`."""
        super().add(frame)
        self._changes.append(0.0 if self._previous is None else self._difference(self._previous, frame).mean())
        self._previous = frame

    def cuts(self) -> list[int]:
        """See `ShotFinder`."""
        return [cut for cut in super().cuts() if self._stands_out(cut)]

    def _stands_out(self, cut: int) -> bool:
        beside = [self._changes[cut + step] for step in _BESIDE if 0 < cut + step < len(self._changes)]
        return not beside or self._changes[cut] >= _STANDS_OUT * sum(beside) / len(beside)


class ContentShots(_CountedShots):
    """A cut changes hue, saturation and brightness of the frame by more than a fixed amount.

    Args:
        threshold: mean change of the three, in 0..255.
        min_frames: frames between two cuts at least.

    Raises:
        MissingExtraError: PySceneDetect is not installed.
    """

    def __init__(self, threshold: float = 27.0, min_frames: int = 15) -> None:
        _check_installed()
        from scenedetect.detectors import ContentDetector

        super().__init__(ContentDetector(threshold=threshold, min_scene_len=min_frames))


def _check_installed() -> None:
    try:
        import cv2
        import scenedetect  # noqa: F401
    except ImportError:
        raise MissingExtraError("scenedetect-headless", "curate") from None
    cv2.setNumThreads(1)
