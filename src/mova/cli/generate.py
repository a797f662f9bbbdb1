"""`mova generate`: one clip from a prompt, with a bar over its steps."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.options import parse_lora, parse_size
from mova.cli.process import stop_if_asked
from mova.cli.streams import is_stdout_broken

if TYPE_CHECKING:
    from mova.generate.processes import Processes
    from mova.generate.request import GenerateRequest
    from mova.generate.run import GeneratedFile
    from mova.generate.runtime import Runtime

NumberOption = float | None


def register(app: typer.Typer) -> None:
    """Add the `generate` command to the application."""
    app.command("generate")(generate)


def generate(
    prompt: Annotated[str, typer.Option(help="What happens, then what is heard.")],
    output: Annotated[Path, typer.Option(help="The .mp4 file to write.")],
    model: Annotated[str, typer.Option(help="mova-tiny, a model directory or a hub id.")] = "mova-tiny",
    image: Annotated[Path | None, typer.Option(help="First frame.")] = None,
    last_image: Annotated[Path | None, typer.Option(help="Last frame.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Sound to make a picture for.")] = None,
    video: Annotated[Path | None, typer.Option(help="Film to make sound for.")] = None,
    lora: Annotated[list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="A LoRA; may be repeated.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to lead away from.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clip.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler, 1 to 1000.")] = None,
    guidance_scale: Annotated[NumberOption, typer.Option(help="Of the text; 1 switches it off.")] = None,
    modality_scale: Annotated[NumberOption, typer.Option(help="Of the bridge; 1 switches it off.")] = None,
    audio_guidance_scale: Annotated[NumberOption, typer.Option(help="Of the text, for the sound alone.")] = None,
    audio_modality_scale: Annotated[NumberOption, typer.Option(help="Of the bridge, for the sound alone.")] = None,
    video_shift: Annotated[NumberOption, typer.Option(help="Of the noise levels of the picture.")] = None,
    audio_shift: Annotated[NumberOption, typer.Option(help="Of the noise levels of the sound.")] = None,
    sampler: Annotated[str | None, typer.Option(help="euler or unipc.")] = None,
    null_image: Annotated[str, typer.Option(help="In place of a missing first frame: white or none.")] = "white",
    frames: Annotated[int | None, typer.Option(help="Number of frames, 1 plus a multiple of 4.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    fps: Annotated[NumberOption, typer.Option(help="Frames per second.")] = None,
    speed: Annotated[
        str, typer.Option(help="exact, fast, fastest or distilled: how much is left out; given steps stay.")
    ] = "exact",
    memory: Annotated[str, typer.Option(help="auto, resident, phases, stream or disk: where weights rest.")] = "auto",
    quantize: Annotated[str | None, typer.Option(help="Large weights in float8, float8_linear, int8 or nf4.")] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            help="Kernels of the attention: native, native_flash, native_cudnn, native_efficient, native_math, flash, "
            "flash_3, flash_4, sage, sage_fp16 or sage_fp8."
        ),
    ] = None,
    compile_blocks: Annotated[
        bool, typer.Option("--compile", help="Compile the blocks first: slower start, faster steps.")
    ] = False,
    gpus: Annotated[int | None, typer.Option(help="Processes that make the clip together, one for each GPU.")] = None,
    layout: Annotated[str | None, typer.Option(help="Their tasks, as branches=2,ring=1,ulysses=2.")] = None,
    shard_weights: Annotated[bool, typer.Option("--shard-weights", help="Each holds a part of the weights.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the path.")] = False,
) -> None:
    """Make a clip with sound.

    What is not given takes the value that the model recommends.
    """
    from mova.cli.app import place_in_torchrun
    from mova.generate.launch import launch
    from mova.generate.memory import check_memory
    from mova.generate.processes import read_processes
    from mova.generate.request import LoraChoice
    from mova.generate.run import make_request
    from mova.generate.runtime import Runtime
    from mova.generate.speed import SPEEDS

    place = place_in_torchrun()
    processes = read_processes(gpus, layout, shard_weights, started=place and place[1])
    runtime = Runtime(memory, quantize, attention, compile_blocks)
    check_memory(memory, processes.number if processes else 1)

    width, height = parse_size(size) if size else (None, None)
    folder, request = make_request(
        model,
        files={"image": image, "last_image": last_image, "audio": audio, "video": video},
        loras=[LoraChoice(*parse_lora(text)) for text in lora or ()],
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        speed=speed,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        modality_scale=modality_scale,
        audio_guidance_scale=audio_guidance_scale,
        audio_modality_scale=audio_modality_scale,
        video_shift=video_shift,
        audio_shift=audio_shift,
        sampler=sampler,
        null_image=null_image,
        num_frames=frames,
        height=height,
        width=width,
        frame_rate=fps,
    )
    if processes is None or processes.launched:
        made = _make(request, folder, output, processes, runtime, place[0] if place else 0)
    else:
        made = launch(processes.number, _make_beside_others, request, folder, output, processes, runtime, _log_level())
    if made is not None:
        if speed != "exact":
            typer.echo(f"{speed}: {SPEEDS[speed].words}", err=True)
        typer.echo(_closing_line(made), err=True)
        typer.echo(made.to_json() if as_json else made.path)
        if is_stdout_broken():
            typer.echo(f"stdout was closed; {made.path} is complete", err=True)


def _make(
    request: GenerateRequest, folder: Path, output: Path, processes: Processes | None, runtime: Runtime, rank: int
) -> GeneratedFile | None:
    """Make a clip; only the main one of several processes speaks, and returns something."""
    from mova.cli.quick_start import UNASKED, quick_start
    from mova.generate.locate import has_packed_weights
    from mova.generate.run import generate_file

    is_main = rank == 0
    with _Bar() if is_main else nullcontext() as bar:
        show = bar.show if bar else lambda *_: None
        is_packed = runtime.quantization is not None or has_packed_weights(folder)
        with quick_start(show, needed=UNASKED if is_packed else ()) as report:
            made = generate_file(request, folder, output, processes=processes, runtime=runtime, on_progress=report)
    if processes is not None and processes.launched:
        from mova.distributed.mesh import leave_parallel

        leave_parallel()
    return made if is_main else None


def _make_beside_others(
    request: GenerateRequest, folder: Path, output: Path, processes: Processes, runtime: Runtime, log_level: int
) -> GeneratedFile | None:
    """Be one of the processes that this command starts: nothing has been set up in it yet."""
    from torch import distributed

    from mova.cli.app import configure_logging

    rank = distributed.get_rank()
    configure_logging(log_level, rank)
    return _make(request, folder, output, processes, runtime, rank)


def _log_level() -> int:
    return logging.getLogger("mova").getEffectiveLevel()


def _closing_line(made: GeneratedFile) -> str:
    parts = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in made.seconds.items())
    calls = made.calls
    spared = f" of {calls.planned} planned" if calls.predictions < calls.planned else ""
    repeated = f", {calls.repeated} of them mostly repeated" if calls.repeated else ""
    return (
        f"{made.num_frames} frames of {made.width}x{made.height} ({made.duration_s:.2f} s) with sound in "
        f"{sum(made.seconds.values()):.1f} s ({parts}); "
        f"{calls.predictions} predictions{spared}{repeated}"
    )


class _Bar:
    """One line on stderr: the stage, its steps, time spent and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description:9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Move the bar; a new stage ends the one before."""
        stop_if_asked()
        if stage not in self._tasks:
            for earlier in self._progress.tasks:
                self._progress.update(earlier.id, completed=earlier.total)
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done)  # type: ignore[arg-type]
