"""A pipeline to a directory in the published layout, with the official class names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mova.errors import CheckpointError
from mova.generate.locate import write_defaults
from mova.generate.model_index import NETWORKS, PUBLISHED_COMPONENTS
from mova.models.convert import write_component

if TYPE_CHECKING:
    from mova.generate.pipeline import MovaPipeline


def save_pipeline(
    pipeline: MovaPipeline,
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_size: int | str = "10GB",
) -> None:
    """Write every component, then `model_index.json`: without it a directory that was left half-written is no model.

    Args:
        pipeline: to save.
        folder: created if needed.
        dtype: of stored weights; as they are if None.
        max_shard_size: in bytes, or as "16MB".

    Raises:
        CheckpointError: the folder cannot be written.
    """
    from diffusers import __version__

    index_file = folder / "model_index.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        index_file.unlink(missing_ok=True)
        components = {name: getattr(pipeline, name) for name in PUBLISHED_COMPONENTS}
        for name in NETWORKS:
            if components[name] is not None:
                write_component(components[name], folder / name, max_shard_size=max_shard_size, dtype=dtype)
        _save_tokenizer(components["tokenizer"], folder / "tokenizer")
        _save_scheduler(components["scheduler"], folder / "scheduler")
        write_defaults(folder, pipeline.defaults)
        index: dict[str, Any] = {
            "_class_name": "MOVA",
            "_diffusers_version": __version__,
            "audio_vae_type": pipeline.config.audio_vae_type,
            "boundary_ratio": pipeline.config.boundary_ratio,
        }
        for name, component in components.items():
            index[name] = [None, None] if component is None else list(PUBLISHED_COMPONENTS[name])
        _write_json(index_file, index)
    except OSError as error:
        raise CheckpointError(f"model cannot be written to {folder}: {error}") from error


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    # A tokenizer read from its tokenizer.json has a generic class; the files are those of a T5 tokenizer all the same.
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    _write_json(config_file, {**config, "tokenizer_class": "T5Tokenizer"})


def _save_scheduler(scheduler: Any, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in dict(scheduler.config).items() if not key.startswith("_")}
    _write_json(folder / "scheduler_config.json", {"_class_name": PUBLISHED_COMPONENTS["scheduler"][1], **config})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
