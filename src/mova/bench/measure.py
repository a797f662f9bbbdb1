"""How fast a model is on this machine: start-up, a forward, steps, decoding, the whole command; time, rate, memory.

Everything goes through the command and the pipeline that users call, so that whatever they choose counts. A forward is
the time from step to step of a run without guidance, which asks the model once per step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mova.bench.peak import peak_bytes, watched
from mova.errors import StageError
from mova.files.unfinished import temporary_folder
from mova.pipeline.runtime import Runtime
from mova.plan.cost import forward_cost, token_forwards
from mova.plan.published import find_configs
from mova.settings.sampling import SamplingSettings
from mova.weights.dims import ModelDims

if TYPE_CHECKING:
    import torch

    from mova.bench.machine import Machine
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.output import CallCount, OutputType
    from mova.pipeline.pipeline import MovaPipeline
    from mova.pipeline.precision import Dtypes
    from mova.plan.memory import MemoryPlan

OnStage = Callable[[str], None]
PROMPT = "a red ball falls on a drum and bounces; a dull beat at each bounce"
PRODUCT_SIZES = {"cpu": 2048, "cuda": 8192}
_ROUNDS, _TIDY_S = 5, 5.0


@dataclass(frozen=True)
class Command:
    """`mova generate` as a process of its own, medians over its runs.

    Attributes:
        wall_s: seconds from its start to its end.
        startup_s: what of that is not sampling, decoding or writing: the interpreter, imports, weights, its end.
        stages: seconds of each stage as the command reports them.
        peak_bytes: peak resident memory of the process.
        runs: number of runs.
    """

    wall_s: float
    startup_s: float
    stages: dict[str, float]
    peak_bytes: int
    runs: int


@dataclass(frozen=True)
class Speed:
    """The pipeline in this process, its kernels warm.

    Attributes:
        load_s: weights to pipeline; random ones are made instead.
        forward_s: one forward of one sample, median of `_ROUNDS`.
        loop_s: all steps at the chosen settings, texts and first frame included.
        decode_s: seconds to decode video and audio.
        predictions: asked of the model in the loop.
        repeated: how many of these mostly repeated an earlier step.
        peak_device_bytes: most memory that tensors had on the graphics card; None on a CPU.
    """

    load_s: float
    forward_s: float
    loop_s: float
    decode_s: float
    predictions: int
    repeated: int
    peak_device_bytes: int | None


@dataclass(frozen=True)
class Bench:
    """What was measured, and on what.

    Attributes:
        model: name.
        has_random_weights: instead of the model's own; nothing of a command then.
        settings: settings of the clip.
        runtime: memory, quantisation and kernels.
        dtype: dtype of towers and bridge.
        command: the whole command; None with random weights.
        speed: in this process.
        forward_operations: counted of one forward, 2 x multiply-accumulate.
        ceiling_rate: operations per second of large matrix products in `dtype`.
        peak_rss_bytes: peak resident memory of this process.
        machine: hardware and versions.
        load: load of the machine before and after, processes that want a core (1 minute).
    """

    model: str
    has_random_weights: bool
    settings: SamplingSettings
    runtime: Runtime
    dtype: str
    command: Command | None
    speed: Speed
    forward_operations: int
    ceiling_rate: float
    peak_rss_bytes: int
    machine: Machine
    load: tuple[float, float]

    @property
    def forward_rate(self) -> float:
        """Operations per second of a forward."""
        return self.forward_operations / self.speed.forward_s

    @property
    def steps_per_s(self) -> float:
        """Steps of the sampler per second of the loop."""
        return self.settings.num_inference_steps / self.speed.loop_s


def measure(
    model: str,
    dims: ModelDims,
    settings: SamplingSettings,
    *,
    options: Sequence[str] | None,
    runtime: Runtime,
    runs: int = 1,
    on_stage: OnStage = lambda _: None,
) -> Bench:
    """Measure a model.

    Args:
        model: shipped name, directory or preset.
        dims: its dimensions.
        settings: settings of the clip, checked.
        options: the same as options of `mova generate`; None measures random weights, which no command can load.
        runtime: memory, quantisation, kernels and precision; random weights cannot be offloaded to disk.
        runs: number of runs of the command.
        on_stage: told what is being measured.

    Raises:
        ConfigError: random weights that memory cannot hold.
        MovaError: as `load_pipeline` and a call of the pipeline.
        StageError: the command failed; with its own words.
    """
    import torch

    from mova.bench.machine import describe_machine
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.inputs.media import GivenNoise
    from mova.pipeline.kernels import with_compile_settled
    from mova.pipeline.precision import choose_dtypes

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtypes = choose_dtypes(device, precision=runtime.precision, holds=runtime.quantization is None)
    runtime = with_compile_settled(replace(runtime, token_forwards=token_forwards(settings)), device)
    before = _load()
    command, plan, inputs = None, None, CallInputs(prompt=PROMPT, noise=GivenNoise(seed=0))
    if options is None:
        from mova.bench.random_weights import plan_random, random_inputs
        from mova.pipeline.kernels import check_kernels_of
        from mova.plan.free import room_of

        plan = plan_random(dims, settings.geometry, room_of(device), runtime)
        check_kernels_of(runtime, find_configs(model), device, dtypes.towers)
        inputs = random_inputs(dims, dtypes.towers, device)
    else:
        on_stage(f"the whole command, {runs} run{'s' if runs > 1 else ''}")
        command = run_command([*options, "--json"], runs)
    on_stage("random weights" if options is None else "weights")
    pipeline, load_s = _pipeline(model, device, dtypes, runtime, plan)
    speed = measure_pipeline(pipeline, settings, inputs, device, load_s, on_stage)
    on_stage("matrix products")
    dtype = pipeline.dtype
    del pipeline
    return Bench(
        model=model,
        has_random_weights=options is None,
        settings=settings,
        runtime=runtime,
        dtype=str(dtype).removeprefix("torch."),
        command=command,
        speed=speed,
        forward_operations=forward_cost(dims, settings.geometry).total,
        ceiling_rate=product_rate(dtype, device),
        peak_rss_bytes=peak_bytes(),
        machine=describe_machine(device),
        load=(before, _load()),
    )


def run_command(options: Sequence[str], runs: int) -> Command:
    """Run `mova generate` in processes of its own and time them from outside.

    Args:
        options: without `--prompt` and `--output`, with `--json`.
        runs: number of runs.

    Raises:
        StageError: it failed.
    """
    walls, startups, peaks, stages = [], [], [], []
    with temporary_folder("mova-bench-") as folder:
        for number in range(runs):
            target = str(folder / f"{number}.mp4")
            command = [sys.executable, "-m", "mova.cli", "generate", "--prompt", PROMPT, "--output", target, *options]
            start = time.perf_counter()
            printed, peak = _run(command, folder)
            walls.append(time.perf_counter() - start)
            stages.append(json.loads(printed)["seconds"])
            startups.append(walls[-1] - sum(took for stage, took in stages[-1].items() if stage != "loading"))
            peaks.append(peak)
    return Command(
        wall_s=median(walls),
        startup_s=median(startups),
        stages={stage: median(run[stage] for run in stages) for stage in stages[0]},
        peak_bytes=max(peaks),
        runs=runs,
    )


def measure_pipeline(
    pipeline: MovaPipeline,
    settings: SamplingSettings,
    inputs: CallInputs,
    device: torch.device,
    load_s: float,
    on_stage: OnStage = lambda _: None,
) -> Speed:
    """Time a pipeline's forward, loop and decoding after calls that do not count.

    Args:
        pipeline: loaded.
        settings: settings of the clip.
        inputs: inputs of a run that say what to generate.
        device: device that computes.
        load_s: seconds of loading, to be kept with the result.
        on_stage: told what is being measured.
    """
    import torch

    on_stage("a forward")
    bare = replace(
        settings,
        num_inference_steps=_ROUNDS + 2,
        guidance_scale=1.0,
        modality_scale=1.0,
        audio_guidance_scale=None,
        audio_modality_scale=None,
        step_cache=0.0,
        sampler="euler",
    )
    times, _ = _timed(pipeline, bare, inputs, device, output_type="latent")
    # From step to step: what comes before the first belongs to the texts, and the first one warms kernels up.
    forward_s = median(after - earlier for earlier, after in pairwise(times[2:-1]))
    on_stage(f"{settings.num_inference_steps} steps and decoding")
    _timed(pipeline, replace(settings, num_inference_steps=1), inputs, device, output_type="np")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times, calls = _timed(pipeline, settings, inputs, device, output_type="np")
    return Speed(
        load_s=load_s,
        forward_s=forward_s,
        loop_s=times[-2] - times[0],
        decode_s=times[-1] - times[-2],
        predictions=calls.predictions,
        repeated=calls.repeated,
        peak_device_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    )


def product_rate(dtype: torch.dtype, device: torch.device, now: Callable[[], float] | None = None) -> float:
    """Return the operations per second of large matrix products, the ceiling of what this machine can do.

    On a CPU the faster of PyTorch's own products and of the linear layers that towers use (`mova.kernels.cpu_linear`).

    Args:
        dtype: dtype of the matrices.
        device: device that computes.
        now: clock in seconds; None is the wall clock, once the device is done.
    """
    import torch

    from mova.kernels.cpu_linear import use_onednn_linears

    size = PRODUCT_SIZES[device.type]
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    layer = torch.nn.Linear(size, size, dtype=dtype, device=device)
    use_onednn_linears([layer])

    clock = now or (lambda: _now(device))

    def seconds(call: Callable[[], object]) -> float:
        start = clock()
        call()
        return clock() - start

    with torch.no_grad():
        times = [(seconds(lambda: left @ right), seconds(lambda: layer(left))) for _ in range(_ROUNDS + 1)]
    return float(2 * size**3 / min(median(column) for column in zip(*times[1:], strict=True)))


def _timed(
    pipeline: MovaPipeline,
    settings: SamplingSettings,
    inputs: CallInputs,
    device: torch.device,
    output_type: OutputType,
) -> tuple[list[float], CallCount]:
    """Return the moments of the start, of each step's end and of the result, and how often the model was asked."""
    times = [_now(device)]

    def note(*_: object) -> None:
        times.append(_now(device))

    result = pipeline.run(settings, replace(inputs, output_type=output_type, on_step_end=note))
    times.append(_now(device))
    assert result.calls is not None, "the pipeline counts its calls"
    return times, result.calls


def _pipeline(
    model: str, device: torch.device, dtypes: Dtypes, runtime: Runtime, plan: MemoryPlan | None
) -> tuple[MovaPipeline, float]:
    """Return a pipeline and the seconds that it took, imports apart; with a plan one of random weights."""
    if plan is not None:
        from mova.bench.random_weights import random_pipeline

        configs = find_configs(model)
        start = time.perf_counter()
        chosen = {"dtype": dtypes.towers, "decoding": dtypes.decoding}
        made = random_pipeline(configs, **chosen, device=device, runtime=runtime, plan=plan)
    else:
        from mova.pipeline.load import load_pipeline

        start = time.perf_counter()
        made = load_pipeline(model, device=device, runtime=runtime)
    made.set_progress_bar_config(disable=True)
    return made, _now(device) - start


def _run(command: list[str], folder: Path) -> tuple[str, int]:
    """Run a command; return what it printed and the peak of its resident memory in bytes."""
    with (folder / "errors.txt").open("w+") as errors, (folder / "printed.txt").open("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=errors, text=True)
        try:
            with watched(lambda: [process.pid]) as peak:
                process.wait()
        except BaseException:
            _end(process)
            raise
        if process.returncode:
            errors.seek(0)
            raise StageError(f"{' '.join(command[3:])} ended with {process.returncode}: {errors.read().strip()}")
        printed.seek(0)
        return printed.read().splitlines()[-1], peak.bytes


def _end(process: subprocess.Popen[str]) -> None:
    """End a command, which may take a moment to remove what it was making."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(_TIDY_S)
    process.kill()
    process.wait()


def _now(device: torch.device) -> float:
    """Return the moment at which everything asked of the device is done."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter()


def _load() -> float:
    return round(os.getloadavg()[0], 1)
