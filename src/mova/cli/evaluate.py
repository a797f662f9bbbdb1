"""`mova evaluate`: measure what a model makes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mova.cli.progress import counting_bar

if TYPE_CHECKING:
    from mova.generate.pipeline import MovaPipeline
    from mova.toyworld.render import RenderedClip
    from mova.types import Clip


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
    model: Annotated[str, typer.Option(help="mova-tiny, a model directory or a hub id.")],
    clips: Annotated[int, typer.Option(help="Number of clips to generate, the kinds of scene in turn.")],
    seed: Annotated[int, typer.Option(help="Another seed means other scenes and other noise.")],
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Of the text; 1 switches it off.")] = None,
    modality_scale: Annotated[float | None, typer.Option(help="Of the bridge; 1 switches it off.")] = None,
    no_bridge: Annotated[bool, typer.Option("--no-bridge", help="Let the towers run apart, to see chance.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Scene: ball, mallet, keys, face, duet or balls; may be given again. Default: all."),
    ] = None,
    by_combination: Annotated[
        bool,
        typer.Option("--by-combination", help="Report scenes with held-out combinations apart as well."),
    ] = False,
    given: Annotated[
        Given,
        typer.Option(help="Besides the caption: the first frame; the whole video, to make its sound; or the audio."),
    ] = Given.FRAME,
    report: Annotated[Path | None, typer.Option(help="Folder for report.json and report.md.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every clip instead of a table.")] = False,
) -> None:
    """Generate from held-out captions and first frames and measure the clips against the exact truth.

    Beside the figures stand the ceiling (rendered clips sent through the autoencoders) and chance (sounds exchanged
    between clips).
    """
    from mova.evaluate.toyworld import run_benchmark
    from mova.toyworld.vocabulary import ALL_KINDS

    if report is not None:
        # Before the work, so that a folder that cannot be written costs nothing.
        report.mkdir(parents=True, exist_ok=True)
    settings = {"num_inference_steps": steps, "guidance_scale": guidance_scale, "modality_scale": modality_scale}
    pipeline = _load(model, with_bridge=not no_bridge)
    size, frame_rate = pipeline.defaults.height, pipeline.defaults.frame_rate
    with counting_bar("clips", clips) as advance:
        result = run_benchmark(
            lambda rendered, clip_seed: _generate(pipeline, rendered, given, clip_seed, settings),
            num_clips=clips,
            seed=seed,
            kinds=kind or ALL_KINDS,
            by_combination=by_combination,
            reencode=lambda clip: _reencode(pipeline, clip),
            on_clip=lambda *_: advance(),
            size=size,
            num_frames=pipeline.defaults.num_frames,
            frame_rate=frame_rate,
            sample_rate=pipeline.codec_geometry.sample_rate,
        )
    if report is not None:
        (report / "report.json").write_text(result.to_json() + "\n", encoding="utf-8")
        (report / "report.md").write_text(result.to_markdown(), encoding="utf-8")
    typer.echo(result.to_json() if as_json else result.to_markdown().rstrip())


def _load(model: str, *, with_bridge: bool) -> MovaPipeline:
    import torch

    from mova.generate.load import load_pipeline

    pipeline = load_pipeline(model, device="cuda" if torch.cuda.is_available() else "cpu")
    pipeline.set_progress_bar_config(disable=True)
    if not with_bridge:
        # Guidance stays as it is; only the towers do not meet.
        pipeline.dual_tower_bridge.layers = ()
    return pipeline


def _generate(
    pipeline: MovaPipeline, rendered: RenderedClip, given: Given, seed: int, settings: dict[str, Any]
) -> Clip:
    from mova.toyworld import first_frame

    media: dict[str, Any] = {}
    if given is Given.VIDEO:
        media["video"] = rendered.clip.frames
    else:
        media["image"] = first_frame(rendered.clip)
    if given is Given.AUDIO:
        media["audio"] = rendered.clip.waveform
    height, width = rendered.clip.frames.shape[1:3]
    result = pipeline(rendered.caption, height=height, width=width, seed=seed, output_type="np", **media, **settings)
    assert not isinstance(result, tuple), "return_dict is true by default"
    return result.clip()


def _reencode(pipeline: MovaPipeline, clip: Clip) -> Clip:
    """Send a rendered clip through both autoencoders."""
    import torch

    from mova.codecs.audio import decode_audio, encode_audio
    from mova.codecs.video import decode_video, encode_video, frames_to_tensor, tensor_to_frames
    from mova.types import Clip as ClipRecord

    assert clip.waveform is not None, "rendered clips have sound"
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
