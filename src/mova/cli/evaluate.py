"""`mova evaluate`: measure what a model makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mova.cli.options import parse_lora
from mova.cli.terminal.progress import counting_bar
from mova.errors import ConfigError
from mova.settings.size import parse_size

if TYPE_CHECKING:
    from mova.evaluate.report import ReportFolder
    from mova.evaluate.toyworld import Scored, ToyworldReport
    from mova.generate.request import GenerateRequest
    from mova.pipeline.pipeline import MovaPipeline
    from mova.settings.sampling import GivenSettings
    from mova.toyworld.render import RenderedClip
    from mova.types import Clip


# What of a clip's origin every clip of a run has in common.
_ORIGIN: Final = ("model", "weights_sha256", "settings", "loras", "mova")


class Given(StrEnum):
    """What a model is given of each clip besides the caption."""

    FRAME = "frame"
    VIDEO = "video"
    AUDIO = "audio"


def register(app: typer.Typer) -> None:
    """Add the `evaluate` commands to the application."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what a model makes.")
    group.callback()(_group)
    group.command("toyworld")(toyworld)
    app.add_typer(group, name="evaluate")


def _group() -> None:
    """Measure what a model makes."""


def toyworld(
    model: Annotated[str, typer.Option(help="Model: mova-tiny, a model directory or a hub id.")],
    clips: Annotated[int, typer.Option(help="Number of clips to generate, the kinds of scene in turn.")],
    seed: Annotated[int, typer.Option(help="Seed of the scenes and of the initial noise.")],
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale for the caption; 1 disables it.")
    ] = None,
    modality_scale: Annotated[
        float | None,
        typer.Option(help="Cross-modal (bridge) guidance scale; 1 disables it."),
    ] = None,
    no_bridge: Annotated[
        bool, typer.Option("--no-bridge", help="Run without the bridge: the two towers do not exchange anything.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Kind of scene, such as keys; may be repeated (default: all that mova-tiny knows)."),
    ] = None,
    by_combination: Annotated[
        bool,
        typer.Option("--by-combination", help="Also report apart the scenes whose combinations training left out."),
    ] = False,
    given: Annotated[
        Given,
        typer.Option(help="What is given besides the caption: the first frame, the whole video, or its audio."),
    ] = Given.FRAME,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="LoRA and its scale (default 1); may be repeated.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Speed preset: exact, fast, fastest or distilled.")] = "exact",
    size: Annotated[
        str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT; width and height are the same.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures, every clip and how they were made; given again, the run goes on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every clip instead of a table.")] = False,
) -> None:
    """Generate from held-out captions and first frames and measure the clips against the exact truth.

    Beside the figures stand the ceiling (rendered clips sent through the autoencoders) and chance (audio exchanged
    between clips).
    """
    from mova.evaluate.toyworld import check_benchmark
    from mova.generate.request import ClipOptions, LoraChoice
    from mova.generate.run import make_request
    from mova.settings.sampling import GivenSettings
    from mova.toyworld.scenes.registry import DEFAULT_KINDS

    kinds = kind or DEFAULT_KINDS
    check_benchmark(clips, seed, kinds)
    side = _side(size)
    settings = GivenSettings(
        height=side,
        width=side,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        modality_scale=modality_scale,
    )
    folder, request = make_request(
        model,
        ClipOptions(prompt="a clip of the toy world", settings=settings),
        loras=[LoraChoice(*parse_lora(text)) for text in lora or ()],
        speed=speed,
    )
    _warn(folder, request, kinds)
    task = _Task(
        num_clips=clips,
        seed=seed,
        kinds=tuple(kinds),
        by_combination=by_combination,
        given=given,
        size=side,
        settings=settings,
        speed=speed,
        with_bridge=not no_bridge,
    )
    if report is None:
        result = _measure(task, folder, request, None)
    else:
        from mova.evaluate.report import open_report

        # Before the work, so that a folder that cannot be written costs nothing.
        with open_report(report, _describe(task, folder, request)) as kept:
            result = _measure(task, folder, request, kept)
            kept.finish(result)
    typer.echo(result.to_json() if as_json else result.to_markdown().rstrip())


def _warn(folder: Path, request: GenerateRequest, kinds: Sequence[str]) -> None:
    """Say once of each kind of scene what the model was not trained for."""
    from mova.generate.request import warn_outside
    from mova.settings.scope import read_scope
    from mova.toyworld import sample_scene, split_seed
    from mova.toyworld.caption import caption

    scope = read_scope(folder)
    captions = [caption(sample_scene(split_seed("heldout", 0), kind=kind)) for kind in kinds]
    for line in dict.fromkeys(warn_outside(replace(request, prompt=text), scope) for text in captions):
        if line is not None:
            typer.echo(line, err=True)


@dataclass(frozen=True)
class _Task:
    """What is measured: arguments of the command, checked."""

    num_clips: int
    seed: int
    kinds: tuple[str, ...]
    by_combination: bool
    given: Given
    size: int | None
    settings: GivenSettings
    speed: str
    with_bridge: bool


def _measure(task: _Task, folder: Path, request: GenerateRequest, kept: ReportFolder | None) -> ToyworldReport:
    """Generate and measure; what a report folder has is not made again."""
    from mova.evaluate.toyworld import run_benchmark

    known = {} if kept is None else kept.known(task.num_clips)
    pipeline = _load(folder, loras=[(lora.path, lora.scale) for lora in request.loras], with_bridge=task.with_bridge)
    with counting_bar("clips", task.num_clips) as advance:
        for _ in known:
            advance()

        def on_clip(index: int, rendered: RenderedClip, clip: Clip, scored: Scored) -> None:
            if kept is not None:
                kept.add(index, rendered, clip, scored)
            advance()

        return run_benchmark(
            lambda rendered, clip_seed: _generate(pipeline, rendered, task.given, clip_seed, task.settings, task.speed),
            num_clips=task.num_clips,
            seed=task.seed,
            kinds=task.kinds,
            by_combination=task.by_combination,
            reencode=lambda clip: _reencode(pipeline, clip),
            on_clip=on_clip,
            known=known,
            size=task.size or pipeline.defaults.height,
            num_frames=pipeline.defaults.num_frames,
            frame_rate=pipeline.defaults.frame_rate,
            sample_rate=pipeline.codec_geometry.sample_rate,
        )


def _describe(task: _Task, folder: Path, request: GenerateRequest) -> dict[str, object]:
    """Return what a report says of how its clips were made."""
    import shlex
    import sys
    from datetime import UTC, datetime

    from mova.bench.machine import describe_machine
    from mova.device import choose_device
    from mova.generate.record import describe

    origin = {key: value for key, value in describe(request, folder).items() if key in _ORIGIN}
    machine = describe_machine(choose_device())
    return {
        **origin,
        "speed": task.speed,
        "num_clips": task.num_clips,
        "seed": task.seed,
        "kinds": list(task.kinds),
        "given": task.given.value,
        "bridge": task.with_bridge,
        "command": shlex.join(["mova", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": machine.python, **machine.packages},
        "device": machine.gpu or machine.cpu,
    }


def _side(size: str | None) -> int | None:
    """Return the side of the square frames of the toy world."""
    if size is None:
        return None
    width, height = parse_size(size)
    if width != height:
        raise ConfigError(f"size must be square, as the toy world is, got {size}; nearest is {height}x{height}")
    return height


def _load(model: str | Path, *, with_bridge: bool, loras: Sequence[tuple[str | Path, float]] = ()) -> MovaPipeline:
    from mova.device import choose_device
    from mova.pipeline.load import load_pipeline

    pipeline = load_pipeline(model, device=choose_device(), loras=loras)
    pipeline.set_progress_bar_config(disable=True)
    if not with_bridge:
        # Guidance stays as it is; only the towers do not meet.
        pipeline.dual_tower_bridge.disconnect()
    return pipeline


def _generate(
    pipeline: MovaPipeline,
    rendered: RenderedClip,
    given: Given,
    seed: int,
    settings: GivenSettings,
    speed: str = "exact",
) -> Clip:
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.inputs.media import GivenMedia, GivenNoise
    from mova.toyworld import first_frame

    media = GivenMedia(
        image=None if given is Given.VIDEO else first_frame(rendered.clip),
        video=rendered.clip.frames if given is Given.VIDEO else None,
        audio=rendered.clip.waveform if given is Given.AUDIO else None,
    )
    height, width = rendered.clip.frames.shape[1:3]
    wanted = replace(settings, height=height, width=width)
    complete = pipeline.complete_settings(wanted, speed=speed, media=media)
    inputs = CallInputs(prompt=rendered.caption, media=media, noise=GivenNoise(seed=seed), output_type="np")
    return pipeline.run(complete, inputs).clip()


def _reencode(pipeline: MovaPipeline, clip: Clip) -> Clip:
    """Send a rendered clip through both autoencoders."""
    import torch

    from mova.codecs.audio import decode_audio, encode_audio
    from mova.codecs.video import decode_video, encode_video, frames_to_tensor, tensor_to_frames
    from mova.types import Clip as ClipRecord

    assert clip.waveform is not None, "rendered clips have audio"
    device = pipeline.device
    with torch.no_grad():
        video = decode_video(
            pipeline.video_vae, encode_video(pipeline.video_vae, frames_to_tensor(clip.frames).to(device))
        )
        waveform = torch.from_numpy(clip.waveform).to(device)[None]
        audio = decode_audio(
            pipeline.audio_vae, encode_audio(pipeline.audio_vae, waveform), num_samples=clip.waveform.shape[-1]
        )
    return ClipRecord(tensor_to_frames(video)[0], audio[0].cpu().numpy(), clip.frame_rate, clip.sample_rate)
