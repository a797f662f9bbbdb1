"""Runs a recipe: one stage, or several stages of a run, of which finished ones are skipped."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from mova.distributed.mesh import ALONE, Parallel, start_parallel
from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import read_object
from mova.files.lock import lock_folder
from mova.recipe.locate import find_recipe
from mova.train.config import (
    AudioAutoencoderConfig,
    AudioTowerConfig,
    DistillConfig,
    JointConfig,
    LadderConfig,
    LatentsConfig,
    LoraConfig,
    PublishConfig,
    StepConfig,
    TextEncoderConfig,
    TrainedConfig,
    VideoAutoencoderConfig,
    accepts,
    load_recipe,
)
from mova.train.config.joint import LatentStageBase
from mova.train.config.run import RunConfig
from mova.train.loop.checkpoint import list_states
from mova.train.loop.compute import settle
from mova.train.loop.resume import check_same_recipe, moved, with_later_keys
from mova.train.loop.started_from import check_start, note_start
from mova.train.loop.trainer import OnProgress, Stage, Trainer, choose_device

logger = logging.getLogger(__name__)


def run_recipe(
    recipe: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: Path | None = None,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Run a recipe to its end.

    Args:
        recipe: name of a shipped one, or path of a YAML file; `mova.recipe.locate` has the rule.
        overrides: `key=value` texts; of several stages each applies to every stage that has the key.
        resume: the run's folder, to go on from what it holds, wherever it is now and however it is written. A folder
            that holds something is an error without it.
        cache: folder of encoded clips, shared among runs; `latents` in the run's folder if not given.
        on_progress: called at every logged step.

    Returns:
        The model directory that the run fills.

    Raises:
        ConfigError: the recipe does not fit, or is not the one that the folder was begun with, or the folder and
            `resume` do not agree, or another process uses the folder.
    """
    # All stages are read before the first one starts.
    steps = _steps_of_run(recipe, overrides, resume)
    model = steps[0][1].model
    shared = [config for _, config in steps if isinstance(config, LatentStageBase)]
    everyone = _join(shared[0]) if shared else start_parallel()
    with ExitStack() as held:

        def hold() -> None:
            check_resume(model.parent, [name for name, _ in steps], resume)
            held.enter_context(lock_folder(model.parent, "run folder"))

        # One process holds the folder for all of them.
        everyone.broadcast(hold)
        _run_steps(steps, cache, everyone, on_progress)
    return model


def _run_steps(
    steps: Sequence[tuple[str, StepConfig]], cache: Path | None, everyone: Parallel, on_progress: OnProgress | None
) -> None:
    folder = steps[0][1].model.parent
    finished = everyone.broadcast(lambda: _look(folder, steps))
    for (name, config), done in zip(steps, finished, strict=True):
        if done:
            logger.info("%s is done: %s", name, _marker(folder / name).read_text(encoding="utf-8").strip())
            continue
        parallel = _join(config) if isinstance(config, LatentStageBase) else ALONE
        run = partial(_run_step, folder, name, config, cache or folder / "latents", parallel, on_progress)
        if parallel.mesh is not None:
            run()
            everyone.barrier()
        else:
            # Encoders, and what is done once, take one process; what ends it ends the others, which wait.
            everyone.broadcast(run)


def plan_recipe(
    recipe: str | Path, overrides: Sequence[str] = (), resume: Path | None = None
) -> list[tuple[str, StepConfig, bool]]:
    """Read a recipe without running it: name, settings and whether it is finished, for each stage in order.

    Raises:
        ConfigError: as of `run_recipe`, but for a folder that is in use.
    """
    steps = _steps_of_run(recipe, overrides, resume)
    folder = steps[0][1].model.parent
    if resume is not None:
        check_resume(folder, [name for name, _ in steps], resume)
        return [(*step, done) for step, done in zip(steps, _look(folder, steps), strict=True)]
    return [(name, config, _is_finished(folder / name, config)) for name, config in steps]


def _look(folder: Path, steps: Sequence[tuple[str, StepConfig]]) -> list[bool]:
    """Return which stages are finished, after a look at what all of them were begun with."""
    finished = [_is_finished(folder / name, config) for name, config in steps]
    for (name, config), done in zip(steps, finished, strict=True):
        _check_recipe(folder / name, name, config, done)
    _warn_of_later_ones([name for name, _ in steps], finished)
    return finished


def _steps_of_run(recipe: str | Path, overrides: Sequence[str], resume: Path | None) -> list[tuple[str, StepConfig]]:
    """Read all stages, with the run's folder where `resume` says that it is."""
    steps = _read_steps(find_recipe(recipe, "train"), overrides)
    models = {str(config.model) for _, config in steps}
    if len(models) > 1:
        raise ConfigError(f"the stages of a run must share one model directory, got {', '.join(sorted(models))}")
    folder = steps[0][1].model.parent
    if resume is None or resume.resolve() == folder.resolve():
        return steps
    names = [name for name, _ in steps]
    if not resume.is_dir():
        raise ConfigError(f"there is nothing to resume at {resume}; start without --resume")
    if not any((resume / name / "recipe.json").is_file() for name in names):
        raise ConfigError(
            f"--resume must name a folder of this run, which holds {' or '.join(names)}, got {resume} without; the "
            f"recipe's own is {folder}"
        )
    logger.info("%s goes on in %s", folder, resume)
    return [(name, moved(config, folder, resume)) for name, config in steps]


def _read_steps(path: Path, overrides: Sequence[str]) -> list[tuple[str, StepConfig]]:
    recipe = load_recipe(path)
    if not isinstance(recipe, LadderConfig):
        return [(path.stem, _step(path, overrides))]
    files = [find_recipe(name, "train", beside=path.parent) for name in recipe.recipes]
    plain = [_step(file, ()) for file in files]
    # A key that no stage has goes to all of them, so that the error says what is wrong with it.
    shared = [text for text in overrides if not any(accepts(config, text) for config in plain)]
    return [
        (file.stem, _step(file, [text for text in overrides if text in shared or accepts(config, text)]))
        for file, config in zip(files, plain, strict=True)
    ]


def _step(path: Path, overrides: Sequence[str]) -> StepConfig:
    config = load_recipe(path, overrides)
    if isinstance(config, LadderConfig):
        raise ConfigError(f"a recipe of several stages holds no other of its kind, got {path}")
    return config


def _marker(folder: Path) -> Path:
    return folder / "done.json"


def _saved_recipe(folder: Path) -> dict[str, Any] | None:
    """Return the recipe that a stage was last run with, as JSON values."""
    saved = folder / "recipe.json"
    if not saved.exists():
        return None
    return dict(read_object(saved, error=CheckpointError).values)


def _check_recipe(folder: Path, name: str, config: StepConfig, done: bool) -> None:
    """Refuse to go on with another recipe than the stage was begun with."""
    former = _saved_recipe(folder)
    if former is not None:
        then, now = with_later_keys(former, type(config)), json.loads(config.model_dump_json())
        # What a finished stage began with is not wanted any more.
        check_same_recipe(name, then, now, weights_known=done or check_start(folder, name, config))


def _is_finished(folder: Path, config: StepConfig) -> bool:
    """Whether a stage came to its end and none further on is asked for now.

    Raises:
        ConfigError: more is asked for, but the stage's states are gone: it would begin again, on its own result.
    """
    if not _marker(folder).exists():
        return False
    run = getattr(config, "run", None)
    former = (_saved_recipe(folder) or {}).get("run")
    if not isinstance(run, RunConfig) or former is None:
        return True
    minutes = former.get("max_minutes") or math.inf
    if run.max_steps <= former["max_steps"] and (run.max_minutes or math.inf) <= minutes:
        return True
    if not list_states(folder / "checkpoints"):
        raise ConfigError(
            f"{folder.name} is done, and {folder / 'checkpoints'} holds no state to go on from, got run.max_steps "
            f"{run.max_steps} and run.max_minutes {run.max_minutes}; it was done with {former['max_steps']} and "
            f"{former.get('max_minutes')}"
        )
    return False


def _warn_of_later_ones(names: Sequence[str], finished: Sequence[bool]) -> None:
    """Say which finished stages follow one that is not: they learned from what it had left before."""
    if False in finished:
        first = finished.index(False)
        later = [name for name, done in zip(names[first:], finished[first:], strict=True) if done]
        if later:
            logger.warning(
                "%s goes on; %s, done before, will not be run again: delete done.json there if it shall",
                names[first],
                ", ".join(later),
            )


def _run_step(
    folder: Path, name: str, config: StepConfig, cache: Path, parallel: Parallel, on_progress: OnProgress | None
) -> None:
    marker = _marker(folder / name)
    logger.info("%s starts", name)
    marker.parent.mkdir(parents=True, exist_ok=True)
    if parallel.is_main:
        marker.unlink(missing_ok=True)
        _write(marker.with_name("recipe.json"), config.model_dump_json(indent=1))
        note_start(marker.parent, config)
    figures: dict[str, float] = {}
    match config:
        case LatentsConfig():
            from mova.train.stages.latents import LatentsStage

            LatentsStage(config, cache).run(on_progress)
        case PublishConfig():
            from mova.train.publish import publish

            publish(config)
        case _:
            from mova.train.stages.joint import JointObjective

            config = _settled(config, marker.parent, parallel)
            stage = _build_stage(config, folder, cache, parallel, on_progress)
            sample = stage.clip_sampler() if isinstance(stage, JointObjective) else None
            figures = Trainer(stage, config.run, config.optimizer, marker.parent, on_progress, parallel, sample).run()
    if parallel.is_main:
        _write(marker, json.dumps(figures))


def _settled(config: TrainedConfig, folder: Path, parallel: Parallel) -> TrainedConfig:
    """Return a stage's recipe with what it computes in on this machine, or was begun in, the same for all processes."""
    device = choose_device(config.run.device)
    precision = parallel.broadcast(lambda: settle(config, folder, device))
    return config.model_copy(update={"run": config.run.settled(precision)})


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _join(config: LatentStageBase) -> Parallel:
    layout, device = config.parallel, choose_device(config.run.device)
    return start_parallel(
        replicate=layout.replicate, shard=layout.shard, ring=layout.ring, ulysses=layout.ulysses, device=device
    )


def _build_stage(
    config: TrainedConfig, folder: Path, cache: Path, parallel: Parallel, on_progress: OnProgress | None
) -> Stage:
    match config:
        case TextEncoderConfig():
            from mova.train.stages.encoders.text_encoder import TextEncoderStage

            return TextEncoderStage(config)
        case VideoAutoencoderConfig():
            from mova.train.stages.encoders.video_autoencoder import VideoAutoencoderStage

            return VideoAutoencoderStage(config, folder / "clips")
        case AudioAutoencoderConfig():
            from mova.train.stages.encoders.audio_autoencoder import AudioAutoencoderStage

            return AudioAutoencoderStage(config, folder / "clips")
        case AudioTowerConfig():
            from mova.train.stages.audio_tower import AudioTowerStage

            return AudioTowerStage(config, cache, parallel, on_progress)
        case JointConfig():
            from mova.train.stages.joint import JointStage

            return JointStage(config, cache, parallel, on_progress)
        case LoraConfig():
            from mova.train.stages.lora import LoraStage

            return LoraStage(config, cache, parallel, on_progress)
        case DistillConfig():
            from mova.train.stages.distill import DistillStage

            return DistillStage(config, cache, parallel, on_progress)


def check_resume(folder: Path, names: Sequence[str], resume: Path | None) -> None:
    """Refuse a folder that holds something without `resume`, and one that is not there with it.

    Raises:
        ConfigError: what to do instead.
    """
    used = [name for name in names if (folder / name).exists()]
    if resume is None and used:
        raise ConfigError(f"{folder} already holds {', '.join(used)}; go on with --resume {folder}, or remove it")
    if resume is not None and not resume.is_dir():
        raise ConfigError(f"there is nothing to resume at {resume}; start without --resume")
