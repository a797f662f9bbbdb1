"""`mova evaluate CLIPS`: measure clips that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.evaluate.where import where_and_when
from mova.cli.terminal.process import stop_if_asked
from mova.cli.terminal.progress import TextBars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mova.evaluate.clips_run import Evaluated, EvaluationRequest
    from mova.evaluate.folder import EvaluationFolder
    from mova.scorers.words.choice import TranscriberChoice


def clips(
    place: Annotated[
        Path | None,
        typer.Argument(metavar="CLIPS", help="Folder of clips, a manifest (clips.jsonl), or one video file."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="Names of scorers or of their measures, with commas between; all without it."),
    ] = "",
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts (JSON or JSON lines); without it, those that stand in the clips."),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="Folder with weights of scorers; without it, MOVA_SCORER_WEIGHTS."),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures and all clips; given again, nothing is computed twice."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Report folder of another evaluation, compared clip by clip."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that score, 1 to 64.")] = 1,
    full_size_flow: Annotated[
        bool,
        typer.Option(
            "--full-size-flow",
            help="AV-Align looks at motion in the clip's own size, as published, at seven times the cost.",
        ),
    ] = False,
    transcriber: Annotated[
        str,
        typer.Option(
            metavar="URL|FOLDER",
            help="Who writes down what is said: an endpoint (http://HOST:PORT/v1), or a folder with a Whisper model.",
        ),
    ] = "",
    transcriber_model: Annotated[
        str, typer.Option(metavar="NAME", help="Model of the transcriber's endpoint; whisper-1 without it.")
    ] = "",
    transcriber_key: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the endpoint's key.")
    ] = "",
    transcriber_calls: Annotated[
        int | None, typer.Option(help="Requests to the endpoint at most, of each process.")
    ] = None,
    transcriber_speakers: Annotated[
        bool,
        typer.Option("--transcriber-speakers", help="The endpoint's model tags who speaks ([S01]), which cpCER needs."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every clip instead of a table.")] = False,
) -> None:
    """Measure clips; prints a table with intervals, and how many of the clips each figure is over."""
    if place is None:
        raise typer.BadParameter("a folder, a manifest or a video file is needed", param_hint="CLIPS")
    from mova.scorers.words.choice import choose_transcriber

    chosen = choose_transcriber(
        transcriber,
        model=transcriber_model,
        key_variable=transcriber_key,
        speakers=transcriber_speakers,
        most_calls=transcriber_calls,
    )
    request = _request(place, metrics, prompts, weights, workers, against, chosen, full_size_flow=full_size_flow)
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


def _request(
    place: Path,
    metrics: str,
    prompts: Path | None,
    weights: str,
    workers: int,
    against: Path | None,
    transcriber: TranscriberChoice | None,
    *,
    full_size_flow: bool,
) -> EvaluationRequest:
    from mova.errors import MissingExtraError

    try:
        from mova.evaluate.clips_run import make_evaluation
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pydantic", "evaluate") from error
    return make_evaluation(
        place,
        prompts=prompts,
        metrics=[name.strip() for name in metrics.split(",") if name.strip()],
        weights=weights,
        workers=workers,
        against=against,
        full_size_flow=full_size_flow,
        transcriber=transcriber,
    )


def measure_shown(request: EvaluationRequest, folder: EvaluationFolder | None) -> Evaluated:
    """Measure clips with a bar over what is done."""
    from mova.evaluate.clips_run import evaluate_clips

    with TextBars(says_left=True) as bars:

        def show(done: int, total: int) -> None:
            stop_if_asked()
            bars.show("scores", done, total)

        return evaluate_clips(request, folder, on_progress=show)


def say_results(found: Evaluated, *, as_json: bool, more: Mapping[str, object] | None = None) -> None:
    """Print figures: a table, or JSON with every clip and what else is told."""
    from mova.evaluate.results.tables import paired_markdown, table_markdown

    results, paired = found.results, found.paired
    if as_json:
        document = {
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
