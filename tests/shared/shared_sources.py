"""What the processes of test_latents do: open one list of files, good and bad ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import mova.data.sources.scan as scan
from mova.data.config import MediaDataConfig
from mova.data.latents import open_splits
from mova.distributed.mesh import Parallel, start_parallel
from mova.errors import MovaError
from mova.weights.locate import find_model


def open_files(_rank: int, folder: Path) -> dict[str, Any]:
    """Return what this process looked at, what it learned of the clips, and the errors it met."""
    parallel = start_parallel(shard=2)
    films, looked = folder.parent, []
    look = scan._scan

    def watched(item: Any) -> Any:
        looked.append(item.key)
        return look(item)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_scan", watched)
        source = _open(films, folder / "cache", parallel)
        online = _open(films, folder / "other", parallel, online=True)
    batch = source.batch([0, 3])
    return {
        "looked": len(looked),
        "keys": [fact.key for fact in source.facts],
        "online": [fact.key for fact in online.facts],
        "sum": float(batch.video.double().sum() + batch.prompts.double().sum()),
        "absent": _error_of(films, "absent.json", parallel),
        "broken": _error_of(films, "broken.json", parallel),
    }


def write_broken_list(films: Path) -> None:
    """Add a list of which half of the files is no media."""
    entries = json.loads((films / "metadata.json").read_text())
    for entry in entries[::2]:
        name = f"broken_{entry['video_path']}"
        shutil.copy(films / "metadata.json", films / name)
        entry["video_path"] = name
    (films / "broken.json").write_text(json.dumps(entries))


def _open(films: Path, cache: Path, parallel: Parallel, *, name: str = "metadata.json", online: bool = False) -> Any:
    data = MediaDataConfig(
        source="metadata",
        path=films / name,
        sizes=("32x32",),
        num_frames=9,
        min_frames=5,
        validation_clips=2,
        workers=1,
    )
    model, device = find_model("mova-tiny"), torch.device("cpu")
    opened = open_splits(data, ("train",), model=model, cache=cache, device=device, online=online, parallel=parallel)
    return opened["train"]


def _error_of(films: Path, name: str, parallel: Parallel) -> str:
    try:
        _open(films, films / "cache", parallel, name=name)
    except MovaError as error:
        return f"{type(error).__name__}: {error}"
    return "none"
