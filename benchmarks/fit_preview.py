"""Fits the preview of a model's video autoencoder: the linear map from latents to small images, and how near it comes.

    .venv/bin/python benchmarks/fit_preview.py --clips 60 --held-out 18 --write > preview.md

The clips are those of the toy world. What the map is to give is the decoded clip, scaled down: the frame in the middle
of those that a latent frame stands for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch.nn import functional

from mova.codecs.preview import Preview
from mova.codecs.video import decode_video, encode_video, frames_to_tensor
from mova.names import PREVIEW_FILE
from mova.pipeline.load import load_pipeline
from mova.toyworld import DEFAULT_KINDS, render, sample_scene, split_seed
from mova.weights.locate import find_model

# Keeps weights small, as a share of the rows: without it the map fits encoded clips by 0.1 to 0.5 dB better, and shows
# generated latents, which are less regular, by up to 3 dB worse.
RIDGE = 0.01


def latents_and_images(vae: AutoencoderKLWan, split: str, index: int, pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the latents (T, C, h, w) of a toy clip, and what the preview should be: (T, 3, p h, p w) in [-1, 1]."""
    scene = sample_scene(split_seed(split, index), kind=DEFAULT_KINDS[index % len(DEFAULT_KINDS)])
    with torch.no_grad():
        latents = encode_video(vae, frames_to_tensor(render(scene).clip.frames))
        frames = decode_video(vae, latents)[0].movedim(1, 0)
    stride, count = vae.config.scale_factor_temporal, latents.shape[2]
    middle = [0, *(stride * place - stride // 2 for place in range(1, count))]
    small = functional.interpolate(frames[middle], scale_factor=pixels / vae.config.scale_factor_spatial, mode="area")
    return latents[0].movedim(1, 0), small


def rows_of(latents: torch.Tensor, reach: int) -> torch.Tensor:
    """Return (T * h * w, C * k * k + 1): what is around each cell, and a one."""
    around = functional.unfold(functional.pad(latents, (reach,) * 4, mode="replicate"), 2 * reach + 1)
    rows = around.movedim(1, 2).flatten(0, 1).double()
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)


def targets_of(images: torch.Tensor, pixels: int) -> torch.Tensor:
    """Return (T * h * w, 3 * p * p): the pixels of each cell."""
    return functional.pixel_unshuffle(images, pixels).movedim(1, -1).flatten(0, 2).double()


def fit(pairs: list[tuple[torch.Tensor, torch.Tensor]], pixels: int, reach: int) -> Preview:
    """Return the map with the least squared error, and that of the first latent frame, which holds a single frame."""
    first = fit_one([(latents[:1], images[:1]) for latents, images in pairs], pixels, reach)
    return replace(fit_one([(latents[1:], images[1:]) for latents, images in pairs], pixels, reach), first=first)


def fit_one(pairs: list[tuple[torch.Tensor, torch.Tensor]], pixels: int, reach: int) -> Preview:
    """Return the map of some latent frames."""
    rows = [rows_of(latents, reach) for latents, _ in pairs]
    products = sum(own.T @ own for own in rows)
    wanted = sum(own.T @ targets_of(images, pixels) for own, (_, images) in zip(rows, pairs, strict=True))
    held_small = RIDGE * sum(map(len, rows)) * torch.eye(len(products), dtype=torch.float64)
    held_small[-1, -1] = 0
    found = torch.linalg.solve(products + held_small, wanted)
    channels = pairs[0][0].shape[1]
    weight = found[:-1].T.reshape(-1, channels, 2 * reach + 1, 2 * reach + 1).float()
    return Preview(weight, found[-1].float())


def decibels(preview: Preview, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> list[float]:
    """Return the PSNR of the previews of clips against what they should be, in 8-bit levels."""
    found = []
    for latents, images in pairs:
        wanted = images.add(1).mul(127.5).round().movedim(1, -1).numpy()
        error = np.square(preview(latents.movedim(0, 1)).astype(np.float64) - wanted).mean()
        found.append(float(10 * np.log10(255**2 / max(error, 1e-9))))
    return found


def milliseconds(preview: Preview, latents: torch.Tensor, repeats: int = 200) -> float:
    """Return the processor time of the preview of one latent frame."""
    begun = time.process_time()
    for _ in range(repeats):
        preview(latents)
    return 1000 * (time.process_time() - begun) / repeats / latents.shape[1]


def main() -> None:
    """Fit, measure, and write the map beside the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--held-out", type=int, default=18)
    parser.add_argument("--pixels", type=int, default=4, help="of the image along each side of a latent cell")
    parser.add_argument("--reach", type=int, default=1, help="cells around one that count for it")
    parser.add_argument("--write", action="store_true", help="put the map beside the model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(given.model)
    vae = load_pipeline(folder).video_vae
    learned = [latents_and_images(vae, "train", index, given.pixels) for index in range(given.clips)]
    held_out = [latents_and_images(vae, "heldout", index, given.pixels) for index in range(given.held_out)]
    rows = []
    for reach in sorted({0, given.reach}):
        preview = fit(learned, given.pixels, reach)
        found = decibels(preview, held_out)
        took = milliseconds(preview, held_out[0][0].movedim(0, 1))
        size = f"{2 * reach + 1} x {2 * reach + 1}"
        numbers = 2 * (preview.weight.numel() + len(preview.bias))
        rows.append(
            f"| {given.pixels} | {size} | {numbers} | {np.mean(found):.1f} dB | {min(found):.1f} dB | {took:.2f} |"
        )
    head = "| pixels per cell | cells that count | numbers | PSNR, mean | worst clip | ms a frame |"
    title = f"# Preview of {given.model}: {given.clips} toy clips to fit, {given.held_out} others to measure"
    sys.stdout.write("\n".join([title, "", head, "|---|---|---|---|---|---|", *rows, ""]))
    if given.write:
        made = fit(learned, given.pixels, given.reach)
        record = made.record() | {"psnr_db": round(float(np.mean(decibels(made, held_out))), 1)}
        (Path(folder) / PREVIEW_FILE).write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
