"""Real media files: films with a flash and a click at known times."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
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
        # Two files that differ in nothing would count as one.
        name = path.name.encode()
        with path.open("ab") as file:
            file.write((8 + len(name)).to_bytes(4, "big") + b"free" + name)
        return path

    return make


@pytest.fixture(scope="session")
def make_sounding() -> Callable[..., Path]:
    """Return a function that writes a film in which a tone sounds in some spans only, in seconds; there are no others.

    With `zeros` there are samples of digital silence everywhere else.
    """

    def make(path: Path, *, seconds=2.0, sounds=(), zeros=False) -> Path:
        rate = 16_000
        tone = (8000 * np.sin(np.arange(round((seconds + 2) * rate)) * 0.3)).astype(np.int16)
        heard = np.zeros(len(tone), dtype=bool)
        for begin, end in sounds:
            heard[round(begin * rate) : round(end * rate)] = True
        with av.open(str(path), "w", format="matroska") as container:
            video, audio = container.add_stream("mpeg4", rate=24), container.add_stream("pcm_s16le", rate=rate)
            video.width, video.height, video.pix_fmt, audio.layout = 64, 48, "yuv420p", "mono"
            for index in range(round(seconds * 24)):
                picture = np.full((48, 64, 3), 40 + 4 * index % 200, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = index
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            for first in range(0, round((seconds if zeros else len(tone) / rate) * rate), 160):
                part = slice(first, first + 160)
                if not zeros and not heard[part].any():
                    continue
                frame = av.AudioFrame.from_ndarray((tone * heard)[None, part], format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
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
