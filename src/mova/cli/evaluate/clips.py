"""`mova evaluate CLIPS`: measure clips that exist."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.evaluate.measuring import (
    FullSizeFlowOption,
    Measuring,
    MetricsOption,
    ParityOption,
    ReferenceOption,
    TranscriberCallsOption,
    TranscriberKeyOption,
    TranscriberModelOption,
    TranscriberOption,
    TranscriberSpeakersOption,
    WeightsOption,
    WorkersOption,
)
from mova.cli.evaluate.where import where_and_when
from mova.cli.terminal.process import stop_if_asked
from mova.cli.terminal.progress import TextBars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mova.evaluate.clips_run import Evaluated, EvaluationRequest
    from mova.evaluate.folder import EvaluationFolder


def clips(
    place: Annotated[
        Path | None,
        typer.Argument(metavar="CLIPS", help="Folder of clips, a manifest (clips.jsonl), or one video file."),
    ] = None,
    metrics: MetricsOption = "",
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts (JSON or JSON lines); without it, those that stand in the clips."),
    ] = None,
    weights: WeightsOption = "",
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures and all clips; given again, nothing is computed twice."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Report folder of another evaluation, compared clip by clip."),
    ] = None,
    workers: WorkersOption = 1,
    parity: ParityOption = "",
    reference: ReferenceOption = None,
    full_size_flow: FullSizeFlowOption = False,
    transcriber: TranscriberOption = "",
    transcriber_model: TranscriberModelOption = "",
    transcriber_key: TranscriberKeyOption = "",
    transcriber_calls: TranscriberCallsOption = None,
    transcriber_speakers: TranscriberSpeakersOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every clip instead of a table.")] = False,
) -> None:
    """Measure clips; prints a table with intervals, and how many of the clips each figure is over."""
    if place is None:
        raise typer.BadParameter("a folder, a manifest or a video file is needed", param_hint="CLIPS")
    measuring = Measuring(
        metrics=metrics,
        weights=weights,
        workers=workers,
        parity=parity,
        full_size_flow=full_size_flow,
        transcriber=transcriber,
        transcriber_model=transcriber_model,
        transcriber_key=transcriber_key,
        transcriber_calls=transcriber_calls,
        transcriber_speakers=transcriber_speakers,
    )
    plan = measuring.plan()
    from mova.evaluate.clips_run import make_evaluation

    request = make_evaluation(
        place, plan, prompts=prompts, workers=workers, against=against, reference=reference, report=report
    )
    if report is None:
        found = measure_shown(request, None)
    else:
        from mova.evaluate.clips_run import describe_run
        from mova.evaluate.folder import open_evaluation

        with open_evaluation(report) as folder:
            found = measure_shown(request, folder)
            told = {"clips": str(place), **describe_run(request), **where_and_when()}
            folder.write(found.results, told, found.paired, found.measured)
    say_results(found, as_json=as_json)


def measure_shown(request: EvaluationRequest, folder: EvaluationFolder | None) -> Evaluated:
    """Measure clips with a bar over what is done; how much memory several processes take is said before."""
    from mova.evaluate.clips_run import evaluate_clips

    if request.workers > 1:
        from mova.evaluate.measure.memory import workers_memory

        typer.echo(workers_memory(request.plan, request.clips, request.workers).text(), err=True)
    with TextBars(says_left=True) as bars:

        def show(name: str, done: int, total: int) -> None:
            stop_if_asked()
            bars.show(name, done, total)

        return evaluate_clips(
            request, folder, on_progress=partial(show, "scores"), on_reference=partial(show, "reference")
        )


def say_results(found: Evaluated, *, as_json: bool, more: Mapping[str, object] | None = None) -> None:
    """Print figures: a table, or JSON with every clip and what else is told."""
    from mova.evaluate.results.tables import paired_markdown, table_markdown

    results, paired = found.results, found.paired
    if as_json:
        document = {
            "rules": results.rules,
            "rows": [row.to_json() for row in results.rows],
            "paired": [row.to_json() for row in paired],
            "clips": [clip.to_json() for clip in results.clips],
            **(more or {}),
        }
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    typer.echo(table_markdown(results).rstrip())
    if paired:
        typer.echo(f"\nCompared:\n\n{paired_markdown(paired).rstrip()}")
