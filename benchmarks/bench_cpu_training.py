"""Forward and backward pass of the joint model on a CPU: float32, bfloat16, and bfloat16 with attention written out.

    .venv/bin/python benchmarks/bench_cpu_training.py > benchmarks/results/cpu_training_<machine>_<yyyymm>.md

mova-tiny at 128x128 and 49 frames, random inputs, one expert, no optimiser (a hundredth of a step). The ways take
turns, so that a busy machine is busy for all of them alike. Prints a note in Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import torch

from mova.device import autocast
from mova.kernels.attention_backends import use_backend
from mova.kernels.cpu_attention import use_cpu_attention, written_out_attention
from mova.models.experts import Experts, pair_towers
from mova.weights.components import load_component
from mova.weights.locate import find_model

PARTS = ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")
CPU = torch.device("cpu")
# Words, dtype of the products, and whether torch's own attention is asked for.
WAYS = {
    "float32": ("float32", True),
    "bfloat16": ("bfloat16", True),
    "bfloat16, attention written out": ("bfloat16", False),
}


def joint_step(batch_size: int) -> Callable[[str, bool], None]:
    """Return a function that computes one forward and backward pass."""
    components = {name: load_component(find_model("mova-tiny") / name).float().train() for name in PARTS}
    use_cpu_attention()
    experts = Experts(pair_towers(components))
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch_size, *shape, generator=generator)

    inputs = draw(36, 13, 16, 16), draw(32, 103), *(torch.full((batch_size,), 500.0) for _ in range(2)), draw(96, 192)

    def step(compute: str, own_kernel: bool) -> None:
        use_backend("native", components.values())
        if not own_kernel:
            for component in components.values():
                component.reset_attention_backend()  # type: ignore[operator]
        with autocast(CPU, compute):
            velocities = experts("low_noise", *inputs, frame_rate=24.0, use_bridge=True)
        (velocities.video.float().square().mean() + velocities.audio.float().square().mean()).backward()
        for component in components.values():
            component.zero_grad()

    return step


def attention_step(queries: int, keys: int, batch_size: int) -> Callable[[str, bool], None]:
    """Return a function that computes attention of 4 heads of 48 channels and its gradients."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(batch_size, length, 4, 48, generator=generator) for length in (queries, keys, keys)]

    def step(compute: str, own_kernel: bool) -> None:
        inputs = [x.to(getattr(torch, compute)).requires_grad_() for x in drawn]
        if own_kernel:
            heads = (x.transpose(1, 2) for x in inputs)
            output = torch.nn.functional.scaled_dot_product_attention(*heads)
        else:
            output = written_out_attention(*inputs)
        output.sum().backward()

    return step


def measure(step: Callable[[str, bool], None], repeat: int) -> dict[str, list[float]]:
    """Return the seconds of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(repeat + 1):
        for name, way in WAYS.items():
            start = time.perf_counter()
            step(*way)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    batch = chosen.batch_size
    measured = {
        "joint model": joint_step(batch),
        "attention, 832 to 832 tokens": attention_step(832, 832, batch),
        "attention, 832 to 96 tokens": attention_step(832, 96, batch),
        "attention, 103 to 832 tokens": attention_step(103, 832, batch),
    }
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    lines = [
        f"# Training on a CPU, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"- machine: {platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{chosen.threads} threads, {platform.platform()}, load {os.getloadavg()[0]:.1f} before",
        f"- Python {platform.python_version()}, {versions}",
        f"- {batch} samples, median of {chosen.repeat}, forward and backward; in brackets the rate against float32",
        "",
        f"| | {' | '.join(WAYS)} |",
        "|---|" + "---|" * len(WAYS),
    ]
    for words, step in measured.items():
        medians = [statistics.median(values) for values in measure(step, chosen.repeat).values()]
        cells = [f"{1e3 * seconds:.0f} ms ({medians[0] / seconds:.2f})" for seconds in medians]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
