"""`mova generate`: clips from prompts, with a bar over their stages."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.options import (
    CompileOption,
    ExtendOption,
    HoldNoiseOption,
    LengthOption,
    OverlapOption,
    PromptAtOption,
    RetriesOption,
    WindowsOption,
)
from mova.cli.terminal.streams import is_stdout_broken

if TYPE_CHECKING:
    from mova.cli.clips import Clips
    from mova.generate.enhance.settings import EnhanceSettings
    from mova.generate.processes import Processes
    from mova.generate.run import GeneratedFile, KeptFile
    from mova.pipeline.runtime import Runtime

NumberOption = float | None


def register(app: typer.Typer) -> None:
    """Add the `generate` command to the application."""
    app.command("generate")(generate)


def generate(
    output: Annotated[
        Path,
        typer.Option(help="The .mp4 file to write; of several clips a pattern, such as clip-%03d.mp4."),
    ],
    prompt: Annotated[str | None, typer.Option(help="Text prompt: what is seen, then what is heard.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model: mova-tiny (default), a model directory or a hub id.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Image file of the first frame.")] = None,
    last_image: Annotated[Path | None, typer.Option(help="Image file of the last frame.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Audio to generate the video for; it is kept.")] = None,
    video: Annotated[Path | None, typer.Option(help="Video to generate the audio for; it is kept.")] = None,
    start: Annotated[
        NumberOption, typer.Option(help="Where in the given video or audio the clip begins, in seconds.")
    ] = None,
    keyframe: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME=IMAGE", help="Image that stands at a moment, in seconds; may be repeated."),
    ] = None,
    retake: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A-B[:video|audio]",
            help="Span of the given video, in seconds, made anew in both or one; the rest is kept. May be repeated.",
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Only video (a file without audio) or only audio (.m4a, .mp4 or .wav).")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Fit of given media of another shape or length: crop (default), pad or stretch."),
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="LoRA and its scale (default 1); may be repeated.")
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="Negative prompt: what classifier-free guidance leads away from.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the initial noise (default 0); the same seed gives the same clip.")
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(help="Number of the clip among those of its seed (default 0): clip 1 of a batch is --index 1."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Number of clips of each prompt, from --index on; they differ in their noise.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text file with a prompt in each line, or a JSON object with its options."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="CLIP", help="Make this clip again, from its metadata; options given beside it win."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    guidance_scale: Annotated[
        NumberOption, typer.Option(help="Classifier-free guidance scale for the text prompt; 1 disables it.")
    ] = None,
    modality_scale: Annotated[
        NumberOption,
        typer.Option(help="Cross-modal (bridge) guidance scale; 1 disables it."),
    ] = None,
    audio_guidance_scale: Annotated[
        NumberOption,
        typer.Option(help="Classifier-free guidance scale for the audio alone; default: that of the video."),
    ] = None,
    audio_modality_scale: Annotated[
        NumberOption,
        typer.Option(help="Cross-modal (bridge) guidance scale for the audio alone; default: that of the video."),
    ] = None,
    video_shift: Annotated[
        NumberOption, typer.Option(help="Shift of the video's noise schedule; larger spends more steps at high noise.")
    ] = None,
    audio_shift: Annotated[
        NumberOption, typer.Option(help="Shift of the audio's noise schedule; larger spends more steps at high noise.")
    ] = None,
    hold_noise: HoldNoiseOption = None,
    sampler: Annotated[str | None, typer.Option(help="Sampler: euler or unipc.")] = None,
    null_image: Annotated[
        str | None, typer.Option(help="Image in place of a missing first frame: white (default) or none.")
    ] = None,
    retries: RetriesOption = None,
    extend: ExtendOption = None,
    length: LengthOption = None,
    overlap: OverlapOption = None,
    windows: WindowsOption = None,
    prompt_at: PromptAtOption = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames, 1 plus a multiple of 4.")] = None,
    size: Annotated[str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT.")] = None,
    fps: Annotated[NumberOption, typer.Option(help="Frame rate in frames per second.")] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            help="Speed preset: exact (default), fast, fastest or distilled; the quicker, the more is left out."
        ),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Offload of the weights: auto, resident, phases, stream or disk.")
    ] = "auto",
    quantize: Annotated[
        str | None, typer.Option(help="Quantisation of large weights: float8, float8_linear, int8 or nf4.")
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            help="Attention kernels: native, native_flash, native_cudnn, native_efficient, native_math, flash, "
            "flash_3, flash_4, sage, sage_fp16 or sage_fp8."
        ),
    ] = None,
    compile_blocks: CompileOption = None,
    kernels: Annotated[
        str | None,
        typer.Option(
            help="Linear layers on a CPU: auto (default; the fastest, measured once per machine) or plain (fixed)."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Precision: auto (default), float32 or bfloat16; auto is bfloat16 where that holds."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(help="Number of processes that generate together, one for each GPU.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="How the processes of --gpus share the work, as branches=2,ring=1,ulysses=2.")
    ] = None,
    shard_weights: Annotated[
        bool, typer.Option("--shard-weights", help="Each process of --gpus holds a part of the weights (sharding).")
    ] = False,
    enhance: Annotated[
        bool,
        typer.Option(
            "--enhance", help="Enhance the prompt first: free wording becomes what the model knows (see mova enhance)."
        ),
    ] = False,
    enhance_settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML file that says who enhances; default: the user's own, else by rule."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of the path; of several clips a list.")
    ] = False,
) -> None:
    """Generate a clip: video and its audio.

    What is not given takes the value that the model recommends. Of several clips those that are there already are kept,
    so that the same command goes on where it was interrupted.
    """
    from mova.cli.clips import plan_clips
    from mova.generate.given import parse_keyframe, parse_retake
    from mova.generate.long.choice import read_choice
    from mova.generate.request import ClipOptions, MediaFiles
    from mova.pipeline.runtime import Runtime
    from mova.settings.sampling import GivenSettings
    from mova.settings.size import parse_size

    width, height = (None, None) if size is None else parse_size(size)
    options = ClipOptions(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        index=index,
        start_s=start,
        retries=retries,
        long=read_choice(length=length, extend=extend, overlap=overlap, windows=windows, prompts_at=prompt_at),
        files=MediaFiles(image=image, last_image=last_image, video=video, audio=audio),
        keyframes=None if keyframe is None else tuple(map(parse_keyframe, keyframe)),
        retakes=None if retake is None else tuple(map(parse_retake, retake)),
        only=only,
        fit=fit,
        settings=GivenSettings(
            height=height,
            width=width,
            num_frames=frames,
            frame_rate=fps,
            num_inference_steps=steps,
            sampler=sampler,
            null_image=null_image,
            guidance_scale=guidance_scale,
            modality_scale=modality_scale,
            audio_guidance_scale=audio_guidance_scale,
            audio_modality_scale=audio_modality_scale,
            video_shift=video_shift,
            audio_shift=audio_shift,
            hold_noise=hold_noise,
        ),
    )
    processes, rank, is_launched = _processes(gpus, layout, shard_weights, memory)
    clips = plan_clips(
        options,
        output,
        model=model,
        loras=lora or (),
        speed=speed,
        count=count,
        prompts=prompts,
        source=source,
        quantize=quantize,
        kernels=kernels,
        precision=precision,
        enhancing=_enhancing(enhance, enhance_settings, is_launched=is_launched),
        on_note=_note if rank == 0 else _say_nothing,
    )
    runtime = Runtime(memory, clips.quantization, attention, compile_blocks, precision=clips.precision, **clips.kernels)
    made = _make_all(clips, processes, runtime, rank)
    if rank == 0:
        _close(made, speed)
        _print(made, clips, as_json=as_json)


def _processes(
    gpus: int | None, layout: str | None, shard_weights: bool, memory: str
) -> tuple[Processes | None, int, bool]:
    """Return the processes that generate together, the rank of this one, and whether torchrun started it."""
    from mova.cli.terminal.log import place_in_torchrun
    from mova.generate.processes import read_processes
    from mova.plan.memory import check_memory

    place = place_in_torchrun()
    processes = read_processes(gpus, layout, shard_weights, started=place and place[1])
    check_memory(memory, processes.number if processes else 1)
    return processes, place[0] if place else 0, place is not None


def _enhancing(is_wanted: bool, path: Path | None, *, is_launched: bool) -> EnhanceSettings | None:
    """Return who enhances prompts, or None.

    Raises:
        ConfigError: settings without --enhance, or processes that would each ask for themselves.
    """
    from mova.errors import ConfigError

    if not is_wanted:
        if path is not None:
            raise ConfigError(f"enhance-settings is for --enhance, got {path} without; add --enhance")
        return None
    if is_launched:
        raise ConfigError(
            "enhance asks once, got processes of torchrun, of which each would ask; run mova enhance first and "
            "give its text as --prompt"
        )
    from mova.generate.enhance.settings import read_settings

    return read_settings(path)


def _warn(clips: Clips) -> None:
    """Say once of each kind what the model was not trained for."""
    from mova.generate.request import warn_outside
    from mova.settings.scope import read_scope

    scope = read_scope(clips.folder)
    for line in dict.fromkeys(warn_outside(job.request, scope) for job in clips.jobs):
        if line is not None:
            _note(line)


def _make_all(clips: Clips, processes: Processes | None, runtime: Runtime, rank: int) -> list[GeneratedFile | KeptFile]:
    from mova.distributed.launch import launch

    if rank == 0:
        _warn(clips)
    if processes is None or processes.launched:
        return _make(clips, processes, runtime, rank)
    try:
        made: list[GeneratedFile | KeptFile] = launch(
            processes.number, _make_beside_others, clips, processes, runtime, _log_level()
        )
    except BaseException:
        from mova.media.write import remove_stale

        # One that had to be killed could not remove what it was writing.
        remove_stale(clips.jobs[0].output.resolve().parent)
        raise
    return made


def _make(clips: Clips, processes: Processes | None, runtime: Runtime, rank: int) -> list[GeneratedFile | KeptFile]:
    """Make clips; only rank 0 of several processes writes to the terminal."""
    from mova.cli.clips import note_other_weights
    from mova.cli.terminal.progress import StageBar
    from mova.cli.terminal.quick_start import UNASKED, light_loading, quick_start
    from mova.generate.run import generate_files
    from mova.weights.locate import has_quantized_weights

    is_main = rank == 0
    with StageBar(len(clips.jobs)) if is_main else nullcontext() as bar:
        show = bar.show if bar else _say_nothing
        is_quantized = runtime.quantization is not None or has_quantized_weights(clips.folder)
        is_plain = not is_quantized and processes is None and runtime.attention is None and not runtime.compile_blocks
        with quick_start(show, needed=UNASKED if is_quantized else ()) as report:
            if is_main:
                note_other_weights(clips, _note)
            made = generate_files(
                clips.jobs,
                clips.folder,
                processes=processes,
                runtime=runtime,
                keeps=clips.are_several,
                loading=light_loading if is_plain else nullcontext,
                on_progress=report,
                on_clip=(lambda _: bar.next_clip()) if bar else _say_nothing,
                on_note=_note if is_main else _say_nothing,
            )
    if processes is not None and processes.launched:
        from mova.distributed.mesh import leave_parallel

        leave_parallel()
    return made


def _make_beside_others(
    clips: Clips, processes: Processes, runtime: Runtime, log_level: int
) -> list[GeneratedFile | KeptFile]:
    """Be one of the processes that this command starts: nothing has been set up in it yet."""
    from torch import distributed

    from mova.cli.terminal.log import configure_logging

    rank = distributed.get_rank()
    configure_logging(log_level, rank)
    return _make(clips, processes, runtime, rank)


def _log_level() -> int:
    return logging.getLogger("mova").getEffectiveLevel()


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _say_nothing(*_: object) -> None:
    """Stand in for what only rank 0 says."""


def _close(made: list[GeneratedFile | KeptFile], speed: str | None) -> None:
    """Say how the clips were made."""
    from mova.generate.run import GeneratedFile
    from mova.settings.speed import SPEEDS

    if speed is not None and speed != "exact":
        _note(f"{speed}: {SPEEDS[speed].words}")
    for one in made:
        _note(one.summary() if isinstance(one, GeneratedFile) else f"{one.path} is there already, kept")


def _print(made: list[GeneratedFile | KeptFile], clips: Clips, *, as_json: bool) -> None:
    if as_json:
        records = [json.loads(one.to_json()) for one in made]
        typer.echo(json.dumps(records if clips.are_several else records[0]))
    else:
        typer.echo("\n".join(one.path for one in made))
    if is_stdout_broken():
        _note(f"stdout was closed; {f'{made[0].path} is' if len(made) == 1 else f'{len(made)} clips are'} complete")
