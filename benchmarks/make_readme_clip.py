"""Makes the moving image of the README: clips of mova-tiny, each with the spectrogram of its audio beside it.

    .venv/bin/python benchmarks/make_readme_clip.py

Scenes, seeds and settings are fixed, so it makes the same image again. White marks above a spectrogram are the times at
which a detector sees something happen in the frames alone: under each of them the audio begins anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import mova
from mova.toyworld import SCENES, first_frame, render, sample_scene, split_seed

KINDS = ("mallet", "duet")
INDEX = 7
SEED = 1
SCALE = 2
WIDTH, MARGIN, GAP = 400, 26, 8
WINDOW, HOP = 512, 64
TOP_HZ, FLOOR_DB = 4000, -62.0
BACKGROUND = (13, 17, 23)
# From silence to the loudest: dark blue, violet, red, orange, pale yellow.
COLOURS = np.array([(13, 17, 23), (59, 28, 110), (160, 44, 96), (236, 105, 62), (252, 200, 92), (255, 250, 215)])


def make_clip(
    pipeline: mova.MovaPipeline, kind: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32], int, list[float]]:
    """Return frames (F, H, W, 3), samples (S,), their rate, and the times in s at which something is seen."""
    scene = sample_scene(split_seed("heldout", INDEX), kind=kind)
    asked = render(scene, num_frames=1)
    made = pipeline(asked.caption, image=Image.fromarray(first_frame(asked.clip)), seed=SEED, output_type="np")
    frames = (made.frames[0] * 255).round().astype(np.uint8)
    seen = SCENES[kind].read(frames, made.frame_rate).events
    return frames, made.audio[0, 0], made.sample_rate, [event.time_s for event in seen]


def draw_spectrogram(samples: NDArray[np.float32], sample_rate: int, width: int, height: int) -> Image.Image:
    """Return the short-time spectrum in dB of the loudest, time from left to right, 0 to `TOP_HZ` upwards."""
    padded = np.pad(samples, WINDOW // 2)
    starts = np.arange(0, len(samples), HOP)
    pieces = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    magnitude = np.abs(np.fft.rfft(pieces, n=4 * WINDOW))[:, : int(TOP_HZ / sample_rate * 4 * WINDOW)]
    level = 20 * np.log10(np.maximum(magnitude / magnitude.max(), 1e-9))
    strength = np.clip(1 - level / FLOOR_DB, 0, 1).T[::-1]
    places = strength * (len(COLOURS) - 1)
    below = np.minimum(places.astype(int), len(COLOURS) - 2)
    mixed = COLOURS[below] + (places - below)[..., None] * (COLOURS[below + 1] - COLOURS[below])
    return Image.fromarray(mixed.round().astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)


def draw_row(
    frames: NDArray[np.uint8], samples: NDArray[np.float32], sample_rate: int, seen: list[float]
) -> list[Image.Image]:
    """Return one image for each frame: the frame, and the spectrogram with a line at the frame's time."""
    side = frames.shape[1] * SCALE
    font = ImageFont.load_default(size=13)
    duration_s = len(samples) / sample_rate
    spectrogram = draw_spectrogram(samples, sample_rate, WIDTH, side - 2 * MARGIN)
    board = Image.new("RGB", (side + GAP + WIDTH + GAP, side), BACKGROUND)
    board.paste(spectrogram, (side + GAP, MARGIN))
    draw = ImageDraw.Draw(board)
    for time_s in seen:
        x = side + GAP + round(time_s / duration_s * WIDTH)
        draw.polygon([(x - 5, MARGIN - 10), (x + 5, MARGIN - 10), (x, MARGIN - 2)], fill="white")
    draw.text((side + GAP + 2, 0), "seen", fill=(150, 160, 170), font=font)
    for second in np.arange(0, duration_s - 0.2, 0.5):
        x = side + GAP + second / duration_s * WIDTH
        draw.text((x, side - MARGIN + 4), f"{second:g} s", fill=(150, 160, 170), font=font)
    draw.text((board.width - GAP - 46, MARGIN + 2), f"{TOP_HZ // 1000} kHz", fill=(150, 160, 170), font=font)
    rows = []
    for index, frame in enumerate(frames):
        row = board.copy()
        row.paste(Image.fromarray(frame).resize((side, side), Image.Resampling.NEAREST), (0, 0))
        x = side + GAP + round(index / len(frames) * WIDTH)
        ImageDraw.Draw(row).line([(x, MARGIN), (x, side - MARGIN)], fill="white", width=2)
        rows.append(row)
    return rows


def stack(rows: list[Image.Image]) -> Image.Image:
    """Return rows of the same width below each other."""
    height = sum(row.height for row in rows) + GAP * (len(rows) - 1)
    whole = Image.new("RGB", (rows[0].width, height), BACKGROUND)
    for index, row in enumerate(rows):
        whole.paste(row, (0, index * (row.height + GAP)))
    return whole


def main() -> int:
    """Make the clips, draw them, and write the animation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/images/mova-tiny.webp"))
    parser.add_argument("--quality", type=int, default=60, help="of the WebP file, 0 to 100")
    options = parser.parse_args()
    pipeline = mova.MovaPipeline.from_pretrained("mova-tiny")
    columns = [draw_row(*make_clip(pipeline, kind)) for kind in KINDS]
    images = [stack(list(rows)) for rows in zip(*columns, strict=True)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    settings = {"duration": round(1000 / 24), "loop": 0, "quality": options.quality, "method": 6}
    images[0].save(options.output, save_all=True, append_images=images[1:], **settings)
    sys.stdout.write(f"{options.output}: {options.output.stat().st_size / 1000:.0f} kB, {images[0].size}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
