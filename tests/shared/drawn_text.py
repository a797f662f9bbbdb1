"""Frames with text in them."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def drawn(*lines):
    """Return a frame (360, 640, 3) uint8 with lines of white text."""
    image = Image.new("RGB", (640, 360), (20, 40, 90))
    for row, text in enumerate(lines):
        ImageDraw.Draw(image).text((60, 60 + 90 * row), text, fill=(255, 255, 255), font=ImageFont.load_default(56))
    return np.asarray(image)
