"""`mova weights`: look into, check and rewrite the weights of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mova.generate.weights import ComponentReport

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the `weights` commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Look into, check and rewrite the weights of a model."
    )
    group.command("inspect")(inspect)
    group.command("verify")(verify)
    group.command("convert")(convert)
    app.add_typer(group, name="weights")


def inspect(
    path: Annotated[Path, typer.Argument(help="A model directory, a component's directory or a safetensors file.")],
    as_json: AsJson = False,
) -> None:
    """List components: class, tensors, parameters, dtypes, size and fingerprint."""
    from dataclasses import asdict

    from mova.generate.weights import inspect_weights

    reports = inspect_weights(path)
    typer.echo(json.dumps([asdict(report) for report in reports], indent=2) if as_json else _table(reports))


def verify(
    directory: Annotated[Path, typer.Argument(help="A model directory or a component's directory.")],
    manifest: Annotated[
        Path | None, typer.Option(help="JSON with the expected shapes: {tensor: [sizes]}, by component for a model.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check classes, names and shapes strictly; exit code 2 and the first offending key where something is wrong."""
    from mova.generate.weights import verify_weights

    counts = verify_weights(directory, manifest)
    typer.echo(
        json.dumps(counts, indent=2)
        if as_json
        else f"{directory}: {len(counts)} components, {sum(counts.values())} tensors, all as they must be"
    )


def convert(
    source: Annotated[Path, typer.Argument(help="A model directory.")],
    target: Annotated[Path, typer.Argument(help="The new model directory; must not exist yet.")],
    dtype: Annotated[str | None, typer.Option(help="bf16 or float32; as stored by default.")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Largest weight file, such as 16MB.")] = "10GB",
    fold_weight_norm: Annotated[
        bool, typer.Option("--fold-weight-norm", help="Store plain weights instead of weight_g and weight_v.")
    ] = False,
) -> None:
    """Write a model again with another dtype, other shards or folded weight norm; prints the new directory."""
    from mova.generate.weights import convert_weights

    typer.echo(
        convert_weights(source, target, dtype=dtype, max_shard_size=max_shard_size, fold_weight_norm=fold_weight_norm)
    )


def _table(reports: list[ComponentReport]) -> str:
    lines = []
    for report in reports:
        dtypes = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
        known = f" = {report.published_as}" if report.published_as else ", not a published size"
        lines += [
            f"{report.name}: {report.class_name or 'a file of weights'}",
            f"  {report.num_tensors:,} tensors ({dtypes}), {report.num_parameters:,} parameters, "
            f"{report.size_bytes:,} bytes",
            f"  names and shapes {report.md5}{known}",
        ]
    total = sum(report.num_parameters for report in reports)
    return "\n".join([*lines, f"in all {total:,} parameters, {sum(report.size_bytes for report in reports):,} bytes"])
