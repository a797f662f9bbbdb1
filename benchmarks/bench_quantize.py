"""What quantisation a model's weights saves, and what it costs: bytes, weights, velocities, clips.

    .venv/bin/python benchmarks/bench_quantize.py > benchmarks/results/quantize_<model>_<yyyymm>.md

Every clip is made by the plain model and then by each quantised one from the same caption, first frame and noise, so
that a busy machine slows all alike. Velocities are compared on the inputs that the plain model met on its way: each
    quantised
model is asked the same questions. On a CPU float8_linear is emulated; its time says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from statistics import mean, median
from typing import Any
from unittest import mock

import torch
from bench_speed import Row, make
from rich.console import Console
from rich.progress import track

from mova.evaluate.toyworld import summarise
from mova.models.dual_tower import DualTower
from mova.models.experts import pair_towers
from mova.names import COMPONENTS, Expert
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime
from mova.toyworld import RenderedClip, render, sample_scene, split_seed
from mova.toyworld.scenes.registry import DEFAULT_KINDS
from mova.weights.quantize.codes import relative_error
from mova.weights.quantize.layers import quantized_layers
from mova.weights.quantize.layout import METHODS

HEADS = (
    "weights",
    "MB",
    "error of a weight, mean",
    "at most",
    "error of the velocity of picture",
    "of sound",
    "PSNR against exact, dB",
    "events with a sound",
    "sounds with an event",
    "time, of exact",
)
Question = tuple[Expert, tuple[Any, ...], dict[str, Any]]


def load(model: str, method: str | None) -> MovaPipeline:
    """Load a model with its weights in one of the methods; None leaves them plain."""
    pipeline = load_pipeline(model, runtime=Runtime(quantization=method))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def components_of(pipeline: MovaPipeline) -> dict[str, Any]:
    """Return towers and bridge by name."""
    return {name: getattr(pipeline, name) for name in COMPONENTS if getattr(pipeline, name) is not None}


def size_bytes(pipeline: MovaPipeline) -> int:
    """Return the bytes of towers and bridge in memory."""
    tensors = (tensor for part in components_of(pipeline).values() for tensor in part.state_dict().values())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def weight_errors(exact: MovaPipeline, quantized: MovaPipeline) -> list[float]:
    """Return the relative error of every quantised weight against the plain model's."""
    plain = components_of(exact)
    return [
        relative_error(plain[name].get_submodule(path).weight, layer.weight, layer.get_buffer("scales"), layer.method)
        for name, part in components_of(quantized).items()
        for path, layer in quantized_layers(part).items()
    ]


def ask(pipeline: MovaPipeline, rendered: RenderedClip, options: Mapping[str, Any], every: int) -> list[Question]:
    """Make a clip and return every so-manieth question that was put to the joint models on the way."""
    questions: list[Question] = []
    counted = 0
    forward: Callable[..., Any] = DualTower.forward

    def note(self: DualTower, *inputs: Any, **named: Any) -> Any:
        nonlocal counted
        counted += 1
        if counted % every == 0:
            expert: Expert = "high_noise" if self.video_tower is pipeline.video_dit else "low_noise"
            plain = [getattr(value, "prompt_embeds", value) for value in inputs]
            questions.append((expert, tuple(value.clone() for value in plain), named))
        return forward(self, *inputs, **named)

    with mock.patch.object(DualTower, "forward", note):
        pipeline(rendered.caption, image=rendered.clip.frames[0], seed=0, output_type="latent", **options)
    return questions


@torch.no_grad()
def velocity_errors(exact: MovaPipeline, other: MovaPipeline, questions: list[Question]) -> tuple[float, float]:
    """Return the relative error of the velocities of picture and sound, each over all questions together."""
    pairs = [pair_towers(components_of(pipeline)) for pipeline in (exact, other)]
    sums = {"video": [0.0, 0.0], "audio": [0.0, 0.0]}
    for expert, inputs, named in questions:
        right, found = (pair[expert](*inputs, **named) for pair in pairs)
        for name, (apart, size) in sums.items():
            truth = getattr(right, name)
            difference = float((getattr(found, name) - truth).square().sum())
            sums[name] = [apart + difference, size + float(truth.square().sum())]
    video, audio = ((apart / size) ** 0.5 for apart, size in sums.values())
    return video, audio


def cells(row: Row, first: Row, size: int, errors: list[float], velocity: tuple[float, float]) -> list[str]:
    """Return the cells of a row of the table."""
    found = summarise(row.scores)
    scores = [found[name].value for name in ("recall", "precision")]
    return [
        row.words,
        f"{size / 1e6:.1f}",
        f"{mean(errors):.4f}" if errors else "-",
        f"{max(errors):.4f}" if errors else "-",
        *(f"{error:.4f}" if row is not first else "-" for error in velocity),
        "-" if row is first else f"{median(row.psnr):.1f}",
        *("-" if score is None else f"{score:.3f}" for score in scores),
        f"{median(row.seconds) / median(first.seconds):.2f}",
    ]


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speed", default="fast", help="of the clips, see `mova generate --speed`")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    pipelines = {words: load(chosen.model, words) for words in (None, *METHODS)}
    exact = pipelines[None]
    rows = {method: Row(method or "float32", {"speed": chosen.speed}) for method in pipelines}
    scenes = [
        sample_scene(split_seed("heldout", 50_000 + index), kind=DEFAULT_KINDS[index % len(DEFAULT_KINDS)])
        for index in range(chosen.clips)
    ]
    clips = [render(scene, size=exact.defaults.height) for scene in scenes]
    questions = ask(exact, clips[0], rows[None].options, every=4)
    velocities = {method: velocity_errors(exact, pipeline, questions) for method, pipeline in pipelines.items()}
    for seed, rendered in enumerate(track(clips, "clips", console=Console(stderr=True))):
        plain = None
        for method, pipeline in pipelines.items():
            plain = make(pipeline, rendered, seed, rows[method], plain)
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers", "bitsandbytes"))
    lines = [
        f"# Quantised weights of {chosen.model}, {day}",
        "",
        f"{versions}; {chosen.clips} held-out clips at speed {chosen.speed}, {len(questions)} joint forwards, "
        f"threads: {chosen.threads}; `{' '.join(['benchmarks/bench_quantize.py', *sys.argv[1:]])}`",
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{' --- |' * len(HEADS)}",
    ]
    for method, pipeline in pipelines.items():
        errors = weight_errors(exact, pipeline)
        found = cells(rows[method], rows[None], size_bytes(pipeline), errors, velocities[method])
        lines.append(f"| {' | '.join(found)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
