"""A face that detectors find, without a photograph."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def drawn_face(
    radius: int = 70, height: int = 360, width: int = 640, place: tuple[int, int] = (320, 180)
) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 with a face: hair, skin, eyes with brows, nose and mouth."""
    image = Image.new("RGB", (width, height), (120, 140, 160))
    draw = ImageDraw.Draw(image)
    x, y = place

    def oval(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        draw.ellipse((x + left * radius, y + top * radius, x + right * radius, y + bottom * radius), fill=colour)

    def stroke(*ends: float, thickness: float, colour: tuple[int, int, int]) -> None:
        left, top, right, bottom = ends
        line = (x + left * radius, y + top * radius, x + right * radius, y + bottom * radius)
        draw.line(line, fill=colour, width=max(1, int(thickness * radius)))

    oval(-1.05, -1.5, 1.05, 0.6, (60, 40, 25))
    oval(-1.0, -1.3, 1.0, 1.3, (224, 180, 150))
    for side in (-0.42, 0.42):
        oval(side - 0.2, -0.32, side + 0.2, -0.12, (250, 250, 250))
        oval(side - 0.09, -0.31, side + 0.09, -0.13, (50, 30, 20))
        stroke(side - 0.26, -0.45, side + 0.26, -0.47, thickness=0.09, colour=(60, 40, 25))
    stroke(0, -0.15, -0.1, 0.3, thickness=0.08, colour=(190, 140, 115))
    stroke(-0.14, 0.34, 0.14, 0.34, thickness=0.07, colour=(150, 100, 85))
    oval(-0.35, 0.55, 0.35, 0.78, (175, 70, 70))
    stroke(-0.35, 0.66, 0.35, 0.66, thickness=0.03, colour=(110, 40, 40))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius / 40)))
