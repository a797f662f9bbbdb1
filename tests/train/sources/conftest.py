"""Real media files: films with a flash and a click at known times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mova.geometry import num_samples
from mova.media.write import write_clip
from mova.types import Clip


@pytest.fixture(scope="session")
def make_film() -> Callable[..., Path]:
    """Return a function that writes a grey film with a white flash and a click at each of `at_s`."""

    def make(path: Path, *, seconds=2.0, rate=24.0, size=(48, 64), at_s=(0.5,), sound=True) -> Path:
        count = round(seconds * rate)
        samples = num_samples(count, rate, 16_000)
        frames = np.full((count, *size, 3), 60, dtype=np.uint8)
        waveform = np.zeros((1, samples), dtype=np.float32)
        for when in at_s:
            frames[round(when * rate) : round(when * rate) + max(1, round(rate / 12))] = 250
            start = round(when * 16_000)
            waveform[0, start : start + 800] = 0.5 * np.sin(np.arange(800) * 0.7)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, Clip(frames, waveform if sound else None, rate, 16_000), allow_silent=True)
        return path

    return make


@pytest.fixture
def write_list(tmp_path) -> Callable[..., Path]:
    """Return a function that writes a list of clips for files of `tmp_path`."""

    def write(names, **captions) -> Path:
        entries = [{"video_path": name, "caption": captions.get(name, f"caption of {name}")} for name in names]
        (tmp_path / "metadata.json").write_text(json.dumps(entries))
        return tmp_path / "metadata.json"

    return write
