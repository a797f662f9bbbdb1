"""`mova train`: run a recipe, with a bar for each stage; list recipes and show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mova.cli.recipes import print_names, print_recipe
from mova.cli.terminal.progress import TextBars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mova.train.loop.trainer import Progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name of a recipe that comes with the package (--list), for example lora, or path of a YAML file."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example run.max_steps=100.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to go on from.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of encoded clips, shared among runs.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check recipe, clips, cache and run folder, say what would run; write and train nothing."
        ),
    ] = False,
    list_names: Annotated[bool, typer.Option("--list", help="Print the recipes that come with the package.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe's text, to begin one of your own: --show > mine.yaml.")
    ] = False,
) -> None:
    """Train from a recipe; prints the directory of the model."""
    if list_names:
        print_names("train")
        return
    if recipe is None:
        raise typer.BadParameter("a name or a path is needed; --list prints the names", param_hint="RECIPE")
    if show:
        others = {"--set": overrides, "--resume": resume, "--cache": cache, "--dry-run": dry_run}
        print_recipe(recipe, "train", others)
        return
    from mova.distributed.mesh import leave_parallel
    from mova.errors import MissingExtraError

    try:
        from mova.train.ladder import run_recipe
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pydantic", "train") from error
    if dry_run:
        _say_plan(recipe, overrides or (), resume, cache)
        return
    try:
        with TextBars() as bars:
            folder = run_recipe(
                recipe,
                overrides=overrides or (),
                resume=resume,
                cache=cache,
                on_progress=lambda now: bars.show(now.stage, now.step, now.total, _values(now)),
            )
    except KeyboardInterrupt:
        # Several processes leave together, see `Interrupts`.
        leave_parallel()
        raise
    leave_parallel()
    typer.echo(folder)


def _say_plan(recipe: str, overrides: Sequence[str], resume: Path | None, cache: Path | None) -> None:
    """Look at everything that a run needs, say what was found, and end with the first error that it would end with."""
    from mova.errors import MovaError
    from mova.train.ladder import check_resume, plan_recipe
    from mova.train.plan.dry_run import DataCheck, check_data

    steps = plan_recipe(recipe, overrides, resume)
    folder = steps[0][1].model.parent
    # Stages of a run share their clips.
    looked: dict[str, DataCheck | None] = {}
    problems: list[MovaError] = []
    for name, config, finished in steps:
        typer.echo(f"{name}: {config.stage} {_extent(config)}{' (finished)' if finished else ''}")
        same = repr((getattr(config, "data", None), getattr(config, "encoders", None)))
        try:
            if same not in looked:
                looked[same] = None
                looked[same] = check_data(config, cache or folder / "latents")
        except MovaError as error:
            problems.append(error)
        data = looked[same]
        for line in (*(data.lines if data else ()), *_memory(config, data.host_bytes if data else 0)):
            typer.echo(f"  {line}")
    if problems:
        raise problems[0]
    check_resume(folder, [name for name, _, _ in steps], resume)


def _extent(config: Any) -> str:
    run, data = getattr(config, "run", None), getattr(config, "data", None)
    clips = getattr(data, "num_clips", None)
    parts = [f"-> {config.model}"]
    if run is not None:
        limit = f" or {run.max_minutes:g} minutes" if run.max_minutes else ""
        parts.append(f"{run.max_steps} steps{limit} of {run.batch_size} samples")
    if data is not None:
        parts.append(f"{clips if clips is not None else 'all'} clips of {data.source}")
    return ", ".join(parts)


def _memory(config: Any, clips_bytes: int) -> list[str]:
    """Return what a LoRA will take, counted; nothing for other stages."""
    if config.stage != "lora":
        return []
    from mova.errors import CheckpointError
    from mova.train.plan.memory import plan_lora

    try:
        return plan_lora(config, is_gpu=config.run.device != "cpu", clips_bytes=clips_bytes).lines()
    except CheckpointError as error:
        # A base that has yet to be downloaded is no fault of the recipe.
        return [f"memory is not planned: {error}"]


def _values(progress: Progress) -> str:
    """Return rate and losses in words."""
    rate = f"{progress.samples_per_second:.3g} samples/s " if progress.samples_per_second else ""
    return rate + " ".join(f"{name} {value:.3g}" for name, value in progress.values.items())
