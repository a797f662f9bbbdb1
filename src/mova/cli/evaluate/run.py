"""`mova evaluate run`: generate the clips of a benchmark, and measure them."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.evaluate.clips import measure_shown, say_results
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
from mova.cli.options import PrecisionOption
from mova.errors import ConfigError
from mova.settings.size import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mova.evaluate.benchmarks.benchmark import Benchmark
    from mova.evaluate.benchmarks.paper import BesidePaper
    from mova.evaluate.measure.plan import MeasurePlan
    from mova.evaluate.reference import Reference
    from mova.evaluate.results.rows import Results
    from mova.generate.many import Job
    from mova.settings.sampling import GivenSettings


def run(
    model: Annotated[str, typer.Option(help="Model: mova-tiny, a model directory or a hub id.")],
    benchmark: Annotated[
        str,
        typer.Option(
            help="Folder with benchmark.json, a file of prompts such as Verse-Bench's, or toyworld (toyworld:COUNT)."
        ),
    ],
    report: Annotated[
        Path, typer.Option(help="Folder for clips and figures; given again, what is there is not made again.")
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder with first frames of a file of prompts, ID.png or CATEGORY/ID.png.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take at most so many items, the categories in turn.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial noise; item i has number i of it.")] = 0,
    metrics: MetricsOption = "",
    weights: WeightsOption = "",
    workers: WorkersOption = 1,
    parity: ParityOption = "",
    reference: ReferenceOption = None,
    full_size_flow: FullSizeFlowOption = False,
    transcriber: TranscriberOption = "",
    transcriber_model: TranscriberModelOption = "",
    transcriber_key: TranscriberKeyOption = "",
    transcriber_calls: TranscriberCallsOption = None,
    transcriber_speakers: TranscriberSpeakersOption = False,
    steps: Annotated[int | None, typer.Option(help="Number of sampling steps, 1 to 1000.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale for the prompt; 1 disables it.")
    ] = None,
    modality_scale: Annotated[
        float | None, typer.Option(help="Cross-modal (bridge) guidance scale; 1 disables it.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Size of the video in pixels, WIDTHxHEIGHT.")] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames of each clip.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="LoRA and its scale (default 1); may be repeated.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Speed preset: exact, fast, fastest or distilled.")] = "exact",
    precision: PrecisionOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every clip instead of a table.")] = False,
) -> None:
    """Generate a clip for each item of a benchmark, measure all of them, and show the paper's figures beside ours."""
    from mova.settings.sampling import GivenSettings

    width, height = (None, None) if size is None else parse_size(size)
    settings = GivenSettings(
        height=height,
        width=width,
        num_frames=frames,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        modality_scale=modality_scale,
    )
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
    from mova.evaluate.clips_run import EvaluationRequest, describe_run, parity_of
    from mova.evaluate.folder import check_rules, open_evaluation

    check_rules(report, parity_of(plan))
    far = None if reference is None else _reference(reference, plan, report)
    items = _benchmark(benchmark, images, report).limited(limit)
    folder, jobs = _jobs(model, items, report / "clips", settings, seed, speed, lora or ())
    _generate(jobs, folder, precision)
    request = EvaluationRequest(tuple(item.as_clip(report / "clips") for item in items.items), plan, workers, None, far)
    with open_evaluation(report) as kept:
        found = measure_shown(request, kept)
        beside = _beside(found.results, items, jobs, is_parity=bool(parity))
        told = {
            "model": model,
            "benchmark": items.name,
            "benchmark_source": items.source,
            "benchmark_licence": items.licence,
            "seed": seed,
            "speed": speed,
            "precision": precision,
            "paper": [vars(one) for one in beside],
            **describe_run(request),
            **where_and_when(),
        }
        kept.write(found.results, told, measured=found.measured)
    say_results(found, as_json=as_json, more={"paper": told["paper"]})
    if not as_json:
        typer.echo(_paper_table(beside))


def _benchmark(named: str, images: Path | None, report: Path) -> Benchmark:
    from mova.evaluate.benchmarks.manifest import read_benchmark
    from mova.evaluate.benchmarks.toyworld import DEFAULT_COUNT, NAME, write_toyworld

    name, colon, count = named.partition(":")
    if name != NAME:
        return read_benchmark(Path(named), images)
    if images is not None:
        raise ConfigError("images are for a file of prompts; the toy world makes its own first frames")
    if colon and not count.isdecimal():
        raise ConfigError(f"the toy world is asked for as toyworld:COUNT, got {named}; nearest is {NAME}:18")
    return write_toyworld(report / "benchmark", int(count) if colon else DEFAULT_COUNT)


def _reference(place: Path, plan: MeasurePlan, report: Path) -> Reference:
    from mova.evaluate.reference import open_reference

    if report.resolve() in (place.resolve(), *place.resolve().parents):
        raise ConfigError(f"reference must be other clips than those that are made, got {place} in the report {report}")
    return open_reference(place, plan)


def _jobs(
    model: str,
    benchmark: Benchmark,
    clips: Path,
    settings: GivenSettings,
    seed: int,
    speed: str,
    loras: Sequence[str],
) -> tuple[Path, list[Job]]:
    """Return the model's directory and a job for each item; all is checked before weights are loaded."""
    from mova.generate.many import Job
    from mova.generate.request import ClipOptions, LoraChoice, MediaFiles
    from mova.generate.run import make_request
    from mova.weights.lora.source import parse_lora

    adapted = [LoraChoice(*parse_lora(text)) for text in loras]
    folder: Path | None = None
    jobs = []
    for index, item in enumerate(benchmark.items):
        asked = ClipOptions(
            prompt=item.prompt, seed=seed, index=index, files=MediaFiles(image=item.image), settings=settings
        )
        folder, request = make_request(model, asked, folder=folder, loras=adapted, speed=speed)
        output = item.clip(clips)
        output.parent.mkdir(parents=True, exist_ok=True)
        jobs.append(Job(request, output))
    assert folder is not None, "a benchmark has an item"
    return folder, jobs


def _generate(jobs: Sequence[Job], folder: Path, precision: str) -> None:
    from mova.cli.terminal.progress import StageBar
    from mova.generate.run import generate_files
    from mova.pipeline.runtime import Runtime

    with StageBar(len(jobs)) as bar:
        generate_files(
            jobs,
            folder,
            runtime=Runtime(precision=precision),
            keeps=True,
            loading=nullcontext,
            on_progress=bar.show,
            on_clip=lambda _: bar.next_clip(),
        )


def _beside(results: Results, benchmark: Benchmark, jobs: Sequence[Job], *, is_parity: bool) -> tuple[BesidePaper, ...]:
    from mova.evaluate.benchmarks.paper import Setting, beside_paper

    setting = Setting(
        categories=Counter(item.category for item in benchmark.items),
        task="image" if all(item.image is not None for item in benchmark.items) else "text",
        bridge_scale=jobs[0].request.settings.modality_scale,
        is_parity=is_parity,
    )
    return beside_paper(results.rows, setting)


def _paper_table(beside: Sequence[BesidePaper]) -> str:
    """Return our figures and the paper's as rows of one table, and below it why they must not be compared."""
    models = list(dict.fromkeys(name for one in beside for name in one.theirs))
    lines = ["", "Beside the paper (tables 4 to 6):", ""]
    lines.append(f"| model | {' | '.join(one.metric for one in beside)} |")
    lines.append(f"| --- | {' | '.join('---:' for _ in beside)} |")
    lines.append(f"| here | {' | '.join('-' if one.ours is None else f'{one.ours:.3f}' for one in beside)} |")
    for name in models:
        lines.append(
            f"| {name} | {' | '.join(f'{one.theirs[name]:g}' if name in one.theirs else '-' for one in beside)} |"
        )
    reasons: dict[str, list[str]] = {}
    for one in beside:
        for why in one.why_not:
            reasons.setdefault(why, []).append(one.metric)
    if reasons:
        lines += ["", "Not comparable:", ""]
        lines += [f"- {', '.join(metrics)}: {why}" for why, metrics in reasons.items()]
    return "\n".join(lines)
