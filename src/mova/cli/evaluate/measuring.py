"""Options of what is measured, the same for clips that exist and for those of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mova.evaluate.measure.plan import MeasurePlan

MetricsOption = Annotated[
    str, typer.Option(help="Names of scorers or of their measures, with commas between; all without it.")
]
WeightsOption = Annotated[str, typer.Option(help="Folder with weights of scorers; without it, MOVA_SCORER_WEIGHTS.")]
WorkersOption = Annotated[int, typer.Option(help="Processes that score, 1 to 64.")]
ParityOption = Annotated[
    str,
    typer.Option(
        metavar="mova",
        help="Score by the rules of the paper's evaluation, with its quirks, so that figures may stand beside its.",
    ),
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Clips with audio, or the report folder of others: Frechet audio distance and KL divergence from them.",
    ),
]
FullSizeFlowOption = Annotated[
    bool,
    typer.Option(
        "--full-size-flow",
        help="AV-Align looks at motion in the clip's own size, as published, at seven times the cost.",
    ),
]
TranscriberOption = Annotated[
    str,
    typer.Option(
        metavar="URL|FOLDER",
        help="Who writes down what is said: an endpoint (http://HOST:PORT/v1), or a folder with a Whisper model.",
    ),
]
TranscriberModelOption = Annotated[
    str, typer.Option(metavar="NAME", help="Model of the transcriber's endpoint; whisper-1 without it.")
]
TranscriberKeyOption = Annotated[
    str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the endpoint's key.")
]
TranscriberCallsOption = Annotated[
    int | None, typer.Option(help="Requests to the endpoint at most, of all processes together.")
]
TranscriberSpeakersOption = Annotated[
    bool,
    typer.Option("--transcriber-speakers", help="The endpoint's model tags who speaks ([S01]), which cpCER needs."),
]


@dataclass(frozen=True)
class Measuring:
    """Options of what is measured, as they were typed."""

    metrics: str = ""
    weights: str = ""
    workers: int = 1
    parity: str = ""
    full_size_flow: bool = False
    transcriber: str = ""
    transcriber_model: str = ""
    transcriber_key: str = ""
    transcriber_calls: int | None = None
    transcriber_speakers: bool = False

    def plan(self) -> MeasurePlan:
        """Return what is measured, and say once of each scorer that is left out because its file cannot be its own.

        Raises:
            ConfigError: an option has no such value.
            MissingExtraError: a package is not installed.
        """
        from mova.errors import MissingExtraError

        try:
            from mova.evaluate.clips_run import check_workers, make_plan
            from mova.scorers.words.choice import choose_transcriber
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "pydantic", "evaluate") from error
        chosen = choose_transcriber(
            self.transcriber,
            model=self.transcriber_model,
            key_variable=self.transcriber_key,
            speakers=self.transcriber_speakers,
            most_calls=self.transcriber_calls,
        )
        check_workers(self.workers)
        made = make_plan(
            [name.strip() for name in self.metrics.split(",") if name.strip()],
            self.weights,
            full_size_flow=self.full_size_flow,
            parity=self.parity,
            transcriber=chosen,
        )
        for name, why in made.refused.items():
            typer.echo(f"scorer {name} is left out: {why}", err=True)
        return made
