"""A measurement as a JSON record and as a dated note in Markdown."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from mova.bench.measure import Bench

GB = 1e9
GIGA, TERA = 1e9, 1e12


def to_record(made: Bench, command_line: Sequence[str], day: datetime.date) -> dict[str, object]:
    """Return a measurement as plain values: seconds, bytes, operations and operations per second."""
    geometry = made.settings.geometry
    return {
        "date": day.isoformat(),
        "command_line": list(command_line),
        "model": made.model,
        "random_weights": made.has_random_weights,
        "settings": made.settings.record(),
        "video_tokens": geometry.num_video_tokens,
        "audio_tokens": geometry.num_audio_latents,
        "runtime": asdict(made.runtime),
        "dtype": made.dtype,
        "command": None if made.command is None else asdict(made.command),
        "pipeline": asdict(made.speed),
        "steps_per_s": made.steps_per_s,
        "forward_operations": made.forward_operations,
        "forward_operations_per_s": made.forward_rate,
        "product_operations_per_s": made.ceiling_rate,
        "share_of_products": made.forward_rate / made.ceiling_rate,
        "peak_rss_bytes": made.peak_rss_bytes,
        "machine": asdict(made.machine),
        "load": list(made.load),
    }


def to_note(made: Bench, command_line: Sequence[str], day: datetime.date) -> str:
    """Return a measurement as a note: what, on what, how, and the figures."""
    settings, geometry, machine = made.settings, made.settings.geometry, made.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    lines = [
        f"# {made.model} on {machine.gpu or machine.cpu}, {day.isoformat()}",
        "",
        f"- machine: {', '.join(_hardware(made))}",
        f"- system: {machine.system}, Python {machine.python}; {versions}",
        f"- command: `{' '.join(command_line)}`",
        f"- load of the machine: {made.load[0]} before, {made.load[1]} after",
        f"- clip: {geometry.width}x{geometry.height}, {geometry.num_frames} frames at {geometry.frame_rate:g} fps, "
        f"{settings.num_inference_steps} steps; {geometry.num_video_tokens:,} video and "
        f"{geometry.num_audio_latents:,} audio tokens",
        f"- towers in {made.dtype}; {_choices(made)}",
    ]
    if made.has_random_weights:
        lines.append("- random weights: one video tower and no text encoder, whose memory is not in the figures")
    lines += ["", "| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in _rows(made))]
    return "\n".join(lines) + "\n"


def _hardware(made: Bench) -> Iterator[str]:
    machine = made.machine
    yield machine.cpu
    yield f"{machine.cores} cores ({machine.threads} threads, {machine.cpu_capability})"
    if machine.ram_bytes:
        yield f"{machine.ram_bytes / GB:.0f} GB of memory"
    if machine.gpu is None or machine.gpu_bytes is None:
        yield "no GPU"
        return
    yield f"{machine.gpu} with {machine.gpu_bytes / GB:.0f} GB"
    yield f"CUDA {machine.cuda}"
    if machine.driver:
        yield f"driver {machine.driver}"


def _choices(made: Bench) -> str:
    runtime = made.runtime
    blocks = "compiled" if runtime.compile_blocks else "not compiled"
    return (
        f"memory {runtime.memory}, weights {runtime.quantization or 'not quantised'}, "
        f"attention {runtime.attention or 'as torch chooses'}, blocks {blocks}"
    )


def _rows(made: Bench) -> Iterator[tuple[str, str]]:
    speed, command = made.speed, made.command
    if command is not None:
        of = "" if command.runs == 1 else f", median of {command.runs}"
        yield f"`mova generate` from start to end{of}", _seconds(command.wall_s)
        yield "of that, start-up: interpreter, imports, weights, end", _seconds(command.startup_s)
        for stage, took in command.stages.items():
            yield f"of {'the start-up' if stage == 'loading' else 'that'}, {stage}", _seconds(took)
        yield "its peak of resident memory", f"{command.peak_bytes / GB:.2f} GB"
    yield ("random weights made" if made.has_random_weights else "weights to pipeline"), _seconds(speed.load_s)
    yield "joint forward, one sample", _seconds(speed.forward_s)
    yield "counted for it", _operations(made.forward_operations)
    yield "its rate", f"{_operations(made.forward_rate)}/s"
    yield f"large matrix products in {made.dtype}", f"{_operations(made.ceiling_rate)}/s"
    yield "share of that", f"{made.forward_rate / made.ceiling_rate:.0%}"
    repeated = f", {speed.repeated} of them mostly repeated" if speed.repeated else ""
    yield f"texts, first frame and all steps, warm ({speed.predictions} predictions{repeated})", _seconds(speed.loop_s)
    yield "steps per second", f"{made.steps_per_s:.3g}"
    yield "decoding, warm", _seconds(speed.decode_s)
    if speed.peak_device_bytes is not None:
        yield "peak memory of tensors on the GPU", f"{speed.peak_device_bytes / GB:.2f} GB"
    yield "peak of resident memory of this process", f"{made.peak_rss_bytes / GB:.2f} GB"


def _operations(value: float) -> str:
    unit, name = (TERA, "TFLOP") if value >= TERA else (GIGA, "GFLOP")
    return f"{value / unit:,.4g} {name}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"
