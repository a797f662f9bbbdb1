"""`mova weights download`: a model from the hub, resumed where it stopped and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def download(
    model: Annotated[str, typer.Argument(help="Hub id OWNER/NAME, such as OpenMOSS-Team/MOVA-360p.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; the main branch by default.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for the model; by default the hub's cache, where its id finds it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Download the files that a model needs, and check them against the hub's checksums.

    An interrupted download goes on where it stopped. Prints the model's folder.
    """
    from dataclasses import asdict

    from mova.weights import download as hub

    found = hub.look_up(model, revision)
    folder = None if dry_run else hub.download(found, to)
    if as_json:
        facts = {"path": None if folder is None else str(folder), "size_bytes": found.size_bytes, **asdict(found)}
        typer.echo(json.dumps(facts, indent=2))
    elif folder is not None:
        typer.echo(folder)
    else:
        lines = [f"{file.name}  {hub.readable(file.size_bytes)}" for file in found.files]
        total = f"{model} at {found.commit}: {len(found.files)} files, {hub.readable(found.size_bytes)}"
        typer.echo("\n".join([*lines, total]))
