"""Complete training states on disk: written under a temporary name, flushed, renamed; the last few are kept."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from mova.errors import CheckpointError

_NAME = re.compile(r"step_\d{8,}")
_FILE = "state.pt"


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `state` as `folder/step_NNNNNNNN/state.pt`; a crash at any point leaves every complete state intact.

    Args:
        folder: of the run's checkpoints.
        step: optimiser steps done.
        state: tensors, numbers, lists and dictionaries.
        keep: how many of the newest states stay.

    Returns:
        The state's folder.
    """
    target = folder / f"step_{step:08d}"
    target.mkdir(parents=True, exist_ok=True)
    partial = target / "state.partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target / _FILE)
    _sync_folder(target)
    _sync_folder(folder)
    kept = list_states(folder)[-keep:]
    for old in folder.iterdir():
        # Older states, and what a crash left of one.
        if _NAME.fullmatch(old.name) and old not in kept:
            shutil.rmtree(old)
    return target


def list_states(folder: Path) -> list[Path]:
    """Return the complete states below `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / _FILE).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step_")))


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest complete state below `folder`, or None where there is none.

    Raises:
        CheckpointError: the newest state cannot be read.
    """
    states = list_states(folder)
    if not states:
        return None
    try:
        state: dict[str, Any] = torch.load(states[-1] / _FILE, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        fall_back = f"fall back to {states[-2].name}" if len(states) > 1 else "begin anew"
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(f"{states[-1]} cannot be read ({reason}); remove it to {fall_back}") from error
    return state


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
