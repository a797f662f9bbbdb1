"""A plan as a JSON record and as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from mova.kernels.compile_rule import COMPILE_S, compiling_saves
from mova.plan.component_bytes import element_bytes_on
from mova.plan.cost import Plan, cpu_estimate, in_words, memory_plans, seconds, time_estimates
from mova.plan.gpus import CPU_TFLOPS_PER_CORE, Gpu
from mova.plan.memory import GB, USABLE_SHARE, MemoryPlan
from mova.settings.speed import speed_named

TERA = 1e12


def to_record(made: Plan, gpus: Sequence[Gpu], num_cores: int) -> dict[str, object]:
    """Return the plan as plain values; operations are whole numbers, times are in seconds by GPU and assumed rate.

    Args:
        made: the plan.
        gpus: whose times and placements are wanted.
        num_cores: number of cores of the CPU whose time is wanted.
    """
    geometry = made.geometry
    return {
        "model": made.model.name,
        "parameters": made.model.parameters,
        "frames": geometry.num_frames,
        "duration_s": geometry.duration_s,
        "video_latents": geometry.video_latent_shape,
        "audio_latents": geometry.audio_latent_shape,
        "video_tokens": geometry.num_video_tokens,
        "audio_tokens": geometry.num_audio_latents,
        "forward_operations": {**asdict(made.forward), "total": made.forward.total},
        "calls_per_step": asdict(made.calls),
        "speed": made.speed,
        "gpus": made.num_gpus,
        "quantization": made.quantization,
        "steps": made.num_steps,
        "step_operations": made.step_operations,
        "total_operations": made.total_operations,
        "compiled_by_default": made.compiles,
        "step_cache_order": None if made.step_cache is None else made.step_cache.order,
        "step_cache_bytes": round(_kept_gb(made, is_gpu=True) * GB),
        "memory_estimates": [_memory_record(memory) for memory in made.memory],
        "denoising_seconds": {gpu.name: time_estimates(made, gpu) for gpu in gpus},
        "denoising_is_upper_bound": made.is_upper_bound,
        "fits": {gpu.name: fit.placement if (fit := _fitting(made.memory, gpu)) else None for gpu in gpus},
        "cpu": {"cores": num_cores, "denoising_seconds": cpu_estimate(made, num_cores)},
    }


def _memory_record(memory: MemoryPlan) -> dict[str, object]:
    ahead = None if memory.ahead is None else memory.ahead.total_bytes
    return {**asdict(memory), "ahead": ahead, "total_bytes": memory.total_bytes}


def to_text(made: Plan, gpus: Sequence[Gpu], num_cores: int) -> str:
    """Return the plan as lines that say which figures are counted and which are estimated; arguments as `to_record`."""
    geometry, calls = made.geometry, made.calls
    return "\n".join(
        [
            f"{made.model.name}: {sum(made.model.parameters.values()):,} parameters",
            *(f"  {part:<34}{count:>16,}" for part, count in made.model.parameters.items()),
            f"clip: {geometry.width}x{geometry.height}, {geometry.num_frames} frames at {geometry.frame_rate:g} fps = "
            f"{geometry.duration_s:.2f} s, {geometry.num_samples:,} samples",
            f"  video latents {_shape(geometry.video_latent_shape)} = {geometry.num_video_tokens:,} tokens",
            f"  audio latents {_shape(geometry.audio_latent_shape)} = {geometry.num_audio_latents:,} tokens",
            "operations of one forward, in TFLOP (counted: 2 x multiply-accumulate)",
            *(f"  {name:<34}{_tera(value):>16}" for name, value in parts(made).items()),
            f"one step: {calls.total} forwards, {calls.without_bridge} of them without the bridge: "
            f"{_tera(made.step_operations)} TFLOP",
            f"{made.num_steps} steps{_speed_words(made)}: {_tera(made.total_operations)} TFLOP"
            + (" at most, as classifier-free guidance ends earlier" if made.is_upper_bound else ""),
            _compiled_line(made),
            f"memory at the peak{' of each GPU' if made.num_gpus > 1 else ''}, one clip (weights are counted, the rest "
            "is estimated; the program itself adds 0.5 GB)",
            *(_memory_line(memory) for memory in made.memory),
            *_step_cache_lines(made),
            "time of the denoising loop (an estimate for a GPU that is kept busy, which tiny models cannot do; "
            "loading, text and decoding come on top)",
            *(line for gpu in gpus for line in _time_lines(made, gpu)),
            f"  CPU, {num_cores} cores at {1000 * CPU_TFLOPS_PER_CORE:g} GFLOP/s (AVX-512; others are slower): "
            f"{in_words(cpu_estimate(made, num_cores))}; memory as above",
        ]
    )


def parts(made: Plan) -> dict[str, int]:
    """Return the operations of one forward by part, with sums of each tower, the bridge and everything."""
    video, bridge = made.forward.video, made.forward.bridge
    return {
        "video self-attention": video.self_attention,
        "video q, k, v, o": video.self_attention_linears,
        "video text cross-attention": video.text_attention,
        "video feed-forward": video.feed_forward,
        "video tower": video.total,
        "audio tower": made.forward.audio.total,
        "bridge audio to video, linears": bridge.audio_to_video_linears,
        "bridge audio to video, attention": bridge.audio_to_video_attention,
        "bridge video to audio, linears": bridge.video_to_audio_linears,
        "bridge video to audio, attention": bridge.video_to_audio_attention,
        "bridge": bridge.total,
        "embeddings and heads": made.forward.embeddings_and_heads,
        "total": made.forward.total,
    }


def _tera(operations: int) -> str:
    """Return a number of operations in units of 10^12, to six digits and never as a power of ten."""
    value = operations / TERA
    return f"{value:,.0f}" if value >= 100_000 else f"{value:,.6g}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _memory_line(memory: MemoryPlan) -> str:
    more = ""
    if memory.host_bytes and memory.name.startswith("gpu"):
        more += f"; {memory.host_bytes / GB:.2f} GB of host memory"
    if memory.read_bytes:
        more += f"; {memory.read_bytes / GB:.2f} GB read from files for each forward"
    if memory.ahead is not None:
        more += f"; {memory.ahead.total_bytes / GB:.2f} GB with the second expert fetched ahead, where that fits"
    if memory.bands > 1:
        more += f"; decoded in {memory.bands} bands"
    return (
        f"  {memory.name:<18}{memory.total_bytes / GB:>8.2f} GB = {memory.weights_bytes / GB:.2f} of weights + "
        f"{memory.activations_bytes / GB:.2f} while {memory.phase}{more}"
    )


def _step_cache_lines(made: Plan) -> list[str]:
    """Say how much of the activations a step cache keeps."""
    if made.step_cache is None:
        return []
    kept = [_kept_gb(made, is_gpu=is_gpu) for is_gpu in (True, False)]
    return [
        f"  of the activations while denoising the step cache (order {made.step_cache.order}, {made.calls.total} "
        f"predictions) keeps {kept[0]:.2f} GB on a GPU, {kept[1]:.2f} on a CPU"
    ]


def _kept_gb(made: Plan, *, is_gpu: bool) -> float:
    if made.step_cache is None:
        return 0.0
    return made.step_cache.num_bytes(made.model, made.geometry, element_bytes_on(is_gpu=is_gpu)) / GB


def _compiled_line(made: Plan) -> str:
    saved = compiling_saves(made.token_forwards // made.num_gpus, made.quantization)
    if made.shares_tokens:
        return "blocks: not compiled, as GPUs that share a clip exchange tokens inside of them"
    return (
        f"blocks: {'compiled' if made.compiles else 'not compiled'} by default on a GPU (saves about {saved:.2g} s on "
        f"an H200, more where memory is slower, and takes about {COMPILE_S:g} s the first time)"
    )


def _speed_words(made: Plan) -> str:
    return "" if made.speed == "exact" else f" ({made.speed}: {speed_named(made.speed).words})"


def _fitting(plans: Sequence[MemoryPlan], gpu: Gpu) -> MemoryPlan | None:
    """Return the fastest placement that fits a GPU."""
    on_gpu = [memory for memory in plans if memory.name.startswith("gpu")]
    return next((memory for memory in on_gpu if memory.total_bytes <= USABLE_SHARE * gpu.memory_gb * GB), None)


def _fit_words(made: Plan, gpu: Gpu) -> str:
    fit = _fitting(made.memory, gpu)
    if fit is not None:
        option = "--shard-weights" if fit.placement == "shard-weights" else f"memory={fit.placement}"
        host = f", with {fit.host_bytes / GB:.3g} GB of host memory" if fit.host_bytes >= GB else ""
        return f"{option} fits{host}"
    for method in ("float8", "nf4"):
        quantized = memory_plans(
            made.model,
            made.geometry,
            method,
            num_gpus=made.num_gpus,
            num_branches=made.calls.total,
            step_cache=made.step_cache,
        )
        if _fitting(quantized, gpu):
            return f"too small as it is; --quantize {method} fits"
    if made.step_cache is not None:
        without = memory_plans(made.model, made.geometry, made.quantization)
        fit = _fitting(without, gpu)
        if fit is not None:
            return f"too small for the step cache; without it memory={fit.placement} fits"
    return "too small for any placement; fewer frames or a smaller size take less"


def _time_lines(made: Plan, gpu: Gpu) -> list[str]:
    several = "" if made.num_gpus == 1 else f"{made.num_gpus} x "
    size = "" if gpu.peak_tflops is None else f" ({gpu.memory_gb:g} GB)"
    lines = [f"  {several}{gpu.name}{size}: {_fit_words(made, gpu)}"]
    for label, duration in time_estimates(made, gpu).items():
        step = seconds(made.step_operations, made.num_gpus * gpu.rates[label])
        lines.append(
            f"    {several}{gpu.rates[label]:>6.4g} TFLOP/s, {label}: {step:.4g} s per step, {duration:,.4g} s in all, "
            f"{in_words(duration)}"
        )
    return lines
