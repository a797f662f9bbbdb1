"""The joint forward and a clip's denoising loop, tuned against the straightforward path and diffusers' own tower.

    .venv/bin/python benchmarks/bench_forward.py --threads 2 > benchmarks/results/forward_<machine>_<yyyymm>.md

Everything is measured in turns in one process, so that a busy machine slows all of it alike; a figure is the median of
the rounds, and the ratio is that of the medians. Printed beside the times: operations counted from the sizes, and their
rate as a share of what plain matrix products of this machine reach.

The straightforward path: positions made anew at each call and applied as complex numbers in float64, norms and
modulation as separate operations, linear layers as PyTorch computes them by itself, texts embedded and projected to
keys and values in every call, guidance branches one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from statistics import median
from unittest import mock

import torch
from rich.console import Console
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import Guidance
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.generate.velocity import TextConditions, VelocityModel
from mova.models import attention, dit_block, rope, tower
from mova.models.bridge import CrossModalBridge
from mova.models.cpu_linear import use_onednn_linears
from mova.models.dual_tower import DualTower
from mova.models.prompt_memory import PromptMemory
from mova.models.tower import AudioTower, VideoTower
from mova.types import LatentPair

FRAME_RATE = 24.0
TEXT_ROWS, TEXT_WIDTH = 128, 256
VIDEO_GRID = (7, 16, 28)
AUDIO_STEPS = 100
VIDEO = {"dim": 512, "ffn_dim": 2048, "num_heads": 4, "num_layers": 8, "in_dim": 36, "out_dim": 16}
AUDIO = {"dim": 256, "ffn_dim": 1024, "num_heads": 2, "num_layers": 6, "in_dim": 64, "out_dim": 64}
PLAIN, TUNED = "plain", "tuned"


def build(dtype: torch.dtype, device: torch.device) -> DualTower:
    """Return a joint model of the benchmark's size with random weights."""
    torch.manual_seed(0)
    common = {"text_dim": TEXT_WIDTH, "freq_dim": 256, "eps": 1e-6}
    bridge = CrossModalBridge(
        visual_layers=VIDEO["num_layers"],
        audio_layers=AUDIO["num_layers"],
        visual_hidden_dim=VIDEO["dim"],
        audio_hidden_dim=AUDIO["dim"],
        head_dim=128,
    )
    model = DualTower(VideoTower(**VIDEO, **common), AudioTower(**AUDIO, **common), bridge)
    model = model.eval().to(device, dtype)
    use_onednn_linears([model])
    return model


def rotate_in_float64(x: torch.Tensor, table: rope.RotaryTable) -> torch.Tensor:
    """Turn neighbouring channels as complex numbers in float64."""
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * torch.complex(
        *(part.double() for part in table)
    )
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def modulate_plainly(norm: torch.nn.Module, x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Norm, scale and shift, one after the other."""
    return (norm(x) * (1 + scale) + shift).to(x.dtype)


def add_gated_plainly(x: torch.Tensor, update: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Multiply and add, one after the other."""
    return (x.float() + update.float() * gate).to(x.dtype)


def plain_linear(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Compute a linear layer as PyTorch does by itself."""
    return torch.nn.functional.linear(x, layer.weight, layer.bias)


@contextlib.contextmanager
def straightforward(model: DualTower) -> Iterator[None]:
    """Let the model run as it would if nothing had been tuned."""
    with contextlib.ExitStack() as stack:
        for module in (*model.video_tower.modules(), *model.audio_tower.modules()):
            if isinstance(module, attention.Attention):
                stack.enter_context(mock.patch.object(module, "rotate", rotate_in_float64))
        for module in model.modules():
            if type(module) is torch.nn.Linear:
                stack.enter_context(mock.patch.object(module, "forward", partial(plain_linear, module)))
        for part in (dit_block, tower):
            stack.enter_context(mock.patch.object(part, "modulate", modulate_plainly))
        stack.enter_context(mock.patch.object(dit_block, "add_gated", add_gated_plainly))
        for name in ("video_rotary", "audio_rotary", "aligned_rotary"):
            getattr(rope, name).cache_clear()
        yield


class Bench:
    """The model with its inputs.

    Args:
        dtype: of the weights.
        device: that computes.
        steps: of the denoising loop.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, steps: int) -> None:
        self.model, self.device, self.steps = build(dtype, device), device, steps
        generator = torch.Generator().manual_seed(1)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator).to(device)

        self.video, self.audio = draw(1, 36, *VIDEO_GRID), draw(1, 64, AUDIO_STEPS)
        self.text, self.null = draw(1, TEXT_ROWS, TEXT_WIDTH), draw(1, TEXT_ROWS, TEXT_WIDTH)
        self.time = torch.full((1,), 500.0, device=device)
        self.memory = PromptMemory(self.text)

    def forward(self, prompt: torch.Tensor | PromptMemory) -> torch.Tensor:
        """Call the joint forward once."""
        return self.model(self.video, self.audio, self.time, self.time, prompt, frame_rate=FRAME_RATE).video

    def plain_forward(self) -> torch.Tensor:
        """Call it once on the straightforward path."""
        with straightforward(self.model):
            return self.forward(self.text)

    def clip(self, *, tuned: bool) -> torch.Tensor:
        """Follow a schedule with text guidance."""
        velocity = VelocityModel(
            self.model,
            self.model,
            TextConditions(self.text, self.null),
            self.video[:, 16:],
            FRAME_RATE,
            batch_branches=tuned,
            remember_text=tuned,
        )
        start = LatentPair(self.video[:, :16], self.audio)
        schedule = PairedFlowMatchScheduler().make_schedule(self.steps)
        with contextlib.nullcontext() if tuned else straightforward(self.model):
            return denoise(velocity, start, schedule, guidance=Guidance(guidance_scale=3.0)).video

    def diffusers_tower(self) -> Callable[[], torch.Tensor]:
        """Return a call of diffusers' own video tower of the same size."""
        from diffusers import WanTransformer3DModel

        other = WanTransformer3DModel(
            num_attention_heads=VIDEO["num_heads"],
            attention_head_dim=VIDEO["dim"] // VIDEO["num_heads"],
            in_channels=VIDEO["in_dim"],
            out_channels=VIDEO["out_dim"],
            text_dim=TEXT_WIDTH,
            ffn_dim=VIDEO["ffn_dim"],
            num_layers=VIDEO["num_layers"],
        )
        other = other.eval().to(self.device, next(self.model.parameters()).dtype)
        return lambda: other(self.video.to(other.dtype), self.time, self.text.to(other.dtype), return_dict=False)[0]

    def own_tower(self) -> torch.Tensor:
        """Call our video tower alone, without anything remembered."""
        return self.model.video_tower(self.video, self.time, self.text)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Time one call."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def in_turns(calls: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """Return the median seconds of each call over rounds in which they take turns, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in track(range(rounds + 1), "rounds", console=Console(stderr=True), transient=True):
        for name, call in calls.items():
            took = seconds(call, device)
            if number:
                times[name].append(took)
    return {name: median(values) for name, values in times.items()}


def product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return the operations per second of large matrix products, the ceiling of what this machine can do."""
    size = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    took = in_turns({"product": lambda: left @ right}, 5, device)["product"]
    return 2 * size**3 / took


def count_operations(call: Callable[[], object]) -> int:
    """Count the operations of the matrix products and attentions of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@torch.no_grad()
def measure(rounds: int, steps: int, dtype: torch.dtype, device: torch.device) -> list[tuple[str, float, float, float]]:
    """Return rows of what, seconds, baseline's seconds, share of the ceiling."""
    bench = Bench(dtype, device, steps)
    difference = (bench.plain_forward() - bench.forward(bench.memory)).abs().max() / bench.plain_forward().std()
    limit = 1e-4 if dtype is torch.float32 else 5e-2
    if difference > limit:
        raise SystemExit(f"tuned and plain forward must agree within {limit}, got {difference:.1e}")
    # On the plain path: the counter does not know the linear layers of the tuned one.
    operations = count_operations(bench.plain_forward)
    calls = {
        "joint " + PLAIN: bench.plain_forward,
        "joint " + TUNED: lambda: bench.forward(bench.memory),
        "tower diffusers": bench.diffusers_tower(),
        "tower own": bench.own_tower,
    }
    times = in_turns(calls, rounds, device)
    clips = in_turns(
        {PLAIN: lambda: bench.clip(tuned=False), TUNED: lambda: bench.clip(tuned=True)}, max(1, rounds // 5), device
    )
    ceiling = product_rate(dtype, device)
    with straightforward(bench.model):
        tower_operations = count_operations(bench.own_tower)
    joint, own = times["joint " + TUNED], times["tower own"]
    return [
        (
            "joint forward, against the straightforward path",
            joint,
            times["joint " + PLAIN],
            operations / joint / ceiling,
        ),
        ("video tower alone, against diffusers'", own, times["tower diffusers"], tower_operations / own / ceiling),
        (
            f"{steps} steps with text guidance, against two plain forwards per step",
            clips[TUNED],
            clips[PLAIN],
            2 * steps * operations / clips[TUNED] / ceiling,
        ),
    ]


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each call")
    parser.add_argument("--steps", type=int, default=10, help="of the denoising loop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device, dtype = torch.device(chosen.device), getattr(torch, chosen.dtype)
    rows = measure(chosen.rounds, chosen.steps, dtype, device)
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    load = os.getloadavg()[0]
    lines = [
        f"# Joint forward, {name}, {day}",
        "",
        f"{versions}; {chosen.threads} threads, {chosen.dtype}; load of the machine {load:.1f}; "
        f"`benchmarks/bench_forward.py {' '.join(sys.argv[1:])}`",
        "",
        "| what | ms | baseline, ms | times faster | of the rate of PyTorch's own matrix products |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {what} | {1000 * own:.0f} | {1000 * base:.0f} | {base / own:.2f} | {share:.2f} |"
        for what, own, base, share in rows
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
