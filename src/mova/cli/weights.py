"""`mova weights`: look into, check and rewrite the weights of a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mova.cli.download import download
from mova.errors import ConfigError

if TYPE_CHECKING:
    from mova.weights.lora.convert import LoraReport
    from mova.weights.quantize.report import QuantizationReport
    from mova.weights.rewrite import ComponentReport

_MOST_VALUES: Final = 6

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the `weights` commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Look into, check and rewrite the weights of a model."
    )
    group.command("inspect")(inspect)
    group.command("verify")(verify)
    group.command("convert")(convert)
    group.command("download")(download)
    app.add_typer(group, name="weights")


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A model directory, a component's directory, a safetensors file or a LoRA's folder.")
    ],
    as_json: AsJson = False,
) -> None:
    """List components: class, tensors, parameters, dtypes, size and fingerprint."""
    from dataclasses import asdict

    from mova.weights.lora.convert import inspect_lora, is_lora_file
    from mova.weights.rewrite import inspect_weights

    if is_lora_file(path):
        lora = inspect_lora(path)
        typer.echo(json.dumps([asdict(lora)], indent=2) if as_json else _lora_table(lora))
        return
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
    from mova.weights.rewrite import verify_weights

    counts = verify_weights(directory, manifest)
    typer.echo(
        json.dumps(counts, indent=2)
        if as_json
        else f"{directory}: {len(counts)} components, {sum(counts.values())} tensors, all as they must be"
    )


def convert(
    source: Annotated[Path, typer.Argument(help="A model directory, a component's GGUF file or a LoRA (also .pt).")],
    target: Annotated[Path, typer.Argument(help="The new directory or file; must not exist yet.")],
    dtype: Annotated[str | None, typer.Option(help="bf16 or float32; as stored by default.")] = None,
    max_shard_size: Annotated[str, typer.Option(help="Largest weight file, such as 16MB.")] = "10GB",
    fold_weight_norm: Annotated[
        bool, typer.Option("--fold-weight-norm", help="Store plain weights instead of weight_g and weight_v.")
    ] = False,
    quantize: Annotated[
        str | None, typer.Option(help="float8, int8 or nf4: quantises the large weights of towers and bridge.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="For a GGUF file: a folder with the component's config.json; else MOVA's tower.")
    ] = None,
    lora_format: Annotated[str | None, typer.Option(help="For a LoRA: mova (default), diffsynth or comfyui.")] = None,
    component: Annotated[
        list[str] | None,
        typer.Option(help="For a LoRA whose keys name none: video_dit, video_dit_2, ...; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model again with another dtype, other shards or quantised weights, or a LoRA in another key style.

    Prints the new directory or files; with --json also the relative error of each quantised weight. Of a pickled LoRA
    (.pt, .pth, .ckpt, .bin) only tensors are read, and no code of it runs.
    """
    from mova.weights.lora.convert import convert_lora, is_lora_file

    if lora_format is not None or component or is_lora_file(source):
        given: dict[str, object] = {
            "dtype": dtype,
            "max_shard_size": max_shard_size != "10GB",
            "fold_weight_norm": fold_weight_norm,
        }
        given |= {"quantize": quantize, "json": as_json, "like": like}
        _refuse([name for name, value in given.items() if value], "a model directory, not for a LoRA")
        for file in convert_lora(source, target, lora_format, component or ()):
            typer.echo(file)
        return
    made = _convert_weights(source, target, dtype, max_shard_size, fold_weight_norm, quantize, like)
    _report(made, with_errors=quantize is not None, as_json=as_json)


def _convert_weights(
    source: Path,
    target: Path,
    dtype: str | None,
    max_shard_size: str,
    fold_weight_norm: bool,
    quantize: str | None,
    like: Path | None,
) -> Path:
    from mova.weights.gguf.convert import convert_gguf, is_gguf_file
    from mova.weights.rewrite import check_dtype, check_shard_size, convert_weights

    if is_gguf_file(source):
        _refuse(["fold_weight_norm"] if fold_weight_norm else [], "a model directory, not for a GGUF file")
        check_shard_size(max_shard_size)
        return convert_gguf(
            source, target, like=like, dtype=check_dtype(dtype), max_shard_size=max_shard_size, quantize=quantize
        )
    _refuse(["like"] if like else [], "a GGUF file")
    return convert_weights(
        source,
        target,
        dtype=dtype,
        max_shard_size=max_shard_size,
        fold_weight_norm=fold_weight_norm,
        quantize=quantize,
    )


def _report(made: Path, *, with_errors: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from mova.weights.quantize.report import read_reports

    reports = read_reports(made) if with_errors else {}
    for name, report in reports.items():
        typer.echo(_error_line(name, report), err=True)
    found = {name: asdict(report) for name, report in reports.items()}
    typer.echo(json.dumps({"path": str(made), "quantization": found}, indent=2) if as_json else made)


def _refuse(options: list[str], reason: str) -> None:
    if options:
        raise ConfigError(f"--{options[0].replace('_', '-')} is for {reason}")


def _error_line(name: str, report: QuantizationReport) -> str:
    return (
        f"{name} in {report.quant_method}: {report.bytes_before:,} -> {report.bytes_after:,} bytes; "
        f"{len(report.errors)} weights, relative error {report.mean_error:.4f} on average, "
        f"{report.worst_error:.4f} at most ({report.worst_weight})"
    )


def _lora_table(lora: LoraReport) -> str:
    lines = [f"{lora.name}: LoRA with {lora.style} keys, trained on {lora.base_model or 'an unnamed base'}"]
    for name, summary in lora.components.items():
        ranks, alphas = _values(summary.ranks), _values(summary.alphas)
        told = [f"{summary.num_layers} layers, rank {ranks}, alpha {alphas}"] if summary.num_layers else []
        told += [f"{summary.num_dora} of them DoRA"] if summary.num_dora else []
        told += [f"{summary.num_differences} whole differences"] if summary.num_differences else []
        lines += [
            f"  {name or 'component not named'}: {', '.join(told)}, {summary.num_parameters:,} parameters",
            *([f"    {', '.join(summary.targets)}"] if summary.targets else []),
        ]
    if lora.strays:
        lines.append(f"  {len(lora.strays)} keys are no adapters: {', '.join(lora.strays[:10])}")
    return "\n".join(lines)


def _values(values: Sequence[float]) -> str:
    """Return ascending values as text: each, or the ends where they are many, as each layer may have its own."""
    chosen = values if len(values) <= _MOST_VALUES else (values[0], values[-1])
    return (", " if chosen is values else " to ").join(f"{value:g}" for value in chosen)


def _table(reports: list[ComponentReport]) -> str:
    lines = []
    for report in reports:
        dtypes = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
        known = f" = {report.published_as}" if report.published_as else ", not a published size"
        quantized = f", large weights in {report.quantization}" if report.quantization else ""
        lines += [
            f"{report.name}: {report.class_name or 'a file of weights'}{quantized}",
            f"  {report.num_tensors:,} tensors ({dtypes}), {report.num_parameters:,} parameters, "
            f"{report.size_bytes:,} bytes",
            f"  names and shapes {report.md5}{known}",
        ]
    total = sum(report.num_parameters for report in reports)
    return "\n".join([*lines, f"in all {total:,} parameters, {sum(report.size_bytes for report in reports):,} bytes"])
