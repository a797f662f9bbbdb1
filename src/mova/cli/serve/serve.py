"""`mova serve`: a page and an API over a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mova.cli.serve.keys import group as keys
from mova.cli.terminal.log import shape_lines

SettingsOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file with settings; options given beside it win.")
]
DataOption = Annotated[Path | None, typer.Option(help="Folder of jobs and clips; mova-serve by default.")]


def register(app: typer.Typer) -> None:
    """Add the `serve` command to the application."""
    group = typer.Typer(rich_markup_mode=None)
    group.callback(invoke_without_command=True)(serve)
    group.add_typer(keys, name="keys")
    app.add_typer(group, name="serve")


def serve(
    context: typer.Context,
    settings: SettingsOption = None,
    model: Annotated[
        str | None, typer.Option(help="Model: mova-tiny (default), a model directory or a hub id.")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="LoRA and its scale (default 1); may be repeated.")
    ] = None,
    speed: Annotated[
        str | None, typer.Option(help="Speed preset where a request names none: exact, fast, fastest or distilled.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Offload of the weights: auto, resident, phases, stream or disk.")
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(help="Quantisation of large weights: float8, float8_linear, int8 or nf4.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Precision: auto, float32 or bfloat16.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; 127.0.0.1 by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at, 8500 by default; 0 takes a free one.")] = None,
    data: DataOption = None,
    public_without_keys: Annotated[
        bool, typer.Option("--public-without-keys", help="Listen beyond this machine without API keys.")
    ] = False,
) -> None:
    """Serve a page to make clips in, and an OpenAI-style API of videos, until Ctrl-C.

    A clip that is being made then goes on after the next start. Only this machine reaches the server unless a host is
    given, and others need an API key then (mova serve keys create).
    """
    if context.invoked_subcommand is not None:
        return
    from mova.serve.run import says_public
    from mova.serve.run import serve as run
    from mova.serve.settings import load_settings

    told = load_settings(
        settings,
        {
            "model": model,
            "loras": lora,
            "speed": speed,
            "memory": memory,
            "quantize": quantize,
            "precision": precision,
            "host": host,
            "port": port,
            "data": data,
            "public_without_keys": public_without_keys or None,
        },
    )
    if warning := says_public(told):
        typer.echo(warning, err=True)
    _name_requests()
    try:
        run(told, typer.echo)
    except KeyboardInterrupt:
        # It was asked to end, and has.
        typer.echo("ended", err=True)


def _name_requests() -> None:
    """Let each line of log say when it was and which request it is about."""
    from mova.serve.access.gate import RequestIdFilter

    shape_lines("%(asctime)s %(levelname)s %(name)s [%(request_id)s]: %(message)s", RequestIdFilter())
