"""`mova bench`: how fast a model is on this machine, as a note that can be kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.options import CompileOption, PrecisionOption
from mova.errors import ConfigError

if TYPE_CHECKING:
    from mova.pipeline.runtime import Runtime

MAX_RUNS = 20


def register(app: typer.Typer) -> None:
    """Add the `bench` command to the application."""
    app.command("bench")(bench)


def bench(
    output: Annotated[Path, typer.Option(help="The note to write, a new .md file.")],
    model: Annotated[
        str, typer.Option(help="Model: mova-tiny or a directory; of random weights also mova-360p.")
    ] = "mova-tiny",
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights of the model's sizes: nothing is downloaded.")
    ] = False,
    speed: Annotated[str, typer.Option(help="Speed preset: exact, fast, fastest or distilled.")] = "exact",
    size: Annotated[str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT.")] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames, 1 plus a multiple of 4.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    memory: Annotated[
        str, typer.Option(help="Offload of the weights: auto, resident, phases, stream or disk.")
    ] = "auto",
    quantize: Annotated[
        str | None, typer.Option(help="Quantisation of large weights: float8, float8_linear, int8 or nf4.")
    ] = None,
    attention: Annotated[str | None, typer.Option(help="Attention kernels, such as native_flash or flash_3.")] = None,
    compile_blocks: CompileOption = None,
    precision: PrecisionOption = "auto",
    kernels: Annotated[
        str | None, typer.Option(help="Linear layers on a CPU: auto (default; the fastest here) or plain (fixed).")
    ] = None,
    runs: Annotated[int, typer.Option(help=f"Times that the command is run, 1 to {MAX_RUNS}; the median counts.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the path.")] = False,
) -> None:
    """Measure a model on this machine: start-up, forward, steps, decoding, the whole clip.

    Makes the clip once as `mova generate` does, and once in this process. What is not given takes the value that the
    model recommends.
    """
    import datetime
    import json

    from mova.kernels.linear_choice import default_kernels
    from mova.pipeline.runtime import Runtime
    from mova.plan.published import find_defaults, find_dims
    from mova.settings.sampling import GivenSettings, SamplingSettings
    from mova.settings.size import parse_size

    check_note(output)
    if not 1 <= runs <= MAX_RUNS:
        raise ConfigError(
            f"runs must lie between 1 and {MAX_RUNS}, got {runs}; nearest is {min(max(runs, 1), MAX_RUNS)}"
        )
    runtime = Runtime(
        memory, quantize, attention, compile_blocks, kernels=kernels or default_kernels(), precision=precision
    )
    width, height = parse_size(size) if size else (None, None)
    given = GivenSettings(width=width, height=height, num_frames=frames, num_inference_steps=steps)
    dims = find_dims(model)
    settings = SamplingSettings.for_model(find_defaults(model, speed), dims.codec, given, speed=speed)
    options: list[str] | None = None
    if not random_weights:
        options = ["--model", str(find_weights(model)), "--speed", speed, *_own(size, frames, steps, runtime, kernels)]

    from mova.bench.measure import measure
    from mova.bench.report import to_note, to_record

    made = measure(
        model,
        dims,
        settings,
        options=options,
        runtime=runtime,
        runs=runs,
        on_stage=lambda stage: typer.echo(f"measuring: {stage}", err=True),
    )
    line = ["mova", "bench", *_line(model, random_weights, speed), *_own(size, frames, steps, runtime, kernels)]
    line += ["--runs", str(runs)] if runs > 1 else []
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_note(output, to_note(made, line, day))
    typer.echo(json.dumps(to_record(made, line, day)) if as_json else str(output))


def check_note(output: Path) -> None:
    """Refuse a note that cannot be written, or that would replace one.

    Raises:
        ConfigError: not a new .md file in a directory that exists.
    """
    if output.suffix != ".md":
        nearest = output.with_suffix(".md") if output.name else "bench.md"
        raise ConfigError(f"output must be an .md file, got {output}; nearest is {nearest}")
    if not output.parent.is_dir():
        raise ConfigError(f"output must lie in a directory that exists, got {output}")
    if output.exists():
        free = next(path for path in _numbered(output) if not path.exists())
        raise ConfigError(
            f"output must be a new file, since a measurement is not made again, got {output}; free is {free}"
        )


def write_note(output: Path, text: str) -> None:
    """Write a note whole or not at all; one that has appeared meanwhile stays."""
    from mova.files.staging import staging_folder

    with staging_folder(output) as folder:
        whole = folder / output.name
        whole.write_text(text, encoding="utf-8")
        check_note(output)
        whole.replace(output)


def find_weights(model: str) -> Path:
    """Return the directory of a model's weights; nothing is downloaded.

    Raises:
        CheckpointError: a model that is known by its sizes only, or unknown.
    """
    from mova.errors import CheckpointError
    from mova.weights.locate import find_model, local_model

    if local_model(model) is None:
        raise CheckpointError(f"{model} is known by its sizes only; add --random-weights, or give its directory")
    return find_model(model)


def _own(size: str | None, frames: int | None, steps: int | None, runtime: Runtime, kernels: str | None) -> list[str]:
    """Return the options that were given, as a command line has them."""
    values = {
        "--size": size,
        "--frames": frames,
        "--steps": steps,
        "--memory": None if runtime.memory == "auto" else runtime.memory,
        "--quantize": runtime.quantization,
        "--attention": runtime.attention,
        "--precision": None if runtime.precision == "auto" else runtime.precision,
        "--kernels": kernels,
    }
    given = [text for name, value in values.items() if value is not None for text in (name, str(value))]
    compiles = {None: [], True: ["--compile"], False: ["--no-compile"]}
    return [*given, *compiles[runtime.compile_blocks]]


def _line(model: str, random_weights: bool, speed: str) -> list[str]:
    return ["--model", model, *(["--random-weights"] if random_weights else []), "--speed", speed]


def _numbered(output: Path) -> Iterator[Path]:
    from itertools import count

    return (output.with_stem(f"{output.stem}_{number}") for number in count(2))
