"""`mova train`: run a recipe, with a bar for each stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mova.train.trainer import Progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, for example recipes/train/tiny.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example run.max_steps=100.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to go on from.")] = None,
) -> None:
    """Train from a recipe; prints the directory of the model."""
    from mova.errors import MissingExtraError

    try:
        from mova.train.ladder import run_recipe
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pydantic", "train") from error
    with _Bars() as bars:
        folder = run_recipe(recipe, overrides=overrides or (), resume=resume, on_progress=bars.show)
    typer.echo(folder)


class _Bars:
    """One bar per stage on stderr: steps, rate, time left, losses."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: Progress) -> None:
        """Move the bar of the stage that reports."""
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._progress.add_task(progress.stage, total=progress.total, values="")
        text = " ".join(f"{name} {value:.3g}" for name, value in progress.values.items())
        task = self._tasks[progress.stage]
        self._progress.update(task, completed=progress.step, total=progress.total, values=text)  # type: ignore[arg-type]
