"""`mova enhance`: a text as the prompt that a model wants, by rule or by models behind endpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the `enhance` command to the application."""
    app.command("enhance")(enhance)


def enhance(
    text: Annotated[str, typer.Argument(help="What happens and what is heard, in your own words.")],
    image: Annotated[Path | None, typer.Option(help="Image file of the first frame.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model that the prompt is for (default: mova-tiny; with an endpoint, the published ones)."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--enhance-settings",
            metavar="FILE",
            help="YAML file that says who enhances; default: the user's own (enhance.yaml), else by rule.",
        ),
    ] = None,
    first_frame: Annotated[
        Path | None, typer.Option(help="The .png file to write a first frame to, where one is made.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with everything that is known of it.")] = False,
) -> None:
    """Enhance a prompt: print it, and say on stderr what was changed and what failed.

    For mova-tiny, free wording in English or Chinese becomes a caption of the toy world. For other models the text is
    put into the form of their captions: by a model behind an endpoint where the settings name one, else by rule.
    """
    from mova.generate.enhance.clips import lines_of, write_frame
    from mova.generate.enhance.run import enhance as run
    from mova.generate.enhance.settings import read_settings
    from mova.media.frames import read_image

    chosen = read_settings(settings)
    can_draw = chosen.images is not None or chosen.local_images is not None
    if first_frame is not None and can_draw:
        chosen = chosen.model_copy(update={"first_frame": True})
    pixels = None if image is None else read_image(image)
    wanted = model or (None if chosen.is_online else "mova-tiny")
    enhanced = run(text, pixels, chosen, model=wanted)
    for line in lines_of(enhanced)[:-1]:
        typer.echo(line, err=True)
    values = enhanced.to_dict()
    if first_frame is not None:
        if enhanced.first_frame is None:
            typer.echo("no first frame was made", err=True)
        else:
            write_frame(enhanced.first_frame, first_frame)
            values["first_frame_file"] = str(first_frame)
    typer.echo(json.dumps(values) if as_json else enhanced.text)
