"""`mova toyworld`: clips of the toy world with exact event times, and what to ask a model for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mova.cli.terminal.progress import counting_bar

Kind = Annotated[
    str | None,
    typer.Option(help="Kind of scene, such as keys; a wrong one lists all (default: ball or mallet, from the seed)."),
]


def register(app: typer.Typer) -> None:
    """Add the `toyworld` commands to the application."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Render clips with exact ground truth.")
    group.command("render")(render)
    group.command("prompt")(prompt)
    app.add_typer(group, name="toyworld")


def render(
    count: Annotated[int, typer.Option(help="Number of clips.")],
    seed: Annotated[int, typer.Option(help="Seed of the first clip; the others follow.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips; made if missing.")],
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 128,
    frames: Annotated[int, typer.Option(help="Number of frames of each clip.")] = 49,
    kind: Kind = None,
) -> None:
    """Write clips as mp4 and beside each its caption, scene and events (time, kind, place, pitch) as JSON."""
    from mova.toyworld.export import render_clips

    with counting_bar("clips", count) as advance:
        paths = render_clips(count, seed, out, size=size, num_frames=frames, kind=kind, on_clip=lambda _: advance())
    typer.echo("\n".join(map(str, paths)))


def prompt(
    seed: Annotated[
        int, typer.Option(help="Seed of the scene; those from 2000000000 on were kept out of all training.")
    ],
    image: Annotated[Path, typer.Option(help="The image file to write, such as first.png.")],
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 128,
    kind: Kind = None,
) -> None:
    """Write the first frame of a scene and print its caption: what to ask a model for."""
    from PIL import Image

    from mova.errors import MediaError
    from mova.toyworld import first_frame, sample_scene
    from mova.toyworld import render as render_scene

    rendered = render_scene(sample_scene(seed, kind=kind), size=size, num_frames=1)
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(first_frame(rendered.clip)).save(image)
    except (OSError, ValueError) as error:
        raise MediaError(f"image must be an image file that can be written, got {image}: {error}") from error
    typer.echo(rendered.caption)
