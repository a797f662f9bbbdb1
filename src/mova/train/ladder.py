"""Runs a recipe: one stage, or a ladder of stages in which finished ones are skipped."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mova.errors import ConfigError
from mova.train.config import LadderConfig, LatentsConfig, PublishConfig, StageConfig, load_recipe
from mova.train.trainer import Progress, Stage, Trainer

logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]


def run_recipe(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    resume: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Run a recipe to its end.

    Args:
        path: of the recipe.
        overrides: `key=value` texts; for a ladder they apply to every stage that has the key's section.
        resume: the run's folder, to go on from what it holds. A folder that holds something is an error without it.
        on_progress: called at every logged step.

    Returns:
        The model directory that the run fills.

    Raises:
        ConfigError: the recipe does not fit, or the folder and `resume` do not agree.
    """
    recipe = load_recipe(path, () if _is_ladder(path) else overrides)
    steps: list[tuple[str, StageConfig]] = [(path.stem, recipe)]
    if isinstance(recipe, LadderConfig):
        # All of them are read before the first one starts.
        steps = [(Path(name).stem, load_recipe(path.parent / name, overrides)) for name in recipe.recipes]
    folders = {str(_run_folder(config)) for _, config in steps}
    if len(folders) > 1:
        raise ConfigError(f"the stages of a ladder must share one model directory, got {', '.join(sorted(folders))}")
    folder = _run_folder(steps[0][1])
    _check_resume(folder, [name for name, _ in steps], resume)
    for name, config in steps:
        _run_step(folder, name, config, on_progress)
    return folder / "model"


def _run_step(folder: Path, name: str, config: StageConfig, on_progress: OnProgress | None) -> None:
    marker = folder / name / "done.json"
    if marker.exists():
        logger.info("%s is done: %s", name, marker.read_text(encoding="utf-8").strip())
        return
    logger.info("%s starts", name)
    marker.parent.mkdir(parents=True, exist_ok=True)
    resolved = marker.with_name("recipe.json")
    resolved.write_text(config.model_dump_json(indent=1), encoding="utf-8")
    figures: dict[str, float] = {}
    if isinstance(config, LatentsConfig):
        from mova.train.stages.latents import LatentsStage

        LatentsStage(config, folder / "latents").run(on_progress)
    elif isinstance(config, PublishConfig):
        from mova.train.publish import publish

        publish(config)
    else:
        stage = _build_stage(config, folder)
        figures = Trainer(stage, config.run, config.optimizer, marker.parent, on_progress).run()  # type: ignore[union-attr]
    partial = marker.with_suffix(".partial")
    partial.write_text(json.dumps(figures), encoding="utf-8")
    partial.rename(marker)


def _build_stage(config: Any, folder: Path) -> Stage:
    match config.stage:
        case "text_encoder":
            from mova.train.stages.text_encoder import TextEncoderStage

            return TextEncoderStage(config, folder / "clips")
        case "video_autoencoder":
            from mova.train.stages.video_autoencoder import VideoAutoencoderStage

            return VideoAutoencoderStage(config, folder / "clips")
        case "audio_autoencoder":
            from mova.train.stages.audio_autoencoder import AudioAutoencoderStage

            return AudioAutoencoderStage(config, folder / "clips")
        case "audio_tower":
            from mova.train.stages.joint import AudioTowerStage

            return AudioTowerStage(config, folder / "latents")
        case "joint":
            from mova.train.stages.joint import JointStage

            return JointStage(config, folder / "latents")
        case "lora":
            from mova.train.stages.lora import LoraStage

            return LoraStage(config, folder / "latents")
    raise ConfigError(f"a ladder cannot hold a {config.stage}")


def _run_folder(config: StageConfig) -> Path:
    if isinstance(config, LadderConfig):
        raise ConfigError("a ladder cannot hold a ladder")
    return config.model.parent


def _is_ladder(path: Path) -> bool:
    return isinstance(load_recipe(path), LadderConfig)


def _check_resume(folder: Path, names: Sequence[str], resume: Path | None) -> None:
    used = [name for name in names if (folder / name).exists()]
    if resume is None and used:
        raise ConfigError(f"{folder} already holds {', '.join(used)}; go on with --resume {folder}, or remove it")
    if resume is not None and resume.resolve() != folder.resolve():
        raise ConfigError(f"--resume must name the recipe's run folder {folder}, got {resume}")
    if resume is not None and not resume.is_dir():
        raise ConfigError(f"there is nothing to resume at {resume}; start without --resume")
