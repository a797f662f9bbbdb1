"""The commands of `mova evaluate`."""

from __future__ import annotations

import typer

from mova.cli.evaluate import arena
from mova.cli.evaluate.clips import clips
from mova.cli.evaluate.run import run
from mova.cli.evaluate.scorers import scorers
from mova.cli.evaluate.toyworld import toyworld
from mova.cli.terminal.first_word import DEFAULT, DefaultCommand, FirstWordGroup


def register(app: typer.Typer) -> None:
    """Add the `evaluate` commands to the application."""
    group = typer.Typer(cls=FirstWordGroup, rich_markup_mode=None)
    group.callback()(_group)
    others = "Commands: arena, run, scorers, toyworld (`mova evaluate run --help`); a folder of that name is ./run."
    group.command(DEFAULT, cls=DefaultCommand, epilog=others)(clips)
    group.command("run")(run)
    group.command("scorers")(scorers)
    group.command("toyworld")(toyworld)
    arena.register(group)
    app.add_typer(group, name="evaluate")


def _group() -> None:
    """Measure clips, and models by what they make."""
