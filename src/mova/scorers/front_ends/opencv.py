"""Images of another size by OpenCV, to the last bit as the published pipelines get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    """Return an image (h, w, 3) uint8 of (H, W, 3) uint8, each side times a factor, to the nearest pixel.

    Interpolated linearly between two pixels in each direction, also where it becomes smaller.

    Args:
        image: to be scaled.
        factor: above 0. An image of which a side would have no pixel left comes back without pixels.

    Raises:
        ImportError: OpenCV is not installed.
    """
    cv2 = _opencv()
    if min(round(side * factor) for side in image.shape[:2]) < 1:
        return np.zeros((0, 0, 3), np.uint8)
    return np.asarray(cv2.resize(image, (0, 0), fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image of `size` (height, width), interpolated as in `scaled`.

    Args:
        image: (H, W, 3) uint8 with at least one pixel.
        size: of the result, in pixels.

    Raises:
        ImportError: OpenCV is not installed.
    """
    cv2 = _opencv()
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))


def _opencv() -> ModuleType:
    import cv2

    # Processes, not threads, share the cores.
    cv2.setNumThreads(1)
    module: ModuleType = cv2
    return module
