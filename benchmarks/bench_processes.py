"""Time of a guided step and bytes exchanged by 1, 2 and 4 processes that generate together, against one alone.

    .venv/bin/python benchmarks/bench_processes.py > benchmarks/results/processes_<machine>_<yyyymm>.md

Without GPUs the processes share this CPU, one thread each, and talk through gloo. In every run the main process also
does the same step alone, in turns with the shared one, while the others wait: a ratio is that of the medians. Bytes are
counted where they are handed over, per process and step; a sum over processes counts as the usual ring of messages.
Beside them: what the picture's keys and values would add, were they gathered for the sound at each layer of the bridge.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any
from unittest import mock

from mova.distributed.launch import launch
from mova.distributed.layout import Layout, parse_layout

LAYOUTS = (
    "branches=1",
    "branches=2",
    "ulysses=2",
    "ring=2",
    "branches=2,ulysses=2",
    "ulysses=4",
    "ring=2,ulysses=2",
)
FRAME_RATE = 24.0
VIDEO_GRID, AUDIO_STEPS, TEXT_ROWS, TEXT_WIDTH = (7, 28, 42), 101, 64, 128
VIDEO = {"dim": 192, "ffn_dim": 768, "num_heads": 4, "num_layers": 4, "in_dim": 36, "out_dim": 16}
AUDIO = {"dim": 192, "ffn_dim": 768, "num_heads": 4, "num_layers": 3, "in_dim": 32, "out_dim": 32}


@dataclass(frozen=True)
class Found:
    """Of one layout: seconds of a step alone and together, bytes that a process sends, largest relative difference."""

    alone_s: float
    together_s: float
    sent_bytes: int
    difference: float


class Counter:
    """Counts the bytes that this process hands over."""

    def __init__(self) -> None:
        from torch import distributed

        self.sent = 0
        self._kept: dict[str, Any] = {
            name: getattr(distributed, name)
            for name in ("all_gather", "all_to_all_single", "all_reduce", "batch_isend_irecv")
        }

    def patches(self) -> Any:
        """Return a context in which exchanges are counted."""
        from torch import distributed

        def size(tensor: Any) -> int:
            return tensor.numel() * tensor.element_size()

        def others(group: Any) -> float:
            return distributed.get_world_size(group) - 1

        def all_gather(received: Any, tensor: Any, group: Any = None) -> Any:
            self.sent += int(size(tensor) * others(group))
            return self._kept["all_gather"](received, tensor, group=group)

        def all_to_all_single(received: Any, tensor: Any, *rows: Any, group: Any = None) -> Any:
            self.sent += int(size(tensor) * others(group) / (others(group) + 1))
            return self._kept["all_to_all_single"](received, tensor, *rows, group=group)

        def all_reduce(tensor: Any, op: Any = distributed.ReduceOp.SUM, group: Any = None) -> Any:
            self.sent += int(2 * size(tensor) * others(group) / (others(group) + 1))
            return self._kept["all_reduce"](tensor, op, group=group)

        def batch_isend_irecv(operations: Any) -> Any:
            self.sent += sum(size(one.tensor) for one in operations if one.op is distributed.isend)
            return self._kept["batch_isend_irecv"](operations)

        return mock.patch.multiple(
            distributed,
            all_gather=all_gather,
            all_to_all_single=all_to_all_single,
            all_reduce=all_reduce,
            batch_isend_irecv=batch_isend_irecv,
        )


def build(device: Any) -> dict[str, Any]:
    """Return towers and bridge with random weights, by the names of the published layout."""
    import torch

    from mova.kernels.cpu_linear import use_onednn_linears
    from mova.models.bridge import CrossModalBridge
    from mova.models.tower import AudioTower, VideoTower

    torch.manual_seed(0)
    common = {"text_dim": TEXT_WIDTH, "freq_dim": 64}
    bridge = CrossModalBridge(
        visual_layers=VIDEO["num_layers"],
        audio_layers=AUDIO["num_layers"],
        visual_hidden_dim=VIDEO["dim"],
        audio_hidden_dim=AUDIO["dim"],
        head_dim=48,
    )
    parts = {
        "video_dit": VideoTower(**VIDEO, **common),
        "audio_dit": AudioTower(**AUDIO, patch_size=(1,), **common),
        "dual_tower_bridge": bridge,
    }
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    # As a whole: the components keep parts in float32 only where they are loaded.
    torch.nn.ModuleDict(parts).eval().to(device, dtype)
    use_onednn_linears(parts.values())
    return parts


def measure(text: str, rounds: int) -> Found:
    """Be one of the processes of a layout."""
    import torch
    from torch import distributed

    from mova.device import own_device
    from mova.diffusion.guidance import CONDITIONAL, TEXTLESS
    from mova.distributed.context_parallel import ContextParallel
    from mova.distributed.mesh import start_parallel
    from mova.models.experts import pair_towers
    from mova.pipeline.loop.parallel import Spread
    from mova.pipeline.loop.velocity import TextConditions, VelocityModel
    from mova.types import LatentPair

    layout, device = parse_layout(text), own_device(distributed.get_rank(), distributed.get_world_size())
    parallel = start_parallel(replicate=layout.branches, ring=layout.ring, ulysses=layout.ulysses, device=device)
    parts, generator = build(device), torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    latents = LatentPair(draw(1, 16, *VIDEO_GRID), draw(1, AUDIO["in_dim"], AUDIO_STEPS))
    texts = TextConditions(draw(1, TEXT_ROWS, TEXT_WIDTH), draw(1, TEXT_ROWS, TEXT_WIDTH))
    condition, times = draw(1, 20, *VIDEO_GRID), torch.full((1,), 500.0, device=device)
    joint, counter = pair_towers(parts)["high_noise"], Counter()

    def step(shared: bool) -> tuple[float, torch.Tensor]:
        context = ContextParallel(parts, parallel) if shared else None
        model = VelocityModel(joint, joint, texts, condition, FRAME_RATE, batch_branches=False)
        call = Spread(parallel, context).velocities(model) if shared else model
        # Texts are remembered from the first step on.
        call((CONDITIONAL, TEXTLESS), latents, times, times, "high_noise")
        synchronise(device)
        counter.sent, started = 0, time.perf_counter()
        made = call((CONDITIONAL, TEXTLESS), latents, times, times, "high_noise")
        synchronise(device)
        took = time.perf_counter() - started
        if context is not None:
            context.remove()
        return took, made[-1].video

    alone, together, difference = [], [], 0.0
    with torch.no_grad(), counter.patches():
        for _ in range(rounds):
            if parallel.is_main:
                took, expected = step(shared=False)
                alone.append(took)
            parallel.barrier()
            took, found = step(shared=True)
            together.append(took)
            if parallel.is_main:
                difference = max(difference, float((found - expected).abs().max() / expected.abs().max()))
            parallel.barrier()
    return Found(median(alone or [0.0]), median(together), counter.sent, difference)


def synchronise(device: Any) -> None:
    """Wait for a GPU."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gathering_adds(layout: Layout) -> int:
    """Return the bytes that a process would send more, if keys and values of the picture were gathered (float32)."""
    tokens = VIDEO_GRID[0] * VIDEO_GRID[1] * VIDEO_GRID[2] // 4
    layers = min(VIDEO["num_layers"], AUDIO["num_layers"])
    own = tokens / layout.context_size * 2 * AUDIO["dim"] * 4
    calls = 2 // layout.branches
    return int(calls * layers * own * (layout.context_size - 1))


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layouts", nargs="+", default=LAYOUTS, help="such as branches=2,ulysses=2")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    lines = []
    for text in chosen.layouts:
        layout = parse_layout(text)
        found = launch(layout.num_processes, measure, text, chosen.rounds)
        more = gathering_adds(layout) / 1e6
        lines.append(
            f"| {layout.num_processes} | {text} | {1000 * found.alone_s:.0f} | {1000 * found.together_s:.0f} | "
            f"{found.alone_s / found.together_s:.2f} | {found.sent_bytes / 1e6:.2f} | {more:.2f} | "
            f"{found.difference:.0e} |"
        )
        sys.stderr.write(lines[-1] + "\n")
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    head = [
        f"# A guided step on several processes, {day}",
        "",
        f"{versions}; {platform.machine()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}; "
        f"`benchmarks/bench_processes.py {' '.join(sys.argv[1:])}`".rstrip(),
        "",
        "| processes | layout | alone, ms | together, ms | times faster | MB sent by each | MB more if gathered | "
        "largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
