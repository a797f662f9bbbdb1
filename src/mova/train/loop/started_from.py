"""Weights that a recipe begins with, told by content: where they are may change between two starts of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mova.errors import CheckpointError, ConfigError
from mova.files.fingerprint import add_sampled
from mova.files.json_file import read_object
from mova.names import COMPONENTS, Component
from mova.train.build.components import component_folder
from mova.train.config import (
    AdapterStageConfig,
    AudioAutoencoderConfig,
    AudioTowerConfig,
    JointConfig,
    StepConfig,
    VideoAutoencoderConfig,
)
from mova.train.loop.resume import OWN
from mova.weights.files import weight_files
from mova.weights.locate import find_model

_FILE: Final = "started_from.json"


def note_start(folder: Path, config: StepConfig) -> None:
    """Write the weights that a stage begins with to its folder, unless they are there.

    Raises:
        CheckpointError: a model is missing.
    """
    path = folder / _FILE
    if path.exists():
        return
    weights = {key: weights_of(found) for key, found in _sources(config)}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(weights, indent=1), encoding="utf-8")
    partial.replace(path)


def check_start(folder: Path, name: str, config: StepConfig) -> bool:
    """Refuse other weights than a stage was begun with.

    Returns:
        Whether it is known what they were; stages of earlier releases did not note it.

    Raises:
        ConfigError: they differ; every key is named.
        CheckpointError: a model is missing.
    """
    path = folder / _FILE
    if not path.exists():
        return False
    saved = read_object(path, error=CheckpointError)
    others = [key for key, found in _sources(config) if key in saved and saved.text(key) != weights_of(found)]
    if others:
        raise ConfigError(
            f"{name} was begun with other weights than those that {' and '.join(others)} "
            f"{'names' if len(others) == 1 else 'name'} now; name those, wherever they are, or begin in a new folder "
            "(--set model=...)"
        )
    return True


def weights_of(folders: Mapping[str, Path]) -> str:
    """Return a SHA-256 over the weights of some folders, whatever their files are called.

    Every file that is loaded counts with its size and content (see `add_sampled`), other files beside them do not.

    Raises:
        CheckpointError: a folder without weights.
    """
    digest = hashlib.sha256()
    for name, folder in sorted(folders.items()):
        digest.update(f"{name}:".encode())
        for file in weight_files(folder)[1]:
            size_bytes = file.stat().st_size
            digest.update(f"{size_bytes}:".encode())
            add_sampled(digest, file, size_bytes)
    return digest.hexdigest()


def _sources(config: StepConfig) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield each key of a recipe that names weights from elsewhere, with the folders that they are in.

    What the recipe's own model directory holds is left by the stages before; encoders are held against the clips.
    """
    match config:
        case AdapterStageConfig():
            base = find_model(config.base)
            yield "base", {name: base / name for name in COMPONENTS if (base / name).is_dir()}
        case JointConfig():
            for name in COMPONENTS:
                yield from _start(config, name)
        case AudioTowerConfig():
            yield from _start(config, "audio_dit")
        case VideoAutoencoderConfig() | AudioAutoencoderConfig() if config.start not in OWN:
            part = "video_vae" if isinstance(config, VideoAutoencoderConfig) else "audio_vae"
            yield "start", {part: component_folder(config.start, part, config.model)}
        case _:
            return


def _start(config: JointConfig | AudioTowerConfig, name: Component) -> Iterator[tuple[str, dict[str, Path]]]:
    source = getattr(config.start, name)
    if source not in OWN:
        yield f"start.{name}", {name: component_folder(source, name, config.model)}
