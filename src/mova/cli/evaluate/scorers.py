"""`mova evaluate scorers`: which scorers there are, what each needs, and whether it can work here."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def scorers(
    weights: Annotated[str, typer.Option(help="Folder with weights of scorers; without it, MOVA_SCORER_WEIGHTS.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all scorers with their measures, and what is missing for those that are skipped here."""
    from mova.evaluate.benchmarks.paper import ELEVEN
    from mova.evaluate.scorer_list import list_scorers

    found = list_scorers(weights)
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found], indent=1, ensure_ascii=False))
        return
    for one in found:
        typer.echo(f"{one.name}: {one.state}")
        for measure in one.measures:
            unit = f" in {measure.unit}" if measure.unit else ""
            typer.echo(f"    {measure.name}{unit} ({measure.direction} is better): {measure.meaning}")
        for line in one.missing:
            typer.echo(f"    needs {line}")
    typer.echo("\nThe eleven metrics of the paper:\n")
    for metric in ELEVEN:
        one = next(scorer for scorer in found if metric in scorer.paper)
        typer.echo(f"    {metric}: {', '.join(one.paper[metric])} of {one.name} ({one.state})")
