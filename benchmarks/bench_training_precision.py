"""Encoding and training a LoRA on a CPU in float32 and in bfloat16: time, losses, and the clips that the results make.

    .venv/bin/python benchmarks/bench_training_precision.py > benchmarks/results/training_precision_<cpu>_<yyyymm>.md

Clips of the recipe `tiny_lora` are encoded in both, four at a time, in turns. Then the recipe is run twice from one
seed, a step of each in turn, each on latents of its own precision, and both results make the same held-out clips, in
float32. Times are processor seconds. Options of `mova train` follow after `--`. Prints a note in Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import torch
from bench_speed import HEAD, Row, cells, generate, note_distance

from mova.codecs.video import decode_video
from mova.data.encode import ClipEncoder, Encoding
from mova.data.sources.base import RawClip
from mova.data.sources.toy import ToySource
from mova.device import Compute
from mova.evaluate.subject import Generated
from mova.kernels.calibration import machine_name
from mova.pipeline.load import load_pipeline
from mova.pipeline.runtime import Runtime
from mova.toyworld import RenderedClip, render, sample_scene, split_seed, with_notes
from mova.train.config import LoraConfig, load_recipe
from mova.train.loop.optimizer import OptimizerSet, lr_factor
from mova.train.stages.lora import LoraStage
from mova.weights.locate import find_model

RECIPE = "tiny_lora"
CPU = torch.device("cpu")
WAYS: tuple[Compute, ...] = ("float32", "bfloat16")
SHOWN_EVERY = 40


def table(*rows: list[str]) -> list[str]:
    """Write rows of cells as a table, the first of them as its head."""
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return ["", head, "| --- " * len(rows[0]) + "|", *rest]


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return how near two videos in [-1, 1] are, in dB."""
    return float(10 * torch.log10(4 / (one - other).square().mean()))


def encoding(config: LoraConfig, size: int, num_clips: int) -> list[str]:
    """Encode clips of a size in both precisions and compare: time, latents, and what comes back from them."""
    model = find_model(config.base)
    source = ToySource(config.data.model_copy(update={"size": size, "num_clips": num_clips}), "train", 16_000)
    clips: list[RawClip] = [source.load(index) for index in range(num_clips)]
    encoders = {way: ClipEncoder(Encoding(model, CPU, way)) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    videos: dict[str, list[torch.Tensor]] = {way: [] for way in WAYS}
    for first in range(-4, num_clips, 4):
        group = clips[max(first, 0) : max(first, 0) + 4]
        for way, encoder in encoders.items():
            started = time.process_time()
            encoded = encoder.encode(group, [str(index) for index in range(len(group))])
            if first >= 0:  # the first group warms up
                seconds[way].append(time.process_time() - started)
                videos[way] += [clip.video for clip in encoded]
    ratio = median(new / old for old, new in zip(seconds["float32"], seconds["bfloat16"], strict=True))
    plain, rounded = (torch.stack(videos[way]).float() for way in WAYS)
    error = (plain - rounded).abs()
    vae = encoders["float32"].video_vae
    with torch.no_grad():
        back = [(decode_video(vae, a[None]), decode_video(vae, b[None])) for a, b in zip(plain, rounded, strict=True)]
    truth = [torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None] / 127.5 - 1 for clip in clips]
    against = [[psnr(pair[way], true) for pair, true in zip(back, truth, strict=True)] for way in (0, 1)]
    between = [psnr(*pair) for pair in back]
    return [
        f"{size}x{size}",
        f"{median(seconds['float32']):.2f}",
        f"{ratio:.2f}",
        f"{float(error.max()):.3f}",
        f"{float(error.mean()):.4f}",
        f"{mean(against[0]):.2f}",
        f"{mean(against[1]):.2f}",
        f"{mean(between):.1f}",
    ]


def training(configs: dict[str, LoraConfig], folder: Path) -> list[list[str]]:
    """Run the recipe in both precisions, a step of each in turn; write both LoRAs and return rows of losses."""
    stages = {way: LoraStage(config, folder / f"latents_{way}") for way, config in configs.items()}
    optimizers = {way: OptimizerSet(stage.parameter_groups(), configs[way].optimizer) for way, stage in stages.items()}
    total = configs["float32"].run.max_steps
    losses: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for step in range(total):
        for way, stage in stages.items():
            started, loss = time.process_time(), 0.0
            for micro in stage.losses(step, step / total):
                micro["loss"].backward()
                loss += float(micro["loss"].detach())
            optimizers[way].step(lr_factor(step, step / total, configs[way].optimizer))
            seconds[way].append(time.process_time() - started)
            losses[way].append(loss)
        if step % 20 == 0:
            sys.stderr.write(f"step {step}: {losses['float32'][-1]:.4f} {losses['bfloat16'][-1]:.4f}\n")
    rows = []
    for first in range(0, total, SHOWN_EVERY):
        span = slice(first, first + SHOWN_EVERY)
        plain, rounded = (mean(losses[way][span]) for way in WAYS)
        rows.append([f"{first + 1} to {min(first + SHOWN_EVERY, total)}", *map("{:.4f}".format, (plain, rounded))])
        rows[-1].append(f"{100 * (rounded / plain - 1):+.2f} %")
    held_out = {way: stage.validate() for way, stage in stages.items()}
    for name, value in held_out["float32"].items():
        other = held_out["bfloat16"][name]
        rows.append([f"held out: {name}", f"{value:.4f}", f"{other:.4f}", f"{100 * (other / value - 1):+.2f} %"])
    ratio = median(new / old for old, new in zip(seconds["float32"], seconds["bfloat16"], strict=True))
    rows.append(["processor seconds of a step", *(f"{median(seconds[way]):.2f}" for way in WAYS), f"{ratio:.2f} times"])
    for stage in stages.values():
        stage.export()
    return rows


def asked_clips(config: LoraConfig, count: int) -> dict[str, list[tuple[RenderedClip, int]]]:
    """Return held-out clips to be made, with seeds: balls in the new pairing, and scenes that the base knows."""
    new: list[tuple[RenderedClip, int]] = []
    index = 0
    while len(new) < count:
        scene = sample_scene(split_seed("heldout", index), kind="ball")
        index += 1
        if scene.colour in config.data.notes:
            new.append((render(with_notes(scene, config.data.notes)), index))
    known = Generated(lambda asked, _: asked.clip, count, seed=1)
    return {"new pairing": new, "known scenes": [(known.asked(index), index) for index in range(count)]}


def figures(configs: dict[str, LoraConfig], count: int, speed: str) -> list[list[str]]:
    """Make held-out clips with both LoRAs, in float32, and return rows of the toy world's figures."""
    pipelines = {}
    for way, config in configs.items():
        loras = [(config.model / config.output, 1.0)]
        pipelines[way] = load_pipeline(config.base, loras=loras, runtime=Runtime(precision="float32"))
        pipelines[way].set_progress_bar_config(disable=True)
    rows = []
    for words, asked in asked_clips(configs["float32"], count).items():
        plain = Row(f"{words}, trained in float32", {"speed": speed})
        rounded = Row(words, {"speed": speed}, precision="bfloat16", base=plain)
        for rendered, seed in asked:
            exact = generate(pipelines["float32"], rendered, seed, plain)
            note_distance(plain, exact, exact)
            note_distance(rounded, generate(pipelines["bfloat16"], rendered, seed, rounded), exact)
            sys.stderr.write(f"{words} {seed}: {rounded.psnr[-1]:.1f} dB\n")
        for row in (plain, rounded):
            name, _, _, _, *found = cells(row, plain)
            rows.append([name, *found])
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16, help="made with each LoRA, of each of two sets; 0 makes none")
    parser.add_argument("--encoded", type=int, default=16, help="clips that are encoded for the comparison")
    parser.add_argument("--speed", default="exact", help="preset that makes the clips")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("overrides", nargs="*", help="key=value for the recipe, after --")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        configs: dict[str, LoraConfig] = {}
        for way in WAYS:
            own = [*chosen.overrides, f"model={folder / way}", f"run.compute={way}"]
            configs[way] = load_recipe(RECIPE, own)
        sizes = [encoding(configs["float32"], size, chosen.encoded) for size in (64, 128)]
        sys.stderr.write(f"{sizes}\n")
        losses = training(configs, folder)
        sys.stderr.write(f"{losses}\n")
        clips = figures(configs, chosen.clips, chosen.speed) if chosen.clips else []
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    lines = [
        f"# Encoding and training in bfloat16 and in float32 on a CPU, {day}",
        "",
        f"{machine_name()}, {chosen.threads} threads, load {load:.1f} before; {versions}; "
        f"`benchmarks/bench_training_precision.py {' '.join(sys.argv[1:])}`",
        *table(
            ["clips", "float32, s for four", "bfloat16, of it", "latents: largest difference", "mean", "PSNR of what "
             "comes back, float32, dB", "bfloat16, dB", "between both, dB"],
            *sizes,
        ),
        *table(["loss, mean of steps", "float32", "bfloat16", "difference"], *losses),
    ]  # fmt: skip
    if clips:
        lines += table(["clips made in float32", *HEAD, "PSNR, dB", "sound error"], *clips)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
