"""What a run computes in and its clips are encoded in: settled once, kept in every state, reused where it resumes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from mova.device import Compute, Resolved, resolve_compute, warn_of_slow_bfloat16
from mova.errors import CheckpointError
from mova.files.json_file import Fields, shorten
from mova.train.config import LoraConfig, RunConfig, TrainedConfig
from mova.train.config.run import RunPrecision
from mova.train.loop.checkpoint import newest_values
from mova.weights.locate import bears_bfloat16, find_model, read_defaults

logger = logging.getLogger(__name__)

KEY: Final = "compute"
"""Where a state has what its run computes in. States of earlier releases have none: they were float32 on a CPU and
bfloat16 on a GPU where the recipe says auto."""
ENCODED_IN: Final = "encoded_in"
"""Where a position has what its clips were encoded in."""
_NAMES: Final[Mapping[str, Resolved]] = {"float32": "float32", "bfloat16": "bfloat16"}


def settle(config: TrainedConfig, folder: Path, device: torch.device) -> RunPrecision:
    """Return what a stage computes in: what its newest state was made with, else what the recipe asks for here.

    Args:
        config: the recipe.
        folder: folder of this stage's checkpoints and log.
        device: that trains.

    Raises:
        ConfigError: the environment names a precision that there is not.
        CheckpointError: the state says something else than a precision, or the base has none that can be read.
    """
    asked = config.run.compute
    stored = newest_values(folder / "checkpoints")
    if stored is None:
        own = resolve_compute(device, asked, holds=_holds(config))
        encoding = asked
    else:
        own = _read(stored, KEY) or _as_it_was(device, asked)
        position = stored.fields("position") if "position" in stored else None
        encoding = (_read(position, ENCODED_IN) if position else None) or asked
        here = resolve_compute(device, asked, holds=_holds(config))
        if here != own:
            logger.info("%s goes on in %s, as it was begun; here it would begin in %s", config.stage, own, here)
    warn_of_slow_bfloat16(device, own, "compute")
    return RunPrecision(own, encoding)


def record(run: RunConfig, device: torch.device) -> Resolved:
    """Return what a state keeps."""
    return resolve_compute(device, run.computes_in)


def _holds(config: TrainedConfig) -> bool:
    """Say whether a stage is known to learn as well in bfloat16 on a CPU.

    Measured of the adapters of mova-tiny: benchmarks/results/training_precision_2core_zen4_202611.md.
    """
    if not isinstance(config, LoraConfig):
        return False
    base = find_model(config.base)
    return bears_bfloat16(base, read_defaults(base), is_quantized=config.memory.base_quantization != "none")


def _as_it_was(device: torch.device, asked: Compute) -> Resolved:
    """Return what a state computes in that says nothing of it, on the device that it goes on with."""
    if asked != "auto":
        return asked
    return "bfloat16" if device.type == "cuda" else "float32"


def _read(values: Fields, key: str) -> Resolved | None:
    """Return a precision by name; None where nothing is said.

    Raises:
        CheckpointError: it is none.
    """
    if key not in values:
        return None
    found = values.values[key]
    if not isinstance(found, str) or found not in _NAMES:
        raise CheckpointError(f"{values.where}: {key} must be {' or '.join(_NAMES)}, got {shorten(found)}")
    return _NAMES[found]
