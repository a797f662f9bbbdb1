"""How often the digits of rendered boards are read right: which, when seen, when heard, whose voice, and what is said.

    .venv/bin/python benchmarks/bench_board.py --clips 500

At two sizes, of clips as rendered and of worn ones: blurred, dragged in time, in shifted hues, with noise in the audio.
A digit counts as seen or heard when its time is right; the other figures are of those that are.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mova.toyworld import RenderedClip, render, sample_scene, score_clip, split_seed
from mova.toyworld.score import match_events
from mova.toyworld.vocabulary import VOICE_HZ
from mova.types import Clip

SEEN_WITHIN_S = 0.5 / 24  # half a frame
HEARD_WITHIN_S = 0.010
AUDIO_NOISE = 0.01
FIGURES = (
    "digits whose beginning is seen within half a frame",
    "digits seen that are there",
    "digit that is seen right",
    "place of the digit right",
    "digits whose beginning is heard within 10 ms",
    "digits heard that are there",
    "digit that is heard right",
    "voice right",
    "clips with all digits, places, voice and ink right",
)


def worn(clip: Clip, seed: int) -> Clip:
    """Return a clip as after a small autoencoder, exaggerated."""
    rng = np.random.default_rng(seed)
    pixels = clip.frames.astype(np.float32)
    for axis in (1, 2):
        pixels = (np.roll(pixels, 1, axis) + 2 * pixels + np.roll(pixels, -1, axis)) / 4
    pixels[1:] = 0.85 * pixels[1:] + 0.15 * pixels[:-1]
    pixels = (pixels - 128) @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))) + 128 + rng.normal(0, 5, 3)
    blotches = rng.normal(0, 6, (len(pixels), pixels.shape[1] // 4, pixels.shape[2] // 4, 3))
    frames = np.clip(pixels + blotches.repeat(4, axis=1).repeat(4, axis=2), 0, 255).astype(np.uint8)
    assert clip.waveform is not None, "rendered clips have sound"
    noise = rng.normal(0, AUDIO_NOISE, clip.waveform.shape).astype(np.float32)
    return replace(clip, frames=frames, waveform=clip.waveform + noise)


def count(rendered: RenderedClip, clip: Clip) -> Counter[str]:
    """Return how much of a clip is read right, and how much there is to read, by the names of `FIGURES`."""
    events, counts = rendered.events, Counter[str]()

    def add(name: str, right: int, total: int) -> None:
        counts[name] += right
        counts[f"all: {name}"] += total

    seen = rendered.scene.read(clip.frames, clip.frame_rate).events
    heard = rendered.scene.hear(clip.waveform, clip.sample_rate)
    times = [event.time_s for event in events]
    shown = match_events(times, [event.time_s for event in seen], SEEN_WITHIN_S)
    said = match_events(times, [event.time_s for event in heard], HEARD_WITHIN_S)
    add(FIGURES[0], len(shown), len(events))
    add(FIGURES[1], len(shown), len(seen))
    add(FIGURES[2], sum(events[i].timbre == seen[j].sign for i, j in shown), len(shown))
    add(FIGURES[3], sum(events[i].bar == seen[j].bar for i, j in shown), len(shown))
    add(FIGURES[4], len(said), len(events))
    add(FIGURES[5], len(said), len(heard))
    add(FIGURES[6], sum(events[i].timbre == heard[j].timbre for i, j in said), len(said))
    add(FIGURES[7], sum(events[i].pitch_hz == VOICE_HZ[heard[j].colour] for i, j in said), len(said))
    score = score_clip(rendered.scene, clip)
    passed = (score.order_right, score.vowel_right, score.place_right, score.pitch_right, score.colour_right)
    add(FIGURES[8], int(all(passed)), 1)
    return counts


def table(columns: Sequence[tuple[str, Counter[str]]]) -> str:
    """Return a table in Markdown, a row for each figure."""
    lines = [f"| | {' | '.join(name for name, _ in columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for name in FIGURES:
        cells = [f"{counts[name]} of {counts[f'all: {name}']}" for _, counts in columns]
        shares = [counts[name] / max(counts[f"all: {name}"], 1) for _, counts in columns]
        written = [f"{100 * share:.2f} % ({cell})" for share, cell in zip(shares, cells, strict=True)]
        lines.append(f"| {name} | {' | '.join(written)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Render, read and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500, help="number of held-out scenes")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128], help="of the frames, in pixels")
    chosen = parser.parse_args()
    if chosen.clips < 1:
        parser.error(f"--clips must be 1 or more, got {chosen.clips}; nearest is 1")
    columns = []
    for size in chosen.sizes:
        as_rendered, after_wear = Counter[str](), Counter[str]()
        for index in range(chosen.clips):
            rendered = render(sample_scene(split_seed("heldout", index), kind="board"), size=size)
            as_rendered += count(rendered, rendered.clip)
            after_wear += count(rendered, worn(rendered.clip, index))
        columns += [(f"{size} x {size}", as_rendered), (f"{size} x {size}, worn", after_wear)]
    sys.stdout.write(table(columns))


if __name__ == "__main__":
    main()
