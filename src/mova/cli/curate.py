"""`mova curate`: from raw footage to captioned clips, with a bar for each stage; decide again, and explain."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.recipes import print_names, print_recipe
from mova.cli.terminal.first_word import DEFAULT, DefaultCommand, FirstWordGroup
from mova.cli.terminal.progress import TextBars

if TYPE_CHECKING:
    from mova.curate.config.recipe import CurateConfig
    from mova.curate.progress import Progress

Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, for example output.folder=curated or execution.workers=2.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with the counts of every stage.")]
_RECIPE_HELP = "Name of a recipe that comes with the package (--list), or path of a YAML file."


def register(app: typer.Typer) -> None:
    """Add the `curate` commands to the application."""
    group = typer.Typer(cls=FirstWordGroup, rich_markup_mode=None)
    group.callback()(_group)
    again = "`mova curate verdicts RECIPE` decides again; a recipe of that name is ./verdicts."
    group.command(DEFAULT, cls=DefaultCommand, epilog=again)(curate)
    group.command("verdicts")(verdicts)
    app.add_typer(group, name="curate")


def _group() -> None:
    """Turn raw footage into captioned clips, and decide which of them are kept."""


def curate(
    recipe: Annotated[str | None, typer.Argument(help=_RECIPE_HELP)] = None,
    overrides: Overrides = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Take at most so many sources, a sample; a run with more goes on from it."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what the run will take: footage, clips, calls, tokens, disk; write nothing."
        ),
    ] = False,
    list_names: Annotated[bool, typer.Option("--list", help="Print the recipes that come with the package.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe's text, to begin one of your own: --show > mine.yaml.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cut footage into clips, score them, decide, and caption what is kept; prints the table of clips.

    What an earlier run over the same output folder completed is not done again.
    """
    if list_names:
        print_names("curate")
        return
    recipe = _needed(recipe)
    if show:
        print_recipe(recipe, "curate", {"--set": overrides, "--limit": limit, "--dry-run": dry_run, "--json": as_json})
        return
    config = _load(recipe, overrides)
    if dry_run:
        _say_plan(config, limit, as_json)
        return
    from mova.curate.build import curate as run_recipe

    with TextBars(says_left=True) as bars:
        rates = _Rates()
        table = run_recipe(
            config,
            limit=limit,
            on_progress=lambda now: bars.show(now.stage, now.done, now.total, rates.text(now)),
        )
    _say_result(table, as_json)


def verdicts(
    recipe: Annotated[str | None, typer.Argument(help=_RECIPE_HELP)] = None,
    overrides: Overrides = None,
    clip: Annotated[
        str | None,
        typer.Option("--explain", metavar="CLIP", help="Say of a clip, by its id or its file, why it is kept or not."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide again on clips that were scored, with the recipe's gates; prints the table. No media is touched."""
    config = _load(_needed(recipe), overrides)
    if clip is not None:
        from mova.curate.decide.explain import explain_clip

        told = explain_clip(config.output.folder, clip)
        typer.echo(json.dumps(told.as_json(), indent=1, ensure_ascii=False) if as_json else "\n".join(told.lines()))
        return
    from mova.curate.build import decide_again

    _say_result(decide_again(config), as_json)


def _needed(recipe: str | None) -> str:
    if recipe is None:
        raise typer.BadParameter(
            "a name or a path is needed; `mova curate --list` prints the names", param_hint="RECIPE"
        )
    return recipe


def _load(recipe: str, overrides: Sequence[str] | None) -> CurateConfig:
    from mova.errors import MissingExtraError

    try:
        from mova.curate.config.recipe import load_curation
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pydantic", "curate") from error
    return load_curation(recipe, overrides or ())


def _say_plan(config: CurateConfig, limit: int | None, as_json: bool) -> None:
    from mova.curate.build import check_stages, make_run
    from mova.curate.dry_run import plan_curation

    run = make_run(config)
    check_stages(config, run)
    plan = plan_curation(config, run.sources(), limit)
    typer.echo(json.dumps(plan.as_json(), indent=1) if as_json else "\n".join(plan.lines()))


def _say_result(table: Path, as_json: bool) -> None:
    from mova.curate.folder import OutputFolder
    from mova.curate.summary import counts_in_words, read_summary

    folder = OutputFolder(table.parent)
    summary, report = read_summary(folder), folder.root / "report.html"
    if not as_json:
        typer.echo("\n".join([*counts_in_words(summary), f"report: {report}"]), err=True)
        typer.echo(table)
        return
    told = {"clips": str(table), "report": str(report), **summary.values}
    typer.echo(json.dumps(told, indent=1, ensure_ascii=False))


class _Rates:
    """Clips per second of each stage, counted from when it began to work."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def text(self, progress: Progress) -> str:
        """Return the rate in words; "" before there is any."""
        now = time.monotonic()
        begun = self._begun.setdefault(progress.stage, now)
        if not progress.clips or now <= begun:
            return ""
        return f"{progress.counts}, {progress.clips / (now - begun):.3g} clips/s"
