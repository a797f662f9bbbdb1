"""From a recipe to a run: the real sources, stages and gates, checked before anything slow begins."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from mova.curate.caption.stage import CaptionStage
from mova.curate.config.export import ExportSection
from mova.curate.config.recipe import CurateConfig
from mova.curate.cut.listing import list_sources
from mova.curate.cut.stage import CutStage
from mova.curate.cut.storage import remove_scratch
from mova.curate.decide.verdicts import check_gates, embeddings_of, names_of
from mova.curate.executors.choose import check_executor, make_executor
from mova.curate.export.run import export_clips
from mova.curate.progress import OnProgress, Progress
from mova.curate.report.run import write_report
from mova.curate.runner import Run, run_all, run_verdicts
from mova.curate.score.stage import ScoreStage
from mova.errors import ConfigError, MissingExtraError
from mova.scorers.registry import all_measures, all_spaces

_LOG = logging.getLogger(__name__)


def _silent(_: Progress) -> None:
    pass


def curate(config: CurateConfig, *, limit: int | None = None, on_progress: OnProgress = _silent) -> Path:
    """Run a recipe; what an earlier run of it completed is not done again.

    Args:
        config: the recipe.
        limit: take at most so many sources, a sample that a larger one holds; None takes all.
        on_progress: is told how far each stage is.

    Returns:
        The table of clips.

    Raises:
        MovaError: as of `mova.curate.runner.run_all`.
    """
    run = make_run(config, on_progress)
    check_stages(config, run)
    return run_all(run, limit=limit)


def decide_again(config: CurateConfig) -> Path:
    """Decide with the gates of a recipe on the clips that a run scored, and write the tables and the report anew.

    Returns:
        The table of clips.

    Raises:
        MovaError: as of `mova.curate.runner.run_verdicts`.
    """
    return run_verdicts(make_run(config, _silent))


def make_run(config: CurateConfig, on_progress: OnProgress = _silent) -> Run:
    """Return the run of a recipe.

    Raises:
        ConfigError: a gate is on a measure that no scorer has, or weights are damaged.
    """
    measures = all_measures()
    check_gates(config.verdicts.gates, [measure.name for measure in measures], [space.name for space in all_spaces()])
    execution, root = config.execution, config.output.folder

    def tell(what: str, done: int, of: int) -> None:
        on_progress(Progress(what, "clips", done, of, 0))

    def finish(with_captions: bool) -> None:
        write_report(root, measures)
        if config.export is not None:
            # After verdicts too: a training must not read clips that are rejected by now. Encoding takes a model.
            export_clips(root, config.export, tell, with_latents=with_captions)

    return Run(
        root=root,
        recipe=config.model_dump(mode="json"),
        sources=lambda: list_sources(config.source, root),
        cut=CutStage(config.source, config.cut),
        score=ScoreStage(config.score),
        caption=CaptionStage(config.caption, frame_rate=config.cut.frame_rate),
        gates=config.verdicts.all_gates,
        executor=make_executor(execution),
        frame_rate=config.cut.frame_rate,
        retry_failed=execution.retry_failed,
        on_progress=on_progress,
        begin=lambda: remove_scratch(root),
        finish=finish,
    )


def check_stages(config: CurateConfig, run: Run) -> None:
    """See that all stages of a run can be done here, before the first one begins.

    Raises:
        MissingExtraError: a package is not installed.
        ConfigError: an endpoint's key is not set, or the export has the name of a file or a device that is not here.
        CheckpointError: there is no model as that whose encoders the export asks for.
    """
    check_executor(config.execution)
    if config.export is not None:
        _check_export(config.export)
    _tell_of_idle_gates(config)
    for stage in (run.cut, run.score, run.caption):
        for package in stage.needs.packages if stage is not None else ():
            if find_spec(package) is None:
                raise MissingExtraError(package, "shots" if package.startswith("transnet") else "curate")
    CaptionStage(config.caption).check()


def _check_export(export: ExportSection) -> None:
    """See that what is written after hours of work can be."""
    if (target := export.folder) is not None:
        nearest = next(path for path in (target, *target.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise ConfigError(f"export.folder must be a folder, or the name of a new one, got {target}, a file's name")
    if export.latents is not None:
        # Torch takes seconds to load, and an export without latents does not need it.
        from mova.device import choose_device
        from mova.weights.locate import find_model

        choose_device(export.latents.device)
        find_model(export.latents.model)


def _tell_of_idle_gates(config: CurateConfig) -> None:
    """Say which gates cannot apply because the recipe leaves out what measures them."""
    measured = ScoreStage(config.score).measure_names
    gates = config.verdicts.all_gates
    behind = {space.name: space.measure for space in all_spaces()}
    for name in (*names_of(gates), *embeddings_of(gates)):
        if behind.get(name, name) not in measured:
            _LOG.warning("a gate is on %s, and no scorer of this recipe measures it: it does not apply", name)
