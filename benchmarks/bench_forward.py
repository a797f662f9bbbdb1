"""The joint forward and a clip's denoising loop, tuned against the straightforward path and diffusers' own tower.

    .venv/bin/python benchmarks/bench_forward.py --threads 2 > benchmarks/results/forward_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_forward.py --threads 1 --clock processor --official ../MOVA
    .venv/bin/python benchmarks/bench_forward.py --sizes full --device cuda --dtype bfloat16 --rounds 5 --steps 4

Everything is measured in turns in one process, so that a busy machine slows all of it alike; a figure is the median of
the rounds, and the ratio is that of the medians. Processor time (of all threads) is steadier still. Printed beside: the
operations of products and attention, and their rate as a share of the ceiling, the fastest large product of the rounds.

The straightforward path: positions made anew at each call and applied as complex numbers in float64, norms and
modulation as separate operations, linear layers as PyTorch computes them by itself, texts embedded and projected to
keys and values in every call, guidance branches one after the other.

Plain kernels: everything tuned, but for the products of linear layers on a CPU, which go by the fixed rule of `mova
generate --kernels plain`. All tuned rows compute with `auto`, what a short measurement found to be fastest here.

With `--official DIR` the joint model of the official repository, imported from a clone of it (OpenMOSS/MOVA), computes
the same forward with the same weights in the same rounds (`official_forward.py`); nothing of it is copied in.

The full sizes are those of the published model with 193 frames of 640x352, random weights; they need a GPU of 80 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import datetime
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from official_forward import OfficialForward
from rich.console import Console
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import Branch, Guidance
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError
from mova.kernels.attention_backends import BACKENDS, check_backend, use_backend
from mova.kernels.calibration import choose_linears, processor_name
from mova.kernels.compile import check_compiler, compile_blocks
from mova.kernels.cpu_linear import use_onednn_linears
from mova.kernels.cpu_memory import keep_freed_memory
from mova.kernels.text_cache import TextCache
from mova.models import attention, dit_block, rope, tower
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.pipeline.loop.velocity import TextConditions, VelocityModel
from mova.types import LatentPair, Velocities

FRAME_RATE = 24.0
HEAD_DIM = 128
PLAIN, TUNED, COMPILED = "plain", "tuned", "compiled"
PLAIN_KERNELS, OFFICIAL = "plain kernels", "official"


@dataclass(frozen=True)
class Sizes:
    """What is computed: arguments of the towers, latents, and prompt embeddings."""

    video: dict[str, Any]
    audio: dict[str, Any]
    video_grid: tuple[int, int, int]
    audio_steps: int
    text: tuple[int, int]


SIZES = {
    "small": Sizes(
        {"dim": 512, "ffn_dim": 2048, "num_heads": 4, "num_layers": 8, "in_dim": 36, "out_dim": 16},
        {"dim": 256, "ffn_dim": 1024, "num_heads": 2, "num_layers": 6, "in_dim": 64, "out_dim": 64},
        (7, 16, 28),
        100,
        (128, 256),
    ),
    "full": Sizes(
        {"dim": 5120, "ffn_dim": 13824, "num_heads": 40, "num_layers": 40, "in_dim": 36, "out_dim": 16},
        {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30, "in_dim": 128, "out_dim": 128},
        (49, 44, 80),
        403,
        (512, 4096),
    ),
}


def build(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> DualTower:
    """Return a joint model with random weights, made where it computes."""
    torch.manual_seed(0)
    common = {"text_dim": sizes.text[1], "freq_dim": 256, "eps": 1e-6}
    layers = {"visual_layers": sizes.video["num_layers"], "audio_layers": sizes.audio["num_layers"]}
    widths = {"visual_hidden_dim": sizes.video["dim"], "audio_hidden_dim": sizes.audio["dim"]}
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with device:
        bridge = CrossModalBridge(**layers, **widths, head_dim=HEAD_DIM)
        model = DualTower(VideoTower(**sizes.video, **common), AudioTower(**sizes.audio, **common), bridge)
    torch.set_default_dtype(default)
    return model.eval().requires_grad_(False)


def choose_kernels(model: DualTower, dtype: torch.dtype, device: torch.device) -> tuple[DualTower | None, str]:
    """Let the linear layers of a model compute as `auto` does.

    Returns:
        A twin with the same weights that computes with plain kernels, or None where there is no choice, and what auto
        took, in words.
    """
    if device.type != "cpu" or dtype is not torch.float32:
        return None, "torch's own"
    twin = copy.deepcopy(model, memo={id(parameter): parameter for parameter in model.parameters()})
    use_onednn_linears([twin])
    keep_freed_memory()
    choice = choose_linears([model])
    use_onednn_linears([model], choice)
    by_onednn = sum(product == "onednn" for product in choice.products.values())
    return twin, f"oneDNN for {by_onednn} of {len(choice.products)} classes of shapes"


def rotate_in_float64(x: torch.Tensor, table: rope.RotaryTable, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Turn neighbouring channels as complex numbers in float64."""
    angles = torch.complex(*(part.double() for part in table))
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * angles
    return torch.view_as_real(turned).flatten(-2).to(dtype or x.dtype)


def modulate_plainly(norm: torch.nn.Module, x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Norm, scale and shift, one after the other."""
    return (norm(x) * (1 + scale) + shift).to(x.dtype)


def add_gated_plainly(x: torch.Tensor, update: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Multiply and add, one after the other."""
    return (x.float() + update.float() * gate).to(x.dtype)


def plain_norm(norm: attention.RMSNorm, x: torch.Tensor) -> torch.Tensor:
    """Root-mean-square norm as PyTorch has it."""
    return torch.nn.functional.rms_norm(x.float(), norm.weight.shape, norm.weight.float(), norm.eps)


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
            if type(module) is attention.RMSNorm:
                stack.enter_context(mock.patch.object(module, "forward", partial(plain_norm, module)))
        for part in (dit_block, tower):
            stack.enter_context(mock.patch.object(part, "modulate", modulate_plainly))
        stack.enter_context(mock.patch.object(dit_block, "add_gated", add_gated_plainly))
        for name in ("video_rotary", "audio_rotary", "aligned_rotary"):
            getattr(rope, name).cache_clear()
        yield


class Bench:
    """The model with its inputs.

    Args:
        sizes: sizes of both.
        dtype: dtype of the weights.
        device: device that computes.
        steps: number of steps of the denoising loop.
        official: clone of the official repository, or None.
    """

    def __init__(
        self, sizes: Sizes, dtype: torch.dtype, device: torch.device, steps: int, official: Path | None = None
    ) -> None:
        self.sizes, self.device, self.steps, self.model = sizes, device, steps, build(sizes, dtype, device)
        self.official = None if official is None else OfficialForward(official, self.model)
        self.twin, self.kernels = choose_kernels(self.model, dtype, device)
        self.parts = [self.model.video_tower, self.model.audio_tower, self.model.bridge]
        self._compiled: dict[torch.nn.Module, Any] = {}
        generator = torch.Generator().manual_seed(1)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator).to(device)

        self.video = draw(1, sizes.video["in_dim"], *sizes.video_grid)
        self.audio = draw(1, sizes.audio["in_dim"], sizes.audio_steps)
        self.text, self.null = draw(1, *sizes.text), draw(1, *sizes.text)
        self.time = torch.full((1,), 500.0, device=device)
        self.cache, self.twin_cache = TextCache(self.text), TextCache(self.text)

    def forward(self) -> torch.Tensor:
        """Call the joint forward once."""
        return self.model(self.video, self.audio, self.time, self.time, self.text, frame_rate=FRAME_RATE).video

    def cached_forward(self) -> torch.Tensor:
        """Call it once with the text K/V cache."""
        with self.cache.applied(self.model.video_tower, self.model.audio_tower):
            return self.forward()

    def forward_with_plain_kernels(self) -> torch.Tensor:
        """Call it once with the text K/V cache and plain kernels."""
        assert self.twin is not None, "asked for only where there is one"
        inputs = (self.video, self.audio, self.time, self.time, self.text)
        with self.twin_cache.applied(self.twin.video_tower, self.twin.audio_tower):
            return self.twin(*inputs, frame_rate=FRAME_RATE).video

    def official_forward(self) -> torch.Tensor:
        """Call the official model once."""
        assert self.official is not None, "asked for only where there is one"
        inputs = (self.video, self.audio, self.time, self.time, self.text)
        return self.official(*inputs, frame_rate=FRAME_RATE).video

    def plain_forward(self) -> torch.Tensor:
        """Call it once on the straightforward path."""
        with straightforward(self.model):
            return self.forward()

    def forward_with(self, attention_backend: str) -> torch.Tensor:
        """Call it once with another attention."""
        use_backend(attention_backend, self.parts)
        velocity = self.cached_forward()
        use_backend("native", self.parts)
        return velocity

    def compile(self) -> None:
        """Prepare compiled blocks, which `compiled_forward` alone uses."""
        compile_blocks(self.parts)
        blocks = [block for block in self.model.modules() if "forward" in vars(block)]
        self._compiled = {block: vars(block).pop("forward") for block in blocks if "compiled" in vars(block.forward)}

    def compiled_forward(self) -> torch.Tensor:
        """Call it once with compiled blocks."""
        for block, forward in self._compiled.items():
            block.forward = forward
        velocity = self.cached_forward()
        for block in self._compiled:
            del block.forward
        return velocity

    def clip(self, *, tuned: bool, model: DualTower | None = None) -> torch.Tensor:
        """Follow a schedule with text guidance."""
        model = model or self.model
        velocity = VelocityModel(
            model,
            model,
            TextConditions(self.text, self.null),
            self.video[:, 16:],
            FRAME_RATE,
            batch_branches=tuned,
            remember_text=tuned,
        )
        with contextlib.nullcontext() if tuned else straightforward(model):
            return self._denoised(velocity)

    def official_clip(self) -> torch.Tensor:
        """Follow the same schedule with two calls of the official model per step, as its pipeline does."""
        official, texts = self.official, {True: self.text, False: self.null}
        assert official is not None, "asked for only where there is one"

        def velocity(
            branches: list[Branch], latents: LatentPair, video_time: torch.Tensor, audio_time: torch.Tensor, _: str
        ) -> list[Velocities]:
            video = torch.cat([latents.video, self.video[:, 16:]], dim=1)
            inputs = (video, latents.audio, video_time, audio_time)
            return [official(*inputs, texts[branch.text], frame_rate=FRAME_RATE) for branch in branches]

        return self._denoised(velocity)

    def _denoised(self, velocity: Any) -> torch.Tensor:
        start = LatentPair(self.video[:, :16], self.audio)
        schedule = PairedFlowMatchScheduler().make_schedule(self.steps)
        return denoise(velocity, start, schedule, guidance=Guidance(guidance_scale=3.0)).video

    def diffusers_tower(self) -> Callable[[], torch.Tensor]:
        """Return a call of diffusers' own video tower of the same size."""
        from diffusers import WanTransformer3DModel

        video = self.sizes.video
        other = WanTransformer3DModel(
            num_attention_heads=video["num_heads"],
            attention_head_dim=video["dim"] // video["num_heads"],
            in_channels=video["in_dim"],
            out_channels=video["out_dim"],
            text_dim=self.sizes.text[1],
            **{name: video[name] for name in ("ffn_dim", "num_layers")},
        )
        other = other.eval().to(self.device, next(self.model.parameters()).dtype)
        return lambda: other(self.video.to(other.dtype), self.time, self.text.to(other.dtype), return_dict=False)[0]

    def own_tower(self) -> torch.Tensor:
        """Call our video tower alone, without anything remembered."""
        return self.model.video_tower(self.video, self.time, self.text)


def in_turns(
    calls: dict[str, Callable[[], object]], rounds: int, device: torch.device, clock: Callable[[], float]
) -> dict[str, float]:
    """Return the median seconds of each call over rounds in which they take turns, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    order = list(calls)
    for _ in track(range(rounds + 1), "rounds", console=Console(stderr=True), transient=True):
        order = [*order[1:], order[0]]
        for name in order:
            wait()
            started = clock()
            calls[name]()
            wait()
            times[name].append(clock() - started)
    return {name: median(values[1:]) for name, values in times.items()}


def products(dtype: torch.dtype, device: torch.device) -> tuple[int, dict[str, Callable[[], object]]]:
    """Return the operations of a large matrix product, and calls that compute it, by name: the ceiling of a machine."""
    size = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    calls: dict[str, Callable[[], object]] = {"product": lambda: left @ right}
    layer = torch.nn.Linear(size, size, bias=False, dtype=dtype, device=device)
    if device.type == "cpu" and use_onednn_linears([layer]):
        calls["product by oneDNN"] = lambda: layer(left)
    return 2 * size**3, calls


def backends(dtype: torch.dtype, device: torch.device, is_full: bool) -> list[str]:
    """Return the attention back-ends that run here, but for the default one."""
    # All attention weights of the full sizes would be 149 GB.
    left_out = ("native", "native_math") if is_full else ("native",)
    found = []
    for name in [name for name in BACKENDS if name not in left_out]:
        with contextlib.suppress(ConfigError):
            check_backend(name, device, dtype, head_dims=(HEAD_DIM,))
            found.append(name)
    return found


def count_operations(call: Callable[[], object]) -> int:
    """Count the operations of the matrix products and attentions of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@dataclass(frozen=True)
class Row:
    """One line of the note: seconds of a call and of its baseline, and operations of the call."""

    what: str
    own: float
    baseline: float
    operations: int

    def to_markdown(self, ceiling: float) -> str:
        """Return it as a row of a table; the ceiling in operations per second."""
        share = self.operations / self.own / ceiling
        times = f"{1000 * self.own:.0f} | {1000 * self.baseline:.0f} | {self.baseline / self.own:.2f}"
        return f"| {self.what} | {times} | {self.operations / 1e9:.0f} | {share:.2f} |"


def check_equal(bench: Bench, names: list[str], dtype: torch.dtype) -> None:
    """Make sure that all ways to compute the joint forward give the same."""
    plain = bench.plain_forward()
    ways = {TUNED: bench.cached_forward} | {
        name: partial(bench.forward_with, name) for name in names if BACKENDS[name].is_exact
    }
    if bench._compiled:
        ways[COMPILED] = bench.compiled_forward
    if bench.twin is not None:
        ways[PLAIN_KERNELS] = bench.forward_with_plain_kernels
    if bench.official is not None:
        ways[OFFICIAL] = bench.official_forward
    limit = 1e-4 if dtype is torch.float32 else 5e-2
    for name, way in ways.items():
        if (difference := (plain - way()).abs().max() / plain.std()) > limit:
            raise SystemExit(f"{name} and plain forward must agree within {limit}, got {difference:.1e}")


@torch.no_grad()
def measure(
    bench: Bench, rounds: int, dtype: torch.dtype, device: torch.device, clock: Callable[[], float]
) -> tuple[list[Row], dict[str, float]]:
    """Return rows, and the rates of matrix products in operations per second."""
    is_full = bench.sizes is SIZES["full"]
    names = backends(dtype, device, is_full)
    with contextlib.suppress(ConfigError):
        check_compiler(device)
        bench.compile()
    check_equal(bench, names, dtype)
    # On the plain path: the counter does not know the linear layers of the tuned one.
    operations = count_operations(bench.plain_forward)
    with straightforward(bench.model):
        tower_operations = count_operations(bench.own_tower)
    calls: dict[str, Callable[[], object]] = {
        "joint " + PLAIN: bench.plain_forward,
        "joint " + TUNED: bench.cached_forward,
        "tower own": bench.own_tower,
    }
    if bench.twin is not None:
        calls["joint " + PLAIN_KERNELS] = bench.forward_with_plain_kernels
    if bench.official is not None:
        calls["joint " + OFFICIAL] = bench.official_forward
    if bench._compiled:
        calls["joint " + COMPILED] = bench.compiled_forward
    if not is_full:  # Beside the full model there is no room for it.
        calls["tower diffusers"] = bench.diffusers_tower()
    calls |= {name: partial(bench.forward_with, name) for name in names}
    product, ways = products(dtype, device)
    times = in_turns(calls | ways, rounds, device, clock)
    made: dict[str, Callable[[], object]] = {
        PLAIN: lambda: bench.clip(tuned=False),
        TUNED: lambda: bench.clip(tuned=True),
    }
    if bench.twin is not None:
        made[PLAIN_KERNELS] = lambda: bench.clip(tuned=True, model=bench.twin)
    if bench.official is not None:
        made[OFFICIAL] = bench.official_clip
    clips = in_turns(made, max(1, rounds // 5), device, clock)
    rows = _rows(bench, times, clips, names, operations, tower_operations)
    return rows, {name: product / times[name] for name in ways}


def _rows(
    bench: Bench,
    times: dict[str, float],
    clips: dict[str, float],
    backend_names: list[str],
    operations: int,
    tower_operations: int,
) -> list[Row]:
    """Return the lines of the note, from the seconds of each call."""
    joint, own = times["joint " + TUNED], times["tower own"]
    rows = [Row("joint forward, against the straightforward path", joint, times["joint " + PLAIN], operations)]
    if bench.twin is not None:
        rows.append(Row("joint forward, against plain kernels", joint, times["joint " + PLAIN_KERNELS], operations))
    if bench.official is not None:
        rows.append(Row("joint forward, against the official code", joint, times["joint " + OFFICIAL], operations))
    if bench._compiled:
        what = "joint forward with compiled blocks, against it without"
        rows.append(Row(what, times["joint " + COMPILED], joint, operations))
    rows += [
        Row(f"joint forward, attention {name}, against native", times[name], joint, operations)
        for name in backend_names
    ]
    if "tower diffusers" in times:
        rows.append(Row("video tower alone, against diffusers'", own, times["tower diffusers"], tower_operations))
    what = f"{bench.steps} steps with text guidance, against two plain forwards per step"
    guided, all_operations = clips[TUNED], 2 * bench.steps * operations
    rows.append(Row(what, guided, clips[PLAIN], all_operations))
    what = f"{bench.steps} steps with text guidance, against"
    if bench.twin is not None:
        rows.append(Row(f"{what} plain kernels", guided, clips[PLAIN_KERNELS], all_operations))
    if bench.official is not None:
        rows.append(Row(f"{what} the official code", guided, clips[OFFICIAL], all_operations))
    return rows


def main() -> None:
    """Read the options, measure, print a note in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each call")
    parser.add_argument("--steps", type=int, default=10, help="of the denoising loop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sizes", choices=tuple(SIZES), default="small")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall", help="the latter on a busy CPU")
    parser.add_argument(
        "--official", type=Path, metavar="DIR", help="clone of the official repository, measured in the same rounds"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device, dtype = torch.device(chosen.device), getattr(torch, chosen.dtype)
    if chosen.sizes == "full" and (device.type, chosen.dtype) != ("cuda", "bfloat16"):
        parser.error(f"--sizes full needs --device cuda --dtype bfloat16, got {chosen.device} and {chosen.dtype}")
    clock = {"wall": time.perf_counter, "processor": time.process_time}[chosen.clock]
    # Of the official code on a CPU: its autocast names a GPU.
    warnings.filterwarnings("ignore", message=".*autocast.*")
    try:
        bench = Bench(SIZES[chosen.sizes], dtype, device, chosen.steps, chosen.official)
    except ConfigError as error:
        parser.error(str(error))
    rows, rates = measure(bench, chosen.rounds, dtype, device, clock)
    versions = ", ".join(f"{package} {version(package)}" for package in ("mova", "torch", "diffusers"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    products_text = ", ".join(f"{product} {rate / 1e9:.0f} GFLOP/s" for product, rate in rates.items())
    lines = [
        f"# Joint forward, {name}, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{versions}; {chosen.threads} threads, {chosen.dtype}, {chosen.clock} time; "
        f"load of the machine {os.getloadavg()[0]:.1f}; `benchmarks/bench_forward.py {' '.join(sys.argv[1:])}`",
        "",
        f"Kernels of linear layers: {bench.kernels}."
        + ("" if bench.official is None else f" Official: {bench.official.words}."),
        "",
        f"Large matrix products in the same rounds: {products_text}; the fastest one is the ceiling.",
        "",
        "| what | ms | baseline, ms | times faster | GFLOP | of the ceiling |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join([*lines, *(row.to_markdown(max(rates.values())) for row in rows)]) + "\n")


if __name__ == "__main__":
    main()
