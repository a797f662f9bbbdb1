"""What a distillation to few steps keeps of the toy world's figures, beside the same steps without it.

    .venv/bin/python benchmarks/bench_distill.py --lora runs/tiny_distill/model/mova-tiny-4steps.safetensors --clips 32

Rows: the model as it recommends itself, the guided Euler steps that were the student's teacher, the model at the few
steps of the LoRA without guidance, and the same with the LoRA. Every clip is made on all rows from the same caption,
first frame and noise, one row after the other, so that a busy machine slows all alike. Other adapters are compared by
repeating --lora.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from mova.evaluate.toyworld import summarise
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.settings.few_steps import read_recommended
from mova.toyworld import RenderedClip, first_frame, render, sample_scene, split_seed
from mova.toyworld.scenes.registry import DEFAULT_KINDS
from mova.toyworld.score import ClipScore, score_clip
from mova.types import Clip

COLUMNS = (
    "recall",
    "precision",
    "offset_median_abs_ms",
    "offset_p95_abs_ms",
    "material_right",
    "pitch_right",
    "colour_right",
    "size_kept",
    "start_kept",
)
HEAD = (
    "events with a sound",
    "sounds with an event",
    "offset, median",
    "95th percentile",
    "timbre right",
    "note right",
    "colour right",
    "size kept",
    "start kept",
)


@dataclass
class Row:
    """What was found with one model and one way to ask it.

    Attributes:
        words: what it is.
        pipeline: pipeline that is asked.
        options: options of the pipeline.
        seconds: seconds of each clip, decoding included.
        calls: predictions of each clip.
        scores: scores of the toy world.
        psnr: PSNR of the frames against the first row's clip, in dB.
        sound_error: error of the waveform against the first row's, as a share of its power.
    """

    words: str
    pipeline: MovaPipeline
    options: Mapping[str, Any]
    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    scores: list[ClipScore] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    sound_error: list[float] = field(default_factory=list)


def run(rendered: RenderedClip, seed: int, rows: list[Row]) -> None:
    """Make one clip on every row."""
    exact: Clip | None = None
    for row in rows:
        started = time.perf_counter()
        made = row.pipeline(rendered.caption, image=rendered.clip.frames[0], seed=seed, output_type="np", **row.options)
        row.seconds.append(time.perf_counter() - started)
        row.calls.append(made.calls.predictions)
        clip = made.clip()
        row.scores.append(score_clip(rendered.scene, clip, first_frame=first_frame(rendered.clip)))
        exact = exact or clip
        error = np.square(clip.frames.astype(np.float32) - exact.frames).mean()
        row.psnr.append(10 * np.log10(255**2 / error) if error else np.inf)
        row.sound_error.append(np.square(clip.waveform - exact.waveform).mean() / np.square(exact.waveform).mean())


def cells(row: Row, exact: Row) -> list[str]:
    """Return the cells of a row of the table."""
    summary = summarise(row.scores)
    found = []
    for name in COLUMNS:
        one = summary[name]
        if one.value is None:
            found.append("-")
        elif name.endswith("_ms"):
            found.append(f"{one.value:.1f} ms")
        else:
            found.append(f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]")
    against = ["-", "-"] if row is exact else [f"{median(row.psnr):.1f}", f"{median(row.sound_error):.3f}"]
    return [row.words, f"{mean(row.calls):.0f}", f"{median(row.seconds) / median(exact.seconds):.2f}", *found, *against]


def make_rows(model: str, loras: list[Path], teacher_steps: int) -> list[Row]:
    """Load the model plainly and with each LoRA."""
    plain = load_pipeline(model)
    plain.set_progress_bar_config(disable=True)
    teacher = {"num_inference_steps": teacher_steps, "sampler": "euler"}
    rows = [Row("as recommended", plain, {}), Row(f"teacher: {teacher_steps} guided Euler steps", plain, teacher)]
    for steps in dict.fromkeys(read_recommended(lora)["num_inference_steps"] for lora in loras):
        options = {"num_inference_steps": steps, "guidance_scale": 1.0, "modality_scale": 1.0, "sampler": "euler"}
        rows.append(Row(f"{steps} Euler steps, no guidance", plain, options))
    for lora in loras:
        adapted = load_pipeline(model, loras=[(lora, 1.0)])
        adapted.set_progress_bar_config(disable=True)
        rows.append(Row(f"{lora.stem}: distilled", adapted, {"speed": "distilled"}))
    return rows


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--lora", type=Path, action="append", required=True)
    parser.add_argument("--teacher-steps", type=int, default=12)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--first", type=int, default=50_000, help="number of the first held-out scene")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rows = make_rows(chosen.model, chosen.lora, chosen.teacher_steps)
    for index in track(range(chosen.clips), "clips", console=Console(stderr=True)):
        scene = sample_scene(
            split_seed("heldout", chosen.first + index), kind=DEFAULT_KINDS[index % len(DEFAULT_KINDS)]
        )
        run(render(scene, size=rows[0].pipeline.defaults.height), index, rows)
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers", "peft"))
    heads = ("", "calls", "time", *HEAD, "PSNR against the first row, dB", "sound's error")
    lines = [
        f"# Few steps of {chosen.model}, {day}",
        "",
        f"{versions}; {chosen.clips} held-out clips, {chosen.threads} threads; "
        f"`benchmarks/bench_distill.py {' '.join(sys.argv[1:])}`",
        "",
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
    ]
    lines += [f"| {' | '.join(cells(row, rows[0]))} |" for row in rows]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
