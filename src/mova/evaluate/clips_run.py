"""Evaluate clips that exist: find them, measure them, and put the figures together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.clips.find import find_clips
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.folder import EvaluationFolder, check_rules
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import Measured, measure
from mova.evaluate.measure.store import ScoreStore
from mova.evaluate.reference import Reference, open_reference, reference_vectors
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.derived import derived_scorers
from mova.evaluate.results.distances import FIGURES, reference_rows
from mova.evaluate.results.paired import PairedRow, compare, read_values
from mova.evaluate.results.rows import Results
from mova.recipe.base import nearest_name
from mova.scorers.published.quirks import MOVA_QUIRKS
from mova.scorers.registry import SCORER_NAMES, ScorerSettings, make_scorers
from mova.scorers.weights_folder import find_folder
from mova.scorers.words.choice import TranscriberChoice

PARITY: Final = "mova"
_NO_METRIC: Final = ("hashes",)
"""Scorers that find no figure: what they find serves curation."""


@dataclass(frozen=True)
class EvaluationRequest:
    """What is measured of which clips.

    Attributes:
        clips: in the order of the report.
        plan: scorers.
        workers: processes that score.
        against: values of another evaluation, by clip and measure; None compares with none.
        reference: what distances are from; None for none.
    """

    clips: tuple[ClipItem, ...]
    plan: MeasurePlan
    workers: int = 1
    against: Path | None = None
    reference: Reference | None = None


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        results: the figures.
        paired: comparison with another evaluation; empty without one.
        measured: every clip with what was found in it.
    """

    results: Results
    paired: tuple[PairedRow, ...]
    measured: tuple[Measured, ...]


def make_evaluation(
    place: Path,
    plan: MeasurePlan,
    *,
    prompts: Path | None = None,
    workers: int = 1,
    against: Path | None = None,
    reference: Path | None = None,
    report: Path | None = None,
) -> EvaluationRequest:
    """Return what is to be evaluated, checked as far as it can be before anything is decoded.

    Args:
        place: of the clips, see `find_clips`.
        plan: what is measured.
        prompts: file of prompts.
        workers: processes that score, 1 to 64.
        against: folder of another evaluation.
        reference: folder that distances are from, see `open_reference`.
        report: folder that keeps what is found.

    Raises:
        ConfigError: of clips, names, folders or numbers; the text names the nearest.
    """
    check_workers(workers)
    if against is not None:
        read_values(against)
    clips = find_clips(place, prompts)
    far = None if reference is None else open_reference(reference, plan, clips, report)
    return EvaluationRequest(clips, plan, workers, against, far)


def check_workers(workers: int) -> None:
    """Return where a number of processes may be asked for.

    Raises:
        ConfigError: it is not 1 to 64.
    """
    if not 1 <= workers <= 64:
        raise ConfigError(f"workers must be 1 to 64, got {workers}; nearest is {min(max(workers, 1), 64)}")


def make_plan(
    metrics: Sequence[str] = (),
    weights: str = "",
    *,
    full_size_flow: bool = False,
    parity: str = "",
    transcriber: TranscriberChoice | None = None,
) -> MeasurePlan:
    """Return what is measured.

    Args:
        metrics: names of scorers or of their measures; none takes all.
        weights: folder of weights; "" takes the environment variable MOVA_SCORER_WEIGHTS.
        full_size_flow: whether AV-Align looks at motion in the clip's own size, as the published metric does.
        parity: "mova" reproduces the quirks of the reference evaluation, AV-Align in the clip's own size among them.
        transcriber: who writes down what is said, see `choose_transcriber`; None for nobody.

    Raises:
        ConfigError: of names or the folder of weights; or a scorer is named whose file of weights is damaged or that of
            another model.
    """
    if parity not in ("", PARITY):
        raise ConfigError(f"parity must be {PARITY}, the evaluation whose quirks are known, got {parity}")
    settings = ScorerSettings(find_folder(weights), transcriber=transcriber)
    if parity:
        settings = replace(settings, quirks=MOVA_QUIRKS)
    if full_size_flow or parity:
        settings = replace(settings, flow_short_side=None)
    names = choose_scorers(metrics)
    return MeasurePlan(names, settings, names if metrics else ())


def choose_scorers(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the scorers that give what is asked for, in the order in which they are applied.

    Args:
        metrics: names of scorers or of measures; none takes every scorer that has a figure.

    Raises:
        ConfigError: a name is unknown.
    """
    if not metrics:
        return tuple(name for name in SCORER_NAMES if name not in _NO_METRIC)
    owners = {one.name: name for name in SCORER_NAMES for one in make_scorers([name]).measures}
    owners |= derived_scorers()
    owners |= {one.name: one.scorer for one in FIGURES}
    chosen = set()
    for metric in metrics:
        if metric not in owners and metric not in SCORER_NAMES:
            known = (*SCORER_NAMES, *owners)
            raise ConfigError(
                f"a metric must be a scorer or one of its measures, got {metric!r}{nearest_name(metric, known)}; "
                "`mova evaluate scorers` lists them"
            )
        chosen.add(metric if metric in SCORER_NAMES else owners[metric])
    return tuple(name for name in SCORER_NAMES if name in chosen)


def evaluate_clips(
    request: EvaluationRequest,
    folder: EvaluationFolder | None = None,
    *,
    on_progress: Callable[[int, int], None] = lambda *_: None,
    on_reference: Callable[[int, int], None] = lambda *_: None,
) -> Evaluated:
    """Measure clips, and compare them with another evaluation where one is named.

    Args:
        request: what is measured.
        folder: that keeps what is found; None keeps nothing.
        on_progress: see `measure`.
        on_reference: the same for the clips of a reference.

    Raises:
        ConfigError: no clip has a name in common with the other evaluation, or the folder holds one by other rules.
        OSError: a clip cannot be read, or the folder not be written.
    """
    if folder is not None:
        check_rules(folder.root, parity_of(request.plan))
    store = ScoreStore() if folder is None else folder.store
    measured = measure(request.clips, request.plan, store, workers=request.workers, on_progress=on_progress)
    results = aggregate(measured, request.plan)
    if request.reference is not None:
        with ScoreStore() if folder is None else folder.open_reference() as kept:
            vectors = reference_vectors(
                request.reference, request.plan, kept, workers=request.workers, on_progress=on_reference
            )
        results = replace(results, rows=(*results.rows, *reference_rows(measured, request.plan, vectors)))
    paired = () if request.against is None else compare(results, read_values(request.against))
    return Evaluated(results, paired, measured)


def parity_of(plan: MeasurePlan) -> str:
    """Return "mova" where a plan reproduces the quirks of the reference evaluation, "" where it reproduces none."""
    return PARITY if plan.settings.quirks.names() else ""


def describe_run(request: EvaluationRequest) -> dict[str, object]:
    """Return what a report says of how its figures were found."""
    transcriber = request.plan.settings.transcriber
    return {
        "num_clips": len(request.clips),
        "scorers": list(request.plan.names),
        "parity": parity_of(request.plan),
        "settings": {
            "flow_short_side": request.plan.settings.flow_short_side,
            "text_rate": request.plan.settings.text_rate,
            "quirks": list(request.plan.settings.quirks.names()),
            "transcriber": "" if transcriber is None else transcriber.identity,
        },
        "weights_sha256": dict(request.plan.weights_sha256),
        "refused": dict(request.plan.refused),
        "against": "" if request.against is None else str(request.against),
        "reference": {} if request.reference is None else request.reference.to_json(),
    }
