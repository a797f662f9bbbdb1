"""How much of held-out toy clips survives the autoencoders of a model: picture, colours, events, loudness.

    .venv/bin/python benchmarks/bench_autoencoders.py --clips 128 > benchmarks/results/autoencoders_<model>_<yyyymm>.md

Beside each figure stands the bound that the project asks of its shipped model.
"""

from __future__ import annotations

import argparse
import colorsys
import datetime
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch

from mova.codecs.audio import decode_audio, encode_audio
from mova.codecs.video import decode_video, encode_video, frames_to_tensor, tensor_to_frames
from mova.pipeline.load import load_pipeline
from mova.toyworld import DEFAULT_KINDS, RenderedClip, render, sample_scene, split_seed
from mova.toyworld.scenes.ball import BallScene
from mova.toyworld.score import count_pairs, score_clip

BOX_MARGIN = 3
# How far a sound may move; the beginning of a voice is softer than a knock.
TOLERANCE_S = {"events": 0.010, "voices": 0.020}
MOVING = 20  # levels of 255 by which a pixel differs from the clip's median


def decibels(mean_square: float) -> float:
    """PSNR of 8-bit levels."""
    return float(10 * np.log10(255**2 / max(mean_square, 1e-9)))


def box_mask(frames: np.ndarray) -> np.ndarray:
    """Mark the bounding box of what moves in each frame, with a margin: (F, H, W) bool."""
    moving = np.abs(frames.astype(np.int16) - np.median(frames, axis=0).astype(np.int16)).max(-1) > MOVING
    mask = np.zeros_like(moving)
    for index, frame in enumerate(moving):
        rows, columns = np.flatnonzero(frame.any(1)), np.flatnonzero(frame.any(0))
        if len(rows):
            top, left = max(rows[0] - BOX_MARGIN, 0), max(columns[0] - BOX_MARGIN, 0)
            mask[index, top : rows[-1] + BOX_MARGIN + 1, left : columns[-1] + BOX_MARGIN + 1] = True
    return mask


def hue_error(clip: RenderedClip, frames: np.ndarray) -> float | None:
    """Median over frames of the ball's change of hue in degrees; None for other scenes."""
    if clip.scene.kind != BallScene.kind:
        return None
    before, after = (BallScene.discs(pictures)[0].rgb for pictures in (clip.clip.frames, frames))
    hues = [[colorsys.rgb_to_hsv(*(rgb / 255))[0] for rgb in track] for track in (before, after)]
    turns = np.abs(np.subtract(*hues))
    return float(360 * np.median(np.minimum(turns, 1 - turns)))


def family(clip: RenderedClip) -> str:
    """Return which of the tolerances counts for a clip's sounds."""
    return "events" if clip.events[0].end_s is None else "voices"


@dataclass
class Heard:
    """What is heard of the events of clips: all, lost, and added."""

    events: int = 0
    lost: int = 0
    added: int = 0

    def add(self, rendered: RenderedClip, heard_s: Sequence[float]) -> None:
        """Count a clip."""
        tolerance_s = TOLERANCE_S[family(rendered)]
        found = count_pairs([event.time_s for event in rendered.events], heard_s, tolerance_s)
        self.events += found.seen
        self.lost += found.seen - found.seen_matched
        self.added += found.heard - found.heard_matched

    def rows(self, words: str) -> list[tuple[str, str, str]]:
        """Return rows of figure, value, bound."""
        if not self.events:
            return []
        lost = f"{self.lost} of {self.events} ({100 * self.lost / self.events:.2f} %)"
        return [
            (f"{words} lost within {1000 * TOLERANCE_S[words]:.0f} ms", lost, "<= 1 %"),
            (f"{words} added", f"{self.added}", "-"),
        ]


def psnr_rows(words: str, known: dict[str, list[float]], bound: str) -> list[tuple[str, str, str]]:
    """Return one row for all clips and one for each kind of scene."""
    every = [value for values in known.values() for value in values]
    rows = [(words, f"{np.mean(every):.1f} dB (worst clip {min(every):.1f})", bound)]
    rows += [
        (f"- {kind}", f"{np.mean(values):.1f} dB (worst {min(values):.1f})", bound) for kind, values in known.items()
    ]
    return rows


def measure(model: str, num_clips: int) -> list[tuple[str, str, str]]:
    """Send clips through both autoencoders; return rows of figure, value, bound."""
    pipeline = load_pipeline(model)
    psnr: dict[str, list[float]] = defaultdict(list)
    box_psnr: dict[str, list[float]] = defaultdict(list)
    hues: list[float | None] = []
    heard: dict[str, Heard] = {words: Heard() for words in TOLERANCE_S}
    levels: dict[str, list[float]] = defaultdict(list)
    for index in range(num_clips):
        rendered = render(sample_scene(split_seed("heldout", index), kind=DEFAULT_KINDS[index % len(DEFAULT_KINDS)]))
        kind, clip = rendered.scene.kind, rendered.clip
        with torch.no_grad():
            latents = encode_video(pipeline.video_vae, frames_to_tensor(clip.frames))
            frames = tensor_to_frames(decode_video(pipeline.video_vae, latents))[0]
            waveform = torch.from_numpy(clip.waveform)[None]
            sound = decode_audio(
                pipeline.audio_vae, encode_audio(pipeline.audio_vae, waveform), num_samples=waveform.shape[-1]
            )[0].numpy()
        error = (frames.astype(np.float32) - clip.frames).__pow__(2).mean(-1)
        psnr[kind].append(decibels(error.mean()))
        box_psnr[kind].append(decibels(error[box_mask(clip.frames)].mean()))
        hues.append(hue_error(rendered, frames))
        score = score_clip(rendered.scene, replace(clip, waveform=sound))
        heard[family(rendered)].add(rendered, score.heard_s)
        levels[rendered.events[0].timbre].append(10 * np.log10((sound**2).sum() / (clip.waveform**2).sum()))
    known_hues = [hue for hue in hues if hue is not None]
    return [
        *psnr_rows("PSNR over the frame, mean", psnr, ">= 32 dB"),
        *psnr_rows("PSNR in the box of what moves, mean", box_psnr, ">= 26 dB"),
        ("change of the ball's hue, mean", f"{np.mean(known_hues):.1f} degrees (worst {max(known_hues):.1f})", "kept"),
        *(row for words, kept in heard.items() for row in kept.rows(words)),
        *(
            (
                f"loudness of {timbre} against the original",
                f"{np.mean(values):+.2f} dB (worst {max(values, key=abs):+.2f})",
                "within 3 dB",
            )
            for timbre, values in sorted(levels.items())
        ),
    ]


def main() -> None:
    """Measure and print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=128)
    options = parser.parse_args()
    rows = measure(options.model, options.clips)
    lines = [
        f"# Autoencoders of {options.model}, {options.clips} held-out clips of 128x128, 49 frames",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; torch {version('torch')}, diffusers {version('diffusers')};",
        f"`python benchmarks/bench_autoencoders.py --model {options.model} --clips {options.clips}`",
        "",
        "| figure | measured | asked for |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
