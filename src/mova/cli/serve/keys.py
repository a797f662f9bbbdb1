"""`mova serve keys`: who may use a server that others reach."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mova.serve.access.keys import ApiKey, Keys

SettingsOption = Annotated[Path | None, typer.Option(metavar="FILE", help="YAML file with settings of the server.")]
DataOption = Annotated[Path | None, typer.Option(help="Data folder of the server; mova-serve by default.")]
NumberOption = int | None

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@group.callback()
def keys() -> None:
    """Make, list and revoke API keys. A server that runs with keys heeds a change at once."""


@group.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of whoever gets the key.")],
    settings: SettingsOption = None,
    data: DataOption = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="The key sees all clips, may pause and reorder the queue and read metrics.")
    ] = False,
    posts_per_minute: Annotated[NumberOption, typer.Option(help="Requests for clips in a minute.")] = None,
    queued: Annotated[NumberOption, typer.Option(help="Open clips at a time.")] = None,
    kept_bytes: Annotated[NumberOption, typer.Option(help="Bytes of files that are kept.")] = None,
    seconds_per_day: Annotated[float | None, typer.Option(help="Seconds of video in 24 hours.")] = None,
) -> None:
    """Make a key and print its secret, which is kept nowhere and cannot be printed again."""
    from mova.serve.settings import QuotaSection, load_settings

    limits = {
        "posts_per_minute": posts_per_minute,
        "queued": queued,
        "kept_bytes": kept_bytes,
        "seconds_per_day": seconds_per_day,
    }
    given = {f"quota.{name}": value for name, value in limits.items() if value is not None}
    # Checked as the section of the settings is; what is not given is as that section has it now.
    quota: QuotaSection | None = load_settings(settings, {**given, "data": data}).quota if given else None
    made, secret = _keys(settings, data).create(name, is_admin=admin, quota=quota)
    typer.echo(secret)
    typer.echo(f"{made.name} ({made.id}): keep the line above; send it as Authorization: Bearer KEY", err=True)


@group.command("list")
def list_keys(settings: SettingsOption = None, data: DataOption = None) -> None:
    """List keys: id, name, when they were made and revoked, and their own limits. No secret is shown."""
    for key in _keys(settings, data).all():
        typer.echo("\t".join(_columns(key)))


@group.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    settings: SettingsOption = None,
    data: DataOption = None,
) -> None:
    """Revoke a key: whoever has it is refused from now on; clips that were made with it stay."""
    gone = _keys(settings, data).revoke(name)
    typer.echo(f"revoked {gone.name} ({gone.id})")


def _keys(settings: Path | None, data: Path | None) -> Keys:
    from mova.serve.access.keys import Keys
    from mova.serve.settings import load_settings

    return Keys(load_settings(settings, {"data": data}).keys_path())


def _columns(key: ApiKey) -> list[str]:
    state = "in use" if key.revoked_s is None else f"revoked {_day(key.revoked_s)}"
    own = (
        {}
        if key.quota is None
        else {name: value for name, value in key.quota.model_dump().items() if value is not None}
    )
    limits = ", ".join(f"{name} {value:g}" for name, value in own.items())
    return [key.id, key.name, f"made {_day(key.created_s)}", state, "admin" if key.is_admin else "", limits]


def _day(moment_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment_s))
