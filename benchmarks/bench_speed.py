"""What each rung of `mova generate --speed` saves on the toy world, and what it costs there.

    .venv/bin/python benchmarks/bench_speed.py --clips 48 > benchmarks/results/speed_<model>_<yyyymm>.md

Every clip is made on every rung from the same caption, first frame and noise, one rung after the other, so that a busy
machine slows all alike. Beside what was asked of the model stand the toy world's figures and the distance from the
exact clip. Other values than those of the ladder are tried with --try steps=10,interval=0.4,cache=0.1.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from mova.evaluate.toyworld import summarise
from mova.generate.load import load_pipeline
from mova.generate.pipeline import MovaPipeline
from mova.generate.speed import SPEEDS
from mova.toyworld import RenderedClip, first_frame, render, sample_scene, split_seed
from mova.toyworld.score import ClipScore, score_clip
from mova.toyworld.vocabulary import SHIPPED_KINDS
from mova.types import Clip

COLUMNS = ("recall", "precision", "offset_median_abs_ms", "pitch_right", "order_right", "colour_right")
HEAD = ("events with a sound", "sounds with an event", "offset, ms", "note right", "order right", "colour right")


@dataclass
class Row:
    """What was found on one rung.

    Attributes:
        words: of the rung.
        options: of the pipeline.
        seconds: of each clip, decoding included.
        computed, predictions: of each clip: predictions that were computed whole, and those that there were.
        scores: of the toy world.
        psnr: of the frames against the exact clip, in dB.
    """

    words: str
    options: Mapping[str, Any]
    seconds: list[float] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    predictions: list[int] = field(default_factory=list)
    scores: list[ClipScore] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)


def parse_trial(text: str) -> Row:
    """Read `steps=10,interval=0.4,cache=0.1`."""
    names = {
        "steps": "num_inference_steps",
        "interval": "guidance_interval",
        "cache": "step_cache",
        "scale": "guidance_scale",
    }
    given = dict(part.split("=") for part in text.split(","))
    options: dict[str, Any] = {names[name]: float(value) for name, value in given.items()}
    if "num_inference_steps" in options:
        options["num_inference_steps"] = int(options["num_inference_steps"])
    if "guidance_interval" in options:
        options["guidance_interval"] = (options["guidance_interval"], 1.0)
    return Row(text, options)


def run(pipeline: MovaPipeline, rendered: RenderedClip, seed: int, rows: list[Row]) -> None:
    """Make one clip on every rung."""
    exact: Clip | None = None
    for row in rows:
        started = time.perf_counter()
        made = pipeline(rendered.caption, image=rendered.clip.frames[0], seed=seed, output_type="np", **row.options)
        row.seconds.append(time.perf_counter() - started)
        row.predictions.append(made.calls.predictions)
        row.computed.append(made.calls.predictions - made.calls.repeated)
        clip = made.clip()
        row.scores.append(score_clip(rendered.scene, clip, first_frame=first_frame(rendered.clip)))
        exact = exact or clip
        error = np.square(clip.frames.astype(np.float32) - exact.frames).mean()
        row.psnr.append(10 * np.log10(255**2 / error) if error else np.inf)


def cells(row: Row, exact: Row) -> list[str]:
    """Return the cells of a row of the table."""
    summary = summarise(row.scores)
    found = []
    for name in COLUMNS:
        estimate = summary[name]
        digits = 1 if name.endswith("_ms") else 3
        found.append("-" if estimate.value is None else f"{estimate.value:.{digits}f}")
    psnr = "-" if row is exact else f"{median(row.psnr):.1f}"
    calls = f"{mean(row.computed):.1f} of {mean(row.predictions):.0f}"
    return [row.words, calls, f"{median(row.seconds) / median(exact.seconds):.2f}", *found, psnr]


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--try", action="append", default=[], dest="trials", type=parse_trial, help="another rung")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    pipeline = load_pipeline(chosen.model)
    pipeline.set_progress_bar_config(disable=True)
    # Other weights: bench_distill.py measures them.
    ladder = {name: speed for name, speed in SPEEDS.items() if name != "distilled"}
    rows = [Row(f"{name}: {speed.words}", {"speed": name}) for name, speed in ladder.items()] + chosen.trials
    for index in track(range(chosen.clips), "clips", console=Console(stderr=True)):
        scene = sample_scene(split_seed("heldout", 50_000 + index), kind=SHIPPED_KINDS[index % len(SHIPPED_KINDS)])
        run(pipeline, render(scene, size=pipeline.defaults.height), index, rows)
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    heads = ("rung", "predictions computed whole", "time, of exact", *HEAD, "PSNR against exact, dB")
    lines = [
        f"# Speeds of {chosen.model}, {day}",
        "",
        f"{versions}; {chosen.clips} held-out clips, {chosen.threads} threads; "
        f"`benchmarks/bench_speed.py {' '.join(sys.argv[1:])}`",
        "",
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
    ]
    lines += [f"| {' | '.join(cells(row, rows[0]))} |" for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
