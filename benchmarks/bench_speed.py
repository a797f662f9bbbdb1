"""What each approximation, and each preset of `mova generate --speed`, saves on the toy world, and what it costs there.

    .venv/bin/python benchmarks/bench_speed.py --clips 8 > benchmarks/results/speed_<model>_<yyyymm>.md

Every clip is made in every row of the table from the same caption, first frame and noise, one row after the other, so
that a busy machine slows all alike. Beside what was asked of the model stand the toy world's figures and the distance
from the exact clip. The arithmetic of 8-bit kernels is emulated (`eight_bit.py`), so those rows have no time. Other
values than those of the table are tried with --try steps=10,interval=0.4,adaptive=0.01,cache=0.1,order=1, or with
--try speed=fast. With --precision bfloat16 every row is made in float32 and in bfloat16, and compared with itself in
float32.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from eight_bit import eight_bit_attention, float8_linears
from rich.console import Console
from rich.progress import track
from torch import nn

from mova.codecs.video import decode_video
from mova.evaluate.toyworld import summarise
from mova.geometry import ClipGeometry
from mova.models.dual_tower import DualTower
from mova.names import COMPONENTS
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime
from mova.settings.few_steps import DISTILLED, find_few_steps
from mova.settings.speed import SPEEDS
from mova.toyworld import RenderedClip, first_frame, render, sample_scene, split_seed
from mova.toyworld.scenes.registry import DEFAULT_KINDS
from mova.toyworld.score import ClipScore, score_clip
from mova.types import Clip
from mova.weights.locate import find_model

COLUMNS = ("recall", "precision", "offset_median_abs_ms", "pitch_right", "colour_right")
HEAD = ("events with a sound", "sounds with an event", "offset, ms", "note right", "colour right")
OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "steps": ("num_inference_steps", int),
    "sampler": ("sampler", str),
    "interval": ("guidance_interval", lambda low: (float(low), 1.0)),
    "scale": ("guidance_scale", float),
    "adaptive": ("adaptive_guidance", float),
    "cache": ("step_cache", float),
    "order": ("step_cache_order", int),
    "speed": ("speed", str),
}
Emulation = Callable[[list[nn.Module]], contextlib.AbstractContextManager[None]]


@dataclass
class Row:
    """What was found with one way to make a clip.

    Attributes:
        words: what it is.
        options: options of the pipeline.
        emulation: changes towers and bridge while clips are made; None leaves them as they are.
        precision: what is computed in.
        base: the row that it is compared with; None is the first of the table.
        seconds: CPU time of each clip, decoding included. A machine that others use spoils wall time, less so this.
        computed, predictions: numbers of each clip: predictions that were computed whole, and those that were made.
        scores: scores of the toy world.
        psnr: PSNR of the frames against the exact clip, in dB.
        sound_errors: errors of the waveform against the exact clip, RMS of the difference by RMS of the exact one.
    """

    words: str
    options: Mapping[str, Any]
    emulation: Emulation | None = None
    precision: str = "float32"
    base: Row | None = None
    seconds: list[float] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    predictions: list[int] = field(default_factory=list)
    scores: list[ClipScore] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    sound_errors: list[float] = field(default_factory=list)


def make_rows() -> list[Row]:
    """Return the table's rows: every approximation alone, then the presets made of them. The first is exact."""
    rows = [Row("exact: unipc, 20 steps", {})]
    for sampler in ("unipc", "euler"):
        for steps in (20, 12, 8, 6, 4):
            if (sampler, steps) != ("unipc", 20):
                rows.append(Row(f"{sampler}, {steps} steps", {"sampler": sampler, "num_inference_steps": steps}))
    rows += [
        Row("guidance above noise level 0.5 only", {"guidance_interval": (0.5, 1.0)}),
        Row("adaptive guidance, 0.005", {"adaptive_guidance": 0.005}),
        Row("adaptive guidance, 0.02", {"adaptive_guidance": 0.02}),
    ]
    for order, verb in enumerate(("repeats", "forecasts, order 1", "forecasts, order 2")):
        rows.append(Row(f"step cache 0.15, {verb}", {"step_cache": 0.15, "step_cache_order": order}))
    rows += [
        Row("8-bit attention, values in float16", {}, lambda parts: eight_bit_attention(parts, "float16")),
        Row("8-bit attention, values in float8", {}, lambda parts: eight_bit_attention(parts, "float8")),
        Row("float8 linear layers", {}, float8_linears),
    ]
    # Distilled is another set of weights: bench_distill.py measures it.
    presets = {name: speed for name, speed in SPEEDS.items() if name not in ("exact", DISTILLED)}
    return rows + [Row(f"{name}: {speed.words}", {"speed": name}) for name, speed in presets.items()]


def parse_trial(text: str) -> Row:
    """Read `steps=10,interval=0.4,cache=0.1`."""
    options = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in OPTIONS:
            raise argparse.ArgumentTypeError(f"each part must be one of {', '.join(OPTIONS)} with =VALUE, got {part!r}")
        option, read = OPTIONS[name]
        options[option] = read(value)
    return Row(text, options)


def in_both(rows: list[Row], precision: str) -> list[Row]:
    """Return every row in float32 and in another precision."""
    pairs = [(row, Row(row.words, row.options, row.emulation, precision, row)) for row in rows if row.emulation is None]
    return [row for pair in pairs for row in pair]


class Pipelines:
    """A model's pipelines, loaded when a row needs one.

    Args:
        model: name or directory.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._loaded: dict[tuple[str, bool], MovaPipeline] = {}

    def of(self, row: Row) -> MovaPipeline:
        """Return the one that makes a row's clips."""
        is_distilled = row.options.get("speed") == DISTILLED
        if (row.precision, is_distilled) not in self._loaded:
            loras = [(find_few_steps(self.model, find_model(self.model)), 1.0)] if is_distilled else []
            pipeline = load_pipeline(self.model, loras=loras, runtime=Runtime(precision=row.precision))
            pipeline.set_progress_bar_config(disable=True)
            self._loaded[row.precision, is_distilled] = pipeline
        return self._loaded[row.precision, is_distilled]


def run(pipelines: Pipelines, rendered: RenderedClip, seed: int, rows: list[Row]) -> None:
    """Make one clip in every row."""
    exact: Clip | None = None
    made: dict[int, Clip] = {}
    for row in rows:
        pipeline = pipelines.of(row)
        parts = [getattr(pipeline, name) for name in COMPONENTS if getattr(pipeline, name) is not None]
        clip = made[id(row)] = generate(pipeline, rendered, seed, row, parts)
        exact = exact or clip
        note_distance(row, clip, made[id(row.base)] if row.base else exact)


def make(
    pipeline: MovaPipeline,
    rendered: RenderedClip,
    seed: int,
    row: Row,
    exact: Clip | None,
    parts: list[nn.Module] | None = None,
) -> Clip:
    """Make one clip as a row says and note what was found; return the exact clip, which is this one if there is none.

    Args:
        pipeline: pipeline that makes it.
        rendered: what is to be shown.
        seed: seed of the noise.
        row: its options, and where to note.
        exact: exact clips to compare with.
        parts: towers and bridge, for rows that emulate kernels.
    """
    clip = generate(pipeline, rendered, seed, row, parts)
    note_distance(row, clip, exact or clip)
    return exact or clip


def generate(
    pipeline: MovaPipeline, rendered: RenderedClip, seed: int, row: Row, parts: list[nn.Module] | None = None
) -> Clip:
    """Make one clip as a row says, and note its time and its score; arguments as for `make`."""
    with row.emulation(parts or []) if row.emulation else contextlib.nullcontext():
        started = time.process_time()
        made = pipeline(rendered.caption, image=rendered.clip.frames[0], seed=seed, output_type="np", **row.options)
        row.seconds.append(time.process_time() - started)
    row.predictions.append(made.calls.predictions)
    row.computed.append(made.calls.predictions - made.calls.repeated)
    clip = made.clip()
    row.scores.append(score_clip(rendered.scene, clip, first_frame=first_frame(rendered.clip)))
    return clip


def note_distance(row: Row, clip: Clip, exact: Clip) -> None:
    """Note how far a clip is from the one that it is compared with."""
    error = np.square(clip.frames.astype(np.float32) - exact.frames).mean()
    row.psnr.append(10 * np.log10(255**2 / error) if error else np.inf)
    loudness = np.sqrt(np.square(exact.waveform).mean())
    row.sound_errors.append(float(np.sqrt(np.square(clip.waveform - exact.waveform).mean()) / loudness))


def cells(row: Row, exact: Row) -> list[str]:
    """Return the cells of a row of the table."""
    summary = summarise(row.scores)
    found = []
    for name in COLUMNS:
        estimate = summary[name]
        digits = 1 if name.endswith("_ms") else 3
        found.append("-" if estimate.value is None else f"{estimate.value:.{digits}f}")
    exact = row.base or exact
    distance = ["-", "-"] if row is exact else [f"{median(row.psnr):.1f}", f"{median(row.sound_errors):.2f}"]
    # Each clip is compared with the exact one made seconds before: what slows the machine slows both.
    pace = median(one / other for one, other in zip(row.seconds, exact.seconds, strict=True))
    taken = "-" if row.emulation else f"{pace:.2f}"
    words = row.words if row.base is None else f"the same in {row.precision}"
    return [words, f"{mean(row.predictions):.1f}", f"{mean(row.computed):.1f}", taken, *found, *distance]


def times_of_parts(pipelines: Pipelines, precision: str, rounds: int = 15) -> list[str]:
    """Return rows of a table: one forward and one decoding in float32 and in another precision, in turns."""
    rows = [Row("", {}), Row("", {}, precision=precision)]
    config = pipelines.of(rows[0]).video_dit.config
    chosen = pipelines.of(rows[0]).defaults
    codec = pipelines.of(rows[0]).codec_geometry
    geometry = ClipGeometry(chosen.height, chosen.width, chosen.num_frames, chosen.frame_rate, codec)
    shape = (geometry.num_latent_frames, geometry.latent_height, geometry.latent_width)
    generator = torch.Generator().manual_seed(0)

    def forward(pipeline: MovaPipeline, batch: int) -> None:
        model = DualTower(pipeline.video_dit, pipeline.audio_dit, pipeline.dual_tower_bridge)
        video = torch.randn(batch, config.in_dim, *shape, generator=generator)
        audio = torch.randn(batch, pipeline.audio_dit.config.in_dim, geometry.num_audio_latents, generator=generator)
        text = torch.randn(batch, pipeline.tokenizer.model_max_length, config.text_dim, generator=generator)
        times = torch.full((batch,), 500.0)
        model(video, audio, times, times, text, frame_rate=geometry.frame_rate)

    def decode(pipeline: MovaPipeline, _: int) -> None:
        decode_video(pipeline.video_vae, torch.randn(1, pipeline.video_vae.config.z_dim, *shape, generator=generator))

    lines = []
    for words, work, batch in (("forward, 1 clip", forward, 1), ("forward, 3", forward, 3), ("decoding", decode, 1)):
        seconds: list[list[float]] = [[], []]
        for _ in range(rounds):
            for row, taken in zip(rows, seconds, strict=True):
                started = time.process_time()
                with torch.no_grad():
                    work(pipelines.of(row), batch)
                taken.append(time.process_time() - started)
        ratio = median(other / plain for plain, other in zip(*seconds, strict=True))
        lines.append(f"| {words} | {' | '.join(f'{1000 * median(taken):.0f}' for taken in seconds)} | {ratio:.2f} |")
    return ["", f"| CPU time, ms | float32 | {precision} | ratio |", "| --- | --- | --- | --- |", *lines]


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--first", type=int, default=50_000, help="number of the first held-out clip")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-tried", action="store_true", help="exact and what --try names, not the table")
    parser.add_argument("--try", action="append", default=[], dest="trials", type=parse_trial, help="another row")
    parser.add_argument("--precision", choices=["bfloat16"], help="every row in this precision as well")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    pipelines = Pipelines(chosen.model)
    rows = (make_rows()[:1] if chosen.only_tried else make_rows()) + chosen.trials
    size = pipelines.of(rows[0]).defaults.height
    if chosen.precision:
        rows = in_both(rows, chosen.precision)
    started = time.perf_counter()
    for index in track(range(chosen.clips), "clips", console=Console(stderr=True)):
        kind = DEFAULT_KINDS[index % len(DEFAULT_KINDS)]
        scene = sample_scene(split_seed("heldout", chosen.first + index), kind=kind)
        run(pipelines, render(scene, size=size), index, rows)
    num_events = sum(second < score.until_s for score in rows[0].scores for second in score.seen_s)
    minutes = (time.perf_counter() - started) / 60
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    heads = ("way", "predictions made", "computed whole", "CPU time, of exact", *HEAD, "PSNR, dB", "sound error")
    lines = [
        f"# Speeds of {chosen.model}, {day}",
        "",
        f"{versions}; {chosen.clips} held-out clips, with {num_events} visible events where they are exact; "
        f"threads: {chosen.threads}, {minutes:.0f} minutes in all; an exact clip takes {median(rows[0].seconds):.1f} s "
        f"of CPU time; `benchmarks/bench_speed.py {' '.join(sys.argv[1:])}`",
        "",
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
    ]
    lines += [f"| {' | '.join(cells(row, rows[0]))} |" for row in rows]
    if chosen.precision:
        lines += times_of_parts(pipelines, chosen.precision)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
