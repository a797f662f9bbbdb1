"""Complete training states on disk: written under a temporary name, flushed, renamed; the last few are kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from mova.errors import CheckpointError

_NAME = re.compile(r"step_(\d{8})")


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `state` as `folder/step_NNNNNNNN/state.pt`; a crash at any point leaves the earlier states intact.

    Args:
        folder: of the run's checkpoints.
        step: optimiser steps done.
        state: tensors, numbers, lists and dictionaries.
        keep: how many of the newest states stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step_{step:08d}"
    temporary = folder / f".{target.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    with (temporary / "state.pt").open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    _sync_folder(folder)
    for old in list_states(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def list_states(folder: Path) -> list[Path]:
    """Return the complete states below `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / "state.pt").is_file())


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest complete state below `folder`, or None where there is none.

    Raises:
        CheckpointError: the newest state cannot be read.
    """
    states = list_states(folder)
    if not states:
        return None
    try:
        return torch.load(states[-1] / "state.pt", map_location=device, weights_only=True)  # type: ignore[no-any-return]
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise CheckpointError(
            f"{states[-1]} cannot be read ({error}); remove it to fall back to the one before"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
