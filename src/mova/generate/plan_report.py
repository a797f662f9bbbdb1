"""A plan as a JSON record and as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mova.generate.gpus import Gpu
from mova.generate.memory import GB, USABLE_SHARE, MemoryPlan
from mova.generate.plan import Plan, seconds, time_estimates

TERA = 1e12


def to_record(made: Plan, gpus: Sequence[Gpu]) -> dict[str, Any]:
    """Return the plan as plain values; operations are whole numbers, times are in seconds by GPU and assumed rate."""
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
        "steps": made.num_steps,
        "step_operations": made.step_operations,
        "total_operations": made.total_operations,
        "memory_estimates": [{**asdict(memory), "total_bytes": memory.total_bytes} for memory in made.memory],
        "denoising_seconds": {gpu.name: time_estimates(made, gpu) for gpu in gpus},
    }


def to_text(made: Plan, gpus: Sequence[Gpu]) -> str:
    """Return the plan as lines that say which figures are counted and which are estimated."""
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
            *(f"  {name:<34}{value / TERA:>16,.6g}" for name, value in parts(made).items()),
            f"one step: {calls.total} forwards, {calls.without_bridge} of them without the bridge: "
            f"{made.step_operations / TERA:,.6g} TFLOP",
            f"{made.num_steps} steps: {made.total_operations / TERA:,.6g} TFLOP",
            "memory at the peak, one clip (weights are counted, the rest is estimated; the program itself adds 0.5 GB)",
            *(_memory_line(memory) for memory in made.memory),
            "time of the denoising loop (an estimate for a GPU that is kept busy, which tiny models cannot do)",
            *(line for gpu in gpus for line in _time_lines(made, gpu)),
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


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _memory_line(memory: MemoryPlan) -> str:
    more = ""
    if memory.host_bytes and memory.name.startswith("gpu"):
        more += f"; {memory.host_bytes / GB:.2f} GB of host memory"
    if memory.read_bytes:
        more += f"; {memory.read_bytes / GB:.2f} GB read from files for each forward"
    if memory.bands > 1:
        more += f"; decoded in {memory.bands} bands"
    return (
        f"  {memory.name:<14}{memory.total_bytes / GB:>8.2f} GB = {memory.weights_bytes / GB:.2f} of weights + "
        f"{memory.activations_bytes / GB:.2f} while {memory.phase}{more}"
    )


def _time_lines(made: Plan, gpu: Gpu) -> list[str]:
    on_gpu = [memory for memory in made.memory if memory.name.startswith("gpu")]
    fitting = [memory.placement for memory in on_gpu if memory.total_bytes <= USABLE_SHARE * gpu.memory_gb * GB]
    fits = f"memory={fitting[0]} fits" if fitting else "too small for any placement"
    lines = [f"  {gpu.name} ({gpu.memory_gb:g} GB): {fits}"]
    for label, duration in time_estimates(made, gpu).items():
        step = seconds(made.step_operations, gpu.rates[label])
        lines.append(f"    {gpu.rates[label]:>6.4g} TFLOP/s, {label}: {step:.4g} s per step, {duration:,.4g} s in all")
    return lines
