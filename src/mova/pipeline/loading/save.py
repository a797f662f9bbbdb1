"""A pipeline to a directory in the published layout, with the official class names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import read_object, shorten
from mova.files.unfinished import unfinished
from mova.names import FEW_STEPS_FILE, NETWORKS, PREVIEW_FILE, PUBLISHED_COMPONENTS, SCOPE_FILE
from mova.weights.components import write_component
from mova.weights.locate import write_defaults

if TYPE_CHECKING:
    from mova.pipeline.pipeline import MovaPipeline

_SHARD_SIZE = re.compile(r"[1-9]\d{0,8}[KMGT]B", re.IGNORECASE)


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
        ConfigError: a size of shards that is none.
    """
    from diffusers import __version__

    _check_shard_size(max_shard_size)
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
        _copy_few_steps(pipeline, folder)
        for name in (SCOPE_FILE, PREVIEW_FILE):
            _copy_beside(pipeline, folder, name)
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


def _check_shard_size(size: int | str) -> None:
    is_number = isinstance(size, int) and not isinstance(size, bool) and size > 0
    if not is_number and not (isinstance(size, str) and _SHARD_SIZE.fullmatch(size)):
        raise ConfigError(f"max_shard_size must be a number of bytes or a text such as 16MB, got {shorten(size)}")


def _copy_few_steps(pipeline: MovaPipeline, folder: Path) -> None:
    """Keep the LoRA for few steps beside the model, unless it is in the saved weights already."""
    source, target = pipeline.few_steps_file, folder / FEW_STEPS_FILE
    if source is None or pipeline.has_recommending_adapter():
        target.unlink(missing_ok=True)
    else:
        _copy(source, target)


def _copy_beside(pipeline: MovaPipeline, folder: Path, name: str) -> None:
    """Keep a file of the model that says what it knows, or how it looks; of a model without one no former one stays."""
    source = None if pipeline.folder is None else pipeline.folder / name
    if source is None or not source.is_file():
        (folder / name).unlink(missing_ok=True)
    else:
        _copy(source, folder / name)


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        with unfinished(target.with_name(f"{target.name}.part")) as staged:
            shutil.copyfile(source, staged)
            staged.replace(target)


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    config_file = folder / "tokenizer_config.json"
    _write_json(config_file, tokenizer_config(read_object(config_file, error=CheckpointError).values))


def tokenizer_config(config: Mapping[str, object]) -> dict[str, Any]:
    """Return a tokenizer's configuration as every transformers reads it, 4.57 (of the official code) and 5.

    A tokenizer read from its tokenizer.json has a generic class; the files are those of a T5 tokenizer all the same.
    The tokens that transformers 5 lists as `extra_special_tokens` are `additional_special_tokens` to 4.57, which takes
    a mapping under the first name. What says where the files once were is left out.
    """
    own = {key: value for key, value in config.items() if key not in ("backend", "is_local", "local_files_only")}
    extra = own.get("extra_special_tokens")
    if not isinstance(extra, dict):
        own["extra_special_tokens"] = {}
        if extra:
            own["additional_special_tokens"] = list(cast("Iterable[object]", extra))
    return {**own, "tokenizer_class": "T5Tokenizer"}


def _save_scheduler(scheduler: Any, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in dict(scheduler.config).items() if not key.startswith("_")}
    _write_json(folder / "scheduler_config.json", {"_class_name": PUBLISHED_COMPONENTS["scheduler"][1], **config})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
