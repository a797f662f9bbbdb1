"""How the cost of a clip grows: a forward and the decoding with size and length, the loop with the steps.

    .venv/bin/python benchmarks/bench_growth.py > benchmarks/results/growth_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_growth.py --model mova-360p --sizes 320x176 640x352 1280x720 --frames 49 97 193

Weights are random, in the sizes of the model, so that nothing is downloaded. All points of all tables take turns in one
process, so that a busy machine slows all of them alike; a figure is the median of the rounds. The first point of a
table is its baseline. Beside the times: operations counted from the sizes (`mova plan`), the rate, its share of large
matrix products of the same run, and "against counted": how many times longer a point takes than the baseline, divided
by how many times more operations it has; below 1 it costs less than counted. An exponent is the slope of the logarithm
of the seconds over that of the named count, by least squares. Growth with processes: `bench_processes.py`.

`--clock cpu` counts the processor time of this process, divided by its threads, in place of the time that passes: on a
CPU that others use too, about what it would take alone.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from mova.bench.machine import describe_machine
from mova.bench.measure import product_rate
from mova.bench.random_weights import plan_random, random_pipeline
from mova.geometry import ClipGeometry
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenNoise
from mova.pipeline.runtime import Runtime
from mova.plan.cost import forward_cost
from mova.plan.free import room_of
from mova.plan.published import find_configs, find_defaults, find_dims
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.settings.size import parse_size
from mova.weights.dims import ModelDims

FORWARDS = 3


@dataclass
class Point:
    """A clip to be timed.

    Attributes:
        name: in its table.
        settings: without guidance: one forward per step.
        is_decoded: whether the decoding is timed too.
        forward_s, loop_s, decode_s: one value per round.
    """

    name: str
    settings: SamplingSettings
    is_decoded: bool = True
    forward_s: list[float] = field(default_factory=list)
    loop_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)

    @property
    def geometry(self) -> ClipGeometry:
        """Of the clip."""
        return self.settings.geometry

    @property
    def num_tokens(self) -> int:
        """Of both modalities."""
        return self.geometry.num_video_tokens + self.geometry.num_audio_latents

    @property
    def num_pixels(self) -> int:
        """Of all frames."""
        return self.geometry.num_frames * self.geometry.height * self.geometry.width


class Runner:
    """Runs points with one pipeline.

    Args:
        model: name or directory whose sizes are taken.
        dims: its dimensions.
        device: device that computes.
        is_cpu_time: count processor time per thread.
    """

    def __init__(self, model: str, dims: ModelDims, device: torch.device, *, is_cpu_time: bool) -> None:
        self.device, self.is_cpu_time = device, is_cpu_time
        self.dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self.pipeline = random_pipeline(find_configs(model), dtype=self.dtype, device=device)
        self.pipeline.set_progress_bar_config(disable=True)
        shape = (1, dims.num_prompt_tokens, dims.video.text_dim)
        self.text = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device, self.dtype)

    def run(self, point: Point, *, counts: bool) -> None:
        """Make a clip and keep its times, if they count."""
        moments = [self.now()]
        inputs = CallInputs(
            prompt_embeds=self.text,
            noise=GivenNoise(seed=0),
            output_type="np" if point.is_decoded else "latent",
            on_step_end=lambda *_: moments.append(self.now()),
        )
        self.pipeline.run(point.settings, inputs)
        moments.append(self.now())
        if counts:
            # The first step also holds what comes before the loop.
            point.forward_s.append(float(np.median(np.diff(moments[1:-1]))))
            point.loop_s.append(moments[-2] - moments[0])
            point.decode_s.append(moments[-1] - moments[-2])

    def now(self) -> float:
        """Return the moment at which everything asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.process_time() / torch.get_num_threads() if self.is_cpu_time else time.perf_counter()


def exponent(counts: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the slope of log seconds over log counts."""
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def forward_table(title: str, points: Sequence[Point], dims: ModelDims, rate: float) -> Iterator[str]:
    """Describe how a forward and the decoding grow."""
    yield f"## {title}"
    yield ""
    yield (
        "| clip | video + audio tokens | forward, ms | GFLOP counted | GFLOP/s | of matrix products | "
        "against counted | decoding, ms | decoding, against pixels |"
    )
    yield f"|{' --- |' * 9}"
    operations = [forward_cost(dims, point.geometry).total for point in points]
    forwards = [median(point.forward_s) for point in points]
    decodes = [median(point.decode_s) for point in points]
    for point, counted, took, decoded in zip(points, operations, forwards, decodes, strict=True):
        relative = (took / forwards[0]) / (counted / operations[0])
        pixels = (decoded / decodes[0]) / (point.num_pixels / points[0].num_pixels)
        yield (
            f"| {point.name} | {point.geometry.num_video_tokens} + {point.geometry.num_audio_latents} | "
            f"{1000 * took:.0f} | {counted / 1e9:.2f} | {counted / took / 1e9:.1f} | {counted / took / rate:.2f} | "
            f"{relative:.2f} | {1000 * decoded:.0f} | {pixels:.2f} |"
        )
    yield ""
    yield (
        f"Exponents: a forward over tokens {exponent([point.num_tokens for point in points], forwards):.2f} (counted "
        f"operations over tokens {exponent([point.num_tokens for point in points], operations):.2f}), a forward over "
        f"operations {exponent(operations, forwards):.2f}, the decoding over pixels "
        f"{exponent([point.num_pixels for point in points], decodes):.2f}."
    )
    yield ""


def steps_table(points: Sequence[Point], dims: ModelDims, rate: float) -> Iterator[str]:
    """Describe how the loop grows with its steps."""
    yield f"## Steps, at {points[0].geometry.width}x{points[0].geometry.height}, {points[0].geometry.num_frames} frames"
    yield ""
    yield "| steps | loop, ms | ms per step | GFLOP counted | of matrix products | against counted |"
    yield f"|{' --- |' * 6}"
    counts = [point.settings.num_inference_steps for point in points]
    loops = [median(point.loop_s) for point in points]
    forward = forward_cost(dims, points[0].geometry).total
    for count, took in zip(counts, loops, strict=True):
        share, relative = count * forward / took / rate, (took / loops[0]) / (count / counts[0])
        yield (
            f"| {count} | {1000 * took:.0f} | {1000 * took / count:.0f} | {count * forward / 1e9:.2f} | {share:.2f} | "
            f"{relative:.2f} |"
        )
    slope, start = np.polyfit(counts, loops, 1)
    yield ""
    yield (
        f"A straight line: {1000 * slope:.0f} ms per step and {1000 * start:.0f} ms before the first; exponent "
        f"{exponent(counts, loops):.2f}."
    )
    yield ""


def make_points(chosen: argparse.Namespace, dims: ModelDims) -> tuple[list[Point], list[Point], list[Point]]:
    """Return the points of the three tables, checked."""
    defaults = find_defaults(chosen.model)

    def settings(given: GivenSettings) -> SamplingSettings:
        bare = GivenSettings(
            num_inference_steps=FORWARDS + 1, guidance_scale=1.0, modality_scale=1.0, null_image="none"
        )
        return SamplingSettings.for_model(defaults, dims.codec, given.over(bare))

    sizes = [
        Point(text, settings(GivenSettings(width=size[0], height=size[1])))
        for text, size in ((text, parse_size(text)) for text in chosen.sizes)
    ]
    frames = [Point(f"{count} frames", settings(GivenSettings(num_frames=count))) for count in chosen.frames]
    loops = [
        Point(str(count), settings(GivenSettings(num_inference_steps=count)), is_decoded=False)
        for count in chosen.steps
    ]
    return sizes, frames, loops


@torch.no_grad()
def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny", help="whose sizes are taken")
    parser.add_argument("--sizes", nargs="+", default=["64x64", "96x96", "128x128", "192x192"])
    parser.add_argument("--frames", nargs="+", type=int, default=[25, 49, 97])
    parser.add_argument("--steps", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    device, dims = torch.device("cuda" if torch.cuda.is_available() else "cpu"), find_dims(chosen.model)
    sizes, frames, loops = make_points(chosen, dims)
    points = [*sizes, *frames, *loops]
    largest = max((point.geometry for point in points), key=lambda clip: clip.num_video_tokens)
    plan_random(dims, largest, room_of(device), Runtime(memory="resident"))
    if chosen.clock == "cpu" and device.type != "cpu":
        parser.error("--clock cpu is for computation on the CPU")
    runner = Runner(chosen.model, dims, device, is_cpu_time=chosen.clock == "cpu")
    before, rates = os.getloadavg()[0], []
    for number in track(range(chosen.rounds + 1), "rounds", console=Console(stderr=True), transient=True):
        rates.append(product_rate(runner.dtype, device, runner.now))
        for point in points:
            runner.run(point, counts=number > 0)
    rate, machine = median(rates[1:]), describe_machine(device)
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    default = loops[0].geometry
    lines = [
        f"# Growth of the cost of {chosen.model}'s sizes, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{versions}; {machine.gpu or machine.cpu}, {machine.threads} threads, {runner.dtype}".replace("torch.", "")
        + f", {rate / 1e9:.0f} GFLOP/s in large matrix products; load of the machine {before:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after; `benchmarks/bench_growth.py {' '.join(sys.argv[1:])}".rstrip()
        + "`",
        "",
        *forward_table(f"Size, {default.num_frames} frames", sizes, dims, rate),
        *forward_table(f"Length, {default.width}x{default.height}", frames, dims, rate),
        *steps_table(loops, dims, rate),
    ]
    sys.stdout.write("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
