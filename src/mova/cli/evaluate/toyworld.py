"""`mova evaluate toyworld`: measure what a model makes of the toy world, where the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mova.checks import check_precision
from mova.cli.evaluate.where import where_and_when
from mova.cli.options import HoldNoiseOption, PrecisionOption
from mova.cli.terminal.progress import counting_bar
from mova.errors import ConfigError
from mova.settings.size import parse_size

if TYPE_CHECKING:
    from mova.evaluate.report import ReportFolder
    from mova.evaluate.subject import Subject
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
    TEXT = "text"
    LAST = "last"
    FIRST_LAST = "first_last"
    KEYFRAMES = "keyframes"
    PREFIX = "prefix"
    VIDEO = "video"
    AUDIO = "audio"


def toyworld(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Model: mova-tiny, a model directory or a hub id.")] = None,
    clips: Annotated[int | None, typer.Option(help="Number of clips to generate, the kinds of scene in turn.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the scenes and of the initial noise.")] = None,
    clips_from: Annotated[
        Path | None,
        typer.Option(help="Folder of clips to measure instead, with their truth as `mova toyworld render` writes it."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale for the caption; 1 disables it.")
    ] = None,
    modality_scale: Annotated[
        float | None,
        typer.Option(help="Cross-modal (bridge) guidance scale; 1 disables it."),
    ] = None,
    hold_noise: HoldNoiseOption = None,
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
    parts: Annotated[
        int,
        typer.Option(help="Also measure each of this many equal parts of every clip by itself, for long clips."),
    ] = 0,
    given: Annotated[
        Given,
        typer.Option(
            help="What is given besides the caption: the first frame, nothing (text), the last frame, both, four "
            "keyframes, the first half of video and audio (prefix), the whole video, or the first frame and the audio."
        ),
    ] = Given.FRAME,
    shuffled: Annotated[
        bool,
        typer.Option("--shuffled", help="Control: give the video or audio of another clip of the same kind."),
    ] = False,
    wording: Annotated[
        str,
        typer.Option(
            help="Wording of the captions: 0 (their own) to 7, training (one of 1 to 5 each) or held-out (6 or 7)."
        ),
    ] = "0",
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="LoRA and its scale (default 1); may be repeated.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Speed preset: exact, fast, fastest or distilled.")] = "exact",
    size: Annotated[
        str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT; width and height are the same.")
    ] = None,
    precision: PrecisionOption = "auto",
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
    from mova.evaluate.parts import check_parts
    from mova.settings.sampling import GivenSettings

    check_parts(parts)
    if clips_from is not None:
        _refuse_besides(context, ("clips_from", "seed", "by_combination", "parts", "report", "as_json"))
        task = _folder_task(clips_from, seed or 0, by_combination, parts)
    else:
        if model is None or clips is None or seed is None:
            raise ConfigError("evaluate toyworld needs --model, --clips and --seed, or --clips-from with a folder")
        side = _side(size)
        settings = GivenSettings(
            height=side,
            width=side,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            modality_scale=modality_scale,
            hold_noise=hold_noise,
        )
        asked = _Asked(
            clips,
            seed,
            tuple(kind or ()),
            given,
            settings,
            speed,
            precision,
            with_bridge=not no_bridge,
            is_shuffled=shuffled,
            wording=wording,
        )
        task = _model_task(model, asked, loras=lora or (), by_combination=by_combination, parts=parts)
    if report is None:
        result = _measure(task, None)
    else:
        from mova.evaluate.report import open_report

        # Before the work, so that a folder that cannot be written costs nothing.
        with open_report(report, task.describe()) as kept:
            result = _measure(task, kept)
            kept.finish(result)
    typer.echo(result.to_json() if as_json else result.to_markdown().rstrip())


@dataclass(frozen=True)
class _Task:
    """What is measured.

    Attributes:
        num_clips: of it.
        by_combination: whether combinations are reported apart.
        open: makes the clips ready to be measured.
        parts: into how many parts each is cut as well.
        describe: what a report says of how they were made.
    """

    num_clips: int
    by_combination: bool
    parts: int
    open: Callable[[], Subject]
    describe: Callable[[], dict[str, object]]


@dataclass(frozen=True)
class _Asked:
    """What a model is asked for: arguments of the command."""

    num_clips: int
    seed: int
    kinds: tuple[str, ...]
    given: Given
    settings: GivenSettings
    speed: str
    precision: str
    with_bridge: bool
    is_shuffled: bool
    wording: str


def _refuse_besides(context: typer.Context, allowed: Sequence[str]) -> None:
    """Refuse options that say how clips are made, where they exist already."""
    given = [
        name
        for name in context.params
        if name not in allowed and str(getattr(context.get_parameter_source(name), "name", "")) == "COMMANDLINE"
    ]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"--clips-from measures clips that exist already, got {options} besides; leave that out")


def _folder_task(folder: Path, seed: int, by_combination: bool, parts: int) -> _Task:
    from mova.evaluate.subject import ClipFolder

    subject = ClipFolder(folder, seed)

    def describe() -> dict[str, object]:
        told = {"clips_from": str(folder.resolve()), "num_clips": subject.num_clips, "seed": seed}
        return told | ({"parts": parts} if parts else {}) | where_and_when()

    return _Task(subject.num_clips, by_combination, parts, lambda: subject, describe)


def _model_task(model: str, asked: _Asked, *, loras: Sequence[str], by_combination: bool, parts: int) -> _Task:
    """Check all that can be checked before the weights are loaded."""
    from mova.evaluate.subject import check_benchmark, check_shuffled, of_model
    from mova.generate.request import ClipOptions, LoraChoice
    from mova.generate.run import make_request
    from mova.toyworld.caption import parse_wording
    from mova.toyworld.scenes.registry import DEFAULT_KINDS
    from mova.weights.lora.source import parse_lora

    check_precision(asked.precision)
    kinds = asked.kinds or DEFAULT_KINDS
    check_benchmark(asked.num_clips, asked.seed, kinds)
    wordings = parse_wording(asked.wording)
    if asked.is_shuffled:
        check_shuffled(asked.given.value, asked.num_clips, len(kinds))
    folder, request = make_request(
        model,
        ClipOptions(prompt="a clip of the toy world", settings=asked.settings),
        loras=[LoraChoice(*parse_lora(text)) for text in loras],
        speed=asked.speed,
    )
    _warn(folder, request, kinds)

    def open_model() -> Subject:
        return of_model(
            _load(
                folder,
                loras=[(lora.path, lora.scale) for lora in request.loras],
                precision=asked.precision,
                with_bridge=asked.with_bridge,
            ),
            num_clips=asked.num_clips,
            seed=asked.seed,
            kinds=kinds,
            given=asked.given.value,
            settings=asked.settings,
            speed=asked.speed,
            wordings=wordings,
            is_shuffled=asked.is_shuffled,
        )

    def describe() -> dict[str, object]:
        from mova.generate.record import describe as origin_of

        origin = {key: value for key, value in origin_of(request, folder).items() if key in _ORIGIN}
        return {
            **origin,
            "speed": asked.speed,
            "precision": _precision(folder, asked.precision),
            "num_clips": asked.num_clips,
            "seed": asked.seed,
            "kinds": list(kinds),
            "given": asked.given.value,
            "bridge": asked.with_bridge,
            # Left out where they are as ever, so that reports from before there were such go on.
            **({"shuffled": True} if asked.is_shuffled else {}),
            **({"wording": asked.wording} if asked.wording != "0" else {}),
            **({"parts": parts} if parts else {}),
            **where_and_when(),
        }

    return _Task(asked.num_clips, by_combination, parts, open_model, describe)


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


def _measure(task: _Task, kept: ReportFolder | None) -> ToyworldReport:
    """Measure; what a report folder has is not made again."""
    from mova.evaluate.toyworld import measure

    known = {} if kept is None else kept.known(task.num_clips)
    subject = task.open()
    with counting_bar("clips", task.num_clips) as advance:
        for _ in known:
            advance()

        def on_clip(index: int, rendered: RenderedClip, clip: Clip, scored: Scored) -> None:
            if kept is not None:
                kept.add(index, rendered, clip, scored)
            advance()

        return measure(subject, by_combination=task.by_combination, on_clip=on_clip, known=known, parts=task.parts)


def _side(size: str | None) -> int | None:
    """Return the side of the square frames of the toy world."""
    if size is None:
        return None
    width, height = parse_size(size)
    if width != height:
        raise ConfigError(f"size must be square, as the toy world is, got {size}; nearest is {height}x{height}")
    return height


def _precision(folder: Path, asked: str) -> str:
    """Return what a model will be computed in, by name: a report is not begun in one precision and ended in another."""
    from mova.device import choose_device
    from mova.pipeline.precision import choose_dtypes, name_of
    from mova.weights.locate import bears_bfloat16, has_quantized_weights, read_defaults

    holds = bears_bfloat16(folder, read_defaults(folder), is_quantized=has_quantized_weights(folder))
    return name_of(choose_dtypes(choose_device(), precision=asked, holds=holds).towers)


def _load(
    model: str | Path, *, with_bridge: bool, precision: str = "auto", loras: Sequence[tuple[str | Path, float]] = ()
) -> MovaPipeline:
    from mova.device import choose_device
    from mova.pipeline.load import load_pipeline
    from mova.pipeline.runtime import Runtime

    pipeline = load_pipeline(model, device=choose_device(), loras=loras, runtime=Runtime(precision=precision))
    pipeline.set_progress_bar_config(disable=True)
    if not with_bridge:
        pipeline.disable_bridge()
    return pipeline
