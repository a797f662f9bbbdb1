"""Small images of a clip: one frame, many on one sheet, the outline of its audio, and how it forms."""

from __future__ import annotations

import io
import math
from typing import Final

import numpy as np
from PIL import Image

THUMBNAIL_SIDE: Final = 320
SHEET_TILES: Final = 25
_TILE_SIDE: Final = 160
_WAVEFORM_SIZE: Final = (640, 96)
_WAVEFORM_COLOUR: Final = (70, 120, 200, 255)
_PREVIEW_SIDE: Final = 192


def thumbnail(frames: np.ndarray) -> bytes:
    """Return a frame as a JPEG file, at most `THUMBNAIL_SIDE` pixels wide and high.

    Args:
        frames: (F, H, W, 3) uint8; the one in the middle is shown.
    """
    image = Image.fromarray(frames[len(frames) // 2])
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _encoded(image, "JPEG", quality=85)


def spritesheet(frames: np.ndarray) -> bytes:
    """Return frames from the first to the last, row by row on one sheet, as a JPEG file.

    Args:
        frames: (F, H, W, 3) uint8; at most `SHEET_TILES` of them are shown, in a square.
    """
    count = min(SHEET_TILES, len(frames))
    shown = [frames[round(place)] for place in np.linspace(0, len(frames) - 1, count)]
    scale = min(1.0, _TILE_SIDE / max(frames.shape[1:3]))
    width, height = (max(1, round(side * scale)) for side in (frames.shape[2], frames.shape[1]))
    columns = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (columns * width, math.ceil(count / columns) * height))
    for place, frame in enumerate(shown):
        row, column = divmod(place, columns)
        sheet.paste(Image.fromarray(frame).resize((width, height)), (column * width, row * height))
    return _encoded(sheet, "JPEG", quality=85)


def waveform(samples: np.ndarray) -> bytes:
    """Return the outline of audio as a PNG file with a transparent ground.

    Args:
        samples: (channels, S) float32 in [-1, 1].
    """
    width, height = _WAVEFORM_SIZE
    drawn = np.zeros((height, width, 4), np.uint8)
    if samples.size:
        mono = np.clip(samples, -1, 1)
        edges = np.linspace(0, samples.shape[1], width + 1).astype(int)
        middle = (height - 1) / 2
        for column in range(width):
            part = mono[:, edges[column] : max(edges[column] + 1, edges[column + 1])]
            top = int(middle - middle * float(part.max(initial=0.0)))
            bottom = int(np.ceil(middle - middle * float(part.min(initial=0.0))))
            drawn[top : bottom + 1, column] = _WAVEFORM_COLOUR
    return _encoded(Image.fromarray(drawn), "PNG")


def preview(frames: np.ndarray, frame_rate: float) -> bytes:
    """Return a clip that forms as an animated WebP file.

    Args:
        frames: (F, H, W, 3) uint8, small.
        frame_rate: frames per second.
    """
    factor = max(1, _PREVIEW_SIDE // max(frames.shape[1:3]))
    size = (frames.shape[2] * factor, frames.shape[1] * factor)
    images = [Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in frames]
    still = {"save_all": True, "append_images": images[1:], "duration": round(1000 / frame_rate), "loop": 0}
    return _encoded(images[0], "WEBP", quality=70, method=0, **still)


def _encoded(image: Image.Image, name: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, name, **options)
    return written.getvalue()
