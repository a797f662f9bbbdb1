"""`mova plan`: operations, memory and time of a clip, before anything is loaded."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the `plan` command to the application."""
    app.command("plan")(plan)


def plan(
    model: Annotated[str, typer.Option(help="Model: mova-tiny, mova-360p, mova-720p or a model directory.")],
    size: Annotated[
        str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT, such as 640x352.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames, 1 plus a multiple of 4.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate in frames per second.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale for the text prompt; 1 disables it.")
    ] = None,
    modality_scale: Annotated[
        float | None,
        typer.Option(help="Cross-modal (bridge) guidance scale; 1 disables it."),
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(help="Quantisation of large weights: float8, float8_linear, int8 or nf4.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Speed preset: exact, fast, fastest or distilled.")] = "exact",
    gpu: Annotated[str | None, typer.Option(help="Name of a GPU, such as rtx-4090; all known GPUs by default.")] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(metavar="GB", help="Memory of a GPU, for one that has no name here; in 10^9 bytes.")
    ] = None,
    step_cache_order: Annotated[
        int | None,
        typer.Option(help="Count the memory of a step cache of this order, 0, 1 or 2; without one by default."),
    ] = None,
    gpus: Annotated[int, typer.Option(help="Number of GPUs that generate the clip together.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a clip costs, before anything is loaded.

    Operations and weights are counted, activations and times are estimates. What is not given is what the model
    recommends.
    """
    from mova.cores import num_cores
    from mova.plan.cost import make_plan
    from mova.plan.gpus import choose_gpus
    from mova.plan.published import find_defaults, find_dims
    from mova.plan.report import to_record, to_text
    from mova.settings.sampling import GivenSettings, SamplingSettings
    from mova.settings.size import parse_size

    chosen = choose_gpus(gpu, gpu_memory)
    width, height = (None, None) if size is None else parse_size(size)
    dims = find_dims(model)
    given = GivenSettings(
        width=width,
        height=height,
        num_frames=frames,
        frame_rate=fps,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        modality_scale=modality_scale,
    )
    wanted = SamplingSettings.for_model(find_defaults(model, speed), dims.codec, given, speed=speed)
    made = make_plan(
        dims,
        wanted.geometry,
        num_steps=wanted.num_inference_steps,
        guidance_scale=wanted.guidance_scale,
        modality_scale=wanted.modality_scale,
        quantization=quantize,
        num_gpus=gpus,
        speed=speed,
        step_cache_order=step_cache_order,
    )
    cores = num_cores()
    typer.echo(json.dumps(to_record(made, chosen, cores), indent=2) if as_json else to_text(made, chosen, cores))
