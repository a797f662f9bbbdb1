"""What a LoRA of mova-tiny learns from 30 toy clips with another pairing of sounds and colours, and what it forgets.

    .venv/bin/python benchmarks/bench_lora.py > benchmarks/results/lora_<machine>_<yyyymm>.md

Trains the recipe `tiny_lora` and generates held-out clips before and after: balls in the new pairing (is the
note the new one?) and the scenes that the base knows (are sound and picture still together?). Options of `mova train`
follow after `--`, such as run.max_minutes=1. Prints a note in Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mova.evaluate.stats import Estimate
    from mova.pipeline.pipeline import MovaPipeline
    from mova.toyworld import RenderedClip
    from mova.types import Clip

RECIPE = "tiny_lora"
Generate = Callable[["RenderedClip", int], "Clip"]
ROWS = ("recall", "precision", "pitch_right")


def measure(pipeline: MovaPipeline, num_clips: int, notes: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    """Return the figures of re-paired balls and of the base's own scenes, all of them held out."""
    from tqdm import tqdm

    with tqdm(total=2 * num_clips, desc="clips", unit="clip") as bar:
        return _measure(generator(pipeline, bar.update), num_clips, notes)


def _measure(generate: Generate, num_clips: int, notes: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    from mova.evaluate.subject import Generated
    from mova.evaluate.toyworld import measure, summarise
    from mova.toyworld import first_frame, render, sample_scene, score_clip, split_seed, with_notes

    scores = []
    index = 0
    while len(scores) < num_clips:
        scene = sample_scene(split_seed("heldout", index), kind="ball")
        index += 1
        if scene.colour not in notes:
            continue
        rendered = render(with_notes(scene, notes))
        clip = generate(rendered, index)
        scores.append(score_clip(rendered.scene, clip, first_frame=first_frame(rendered.clip)))
    # The clips of the benchmark's seed 1: none of them is among the balls above.
    known = measure(Generated(generate, num_clips, seed=1))
    return {"new pairing": summarise(scores), "known scenes": known.overall}


def generator(pipeline: MovaPipeline, done: Callable[[], object]) -> Generate:
    """Return the function that makes a clip from a rendered one's caption and first frame, and a seed."""

    def generate(asked: RenderedClip, seed: int) -> Clip:
        picture = asked.clip.frames[0]
        clip = pipeline(asked.caption, image=picture, height=128, width=128, seed=seed, output_type="np").clip()
        done()
        return clip

    return generate


def cell(estimate: Estimate) -> str:
    """Write a share with its interval."""
    if estimate.value is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def main() -> None:
    """Measure, train, measure again and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=48, help="generated for each of the four measurements")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="key=value for the recipe, after --")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    import torch

    from mova.pipeline.load import load_pipeline
    from mova.train.config import load_recipe
    from mova.train.ladder import run_recipe

    torch.set_num_threads(chosen.threads)
    recipe = load_recipe(RECIPE, chosen.overrides)
    pipeline = load_pipeline(recipe.base)
    pipeline.set_progress_bar_config(disable=True)
    before = measure(pipeline, chosen.clips, recipe.data.notes)
    with TemporaryDirectory() as folder:
        model = Path(folder, "model")
        start = time.perf_counter()
        run_recipe(RECIPE, overrides=[*chosen.overrides, f"model={model}"])
        minutes = (time.perf_counter() - start) / 60
        pipeline.load_lora_weights(model / recipe.output)
    after = measure(pipeline, chosen.clips, recipe.data.notes)
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "peft", "diffusers"))
    lines = [
        f"# A LoRA from {recipe.data.num_clips} toy clips on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {platform.processor() or platform.machine()}, {chosen.threads} threads, {platform.platform()}",
        f"- versions: {versions}",
        f"- command: `{' '.join(['benchmarks/bench_lora.py', *sys.argv[1:]])}`",
        f"- encoding and training: {minutes:.1f} minutes; {chosen.clips} clips per figure",
        f"- load of the machine at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        "",
        "| | before | after |",
        "| --- | --- | --- |",
    ]
    for scenes in before:
        lines += [f"| {scenes}, {row} | {cell(before[scenes][row])} | {cell(after[scenes][row])} |" for row in ROWS]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
