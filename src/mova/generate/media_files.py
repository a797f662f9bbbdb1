"""The image, video and audio files of a request, read before any weights are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from mova.errors import ReadError
from mova.generate.request import GenerateRequest
from mova.geometry import ClipGeometry
from mova.media.frames import read_image
from mova.media.probe import probe_audio, probe_video
from mova.media.read import read_audio, read_frames
from mova.pipeline.origin import INPUTS


class MediaArrays(TypedDict, total=False):
    """What a clip is made from, as arrays; only what was named.

    `image` and `last_image`: (H, W, 3) uint8; `video`: (F, H, W, 3) uint8 at the clip's size and rate; `audio`: (1, S)
    float32 at the model's rate; `keyframes`: images by their seconds.
    """

    image: np.ndarray
    last_image: np.ndarray
    video: np.ndarray
    audio: np.ndarray
    keyframes: dict[float, np.ndarray]


@dataclass(frozen=True)
class UsedPart:
    """What of a file a clip uses.

    Attributes:
        name: of the request's field, "video" or "audio".
        path: of the file.
        begin_s, end_s: of the part, in seconds after the file's start.
        file_s: how long the file's video or audio is.
    """

    name: str
    path: Path
    begin_s: float
    end_s: float
    file_s: float

    def __str__(self) -> str:
        """Return one line for people."""
        part = f"{self.begin_s:.2f} s to {self.end_s:.2f} s"
        return f"{self.name}: {part} of {self.path.name}, which lasts {self.file_s:.2f} s"


def read_inputs(
    request: GenerateRequest,
    *,
    start_s: float = 0.0,
    on_part: Callable[[UsedPart], None] = lambda _: None,
) -> MediaArrays:
    """Read what a request names.

    Args:
        request: names the files.
        start_s: where in the video or audio file the clip begins, in seconds after the file's start.
        on_part: told about a video or audio file of which a part is left out.

    Raises:
        ConfigError: a start below 0.
        ReadError: a file that cannot be decoded or is too short.
    """
    geometry = request.settings.geometry
    inputs: MediaArrays = {}
    if request.image:
        inputs["image"] = read_image(request.image)
    if request.last_image:
        inputs["last_image"] = read_image(request.last_image)
    if request.keyframes:
        inputs["keyframes"] = {one.time_s: read_image(one.path) for one in request.keyframes}
    if request.video:
        inputs["video"] = read_video(request.video, request, start_s=start_s)
        _tell("video", request.video, start_s, geometry, probe_video(request.video).duration_s, on_part)
    if request.audio:
        inputs["audio"] = read_own_sound(request.audio, request, start_s=start_s)
        _tell("audio", request.audio, start_s, geometry, probe_audio(request.audio).duration_s, on_part)
    return inputs


def read_video(path: Path, request: GenerateRequest, *, start_s: float) -> np.ndarray:
    """Read the frames of a video that a request keeps, or keeps in part: nothing behind the last part that stays.

    Args:
        path: of the video.
        request: that it is for.
        start_s: see `read_inputs`.

    Returns:
        (F, H, W, 3) uint8 at the clip's size and rate.

    Raises:
        ConfigError, ReadError: as of `read_inputs`.
    """
    geometry = request.settings.geometry
    return read_frames(
        path,
        frame_rate=geometry.frame_rate,
        num_frames=max(1, request.placed().video.end),
        size=(geometry.height, geometry.width),
        start_s=start_s,
        fit=request.fit,
        pad=request.fit == "pad",
    )


def read_own_sound(path: Path, request: GenerateRequest, *, start_s: float) -> np.ndarray:
    """Read the audio that a request keeps, or keeps in part, as `read_sound` returns it; see `read_video`."""
    held = request.placed().audio
    needed = held.end if held.latents else 0
    pad = request.fit == "pad"
    return read_sound(path, request.settings.geometry, start_s=start_s, needed=needed, pad=pad)


def read_sound(
    path: Path, geometry: ClipGeometry, *, start_s: float = 0.0, needed: int | None = None, pad: bool = False
) -> np.ndarray:
    """Read the audio of a clip's length from a file.

    Args:
        path: an audio file, or a video file with audio.
        geometry: of the clip.
        start_s: seconds after the video's first frame; of a file without video, after its first sample.
        needed: samples that must be there; None: all of the clip. There may be silence behind them.
        pad: whether silence may stand for what is missing.

    Returns:
        (1, S) float32 in [-1, 1] at the model's sample rate.

    Raises:
        ConfigError: a start below 0.
        ReadError: no audio, damaged, or too short for the clip.
    """
    audio = read_audio(path, sample_rate=geometry.codec.sample_rate, length=geometry.num_samples, start_s=start_s)
    duration_s = geometry.duration_s if needed is None else needed / geometry.codec.sample_rate
    if pad or audio.end_s is None:
        return audio.waveform
    if audio.end_s < start_s + duration_s - 1 / geometry.frame_rate:
        start = f" from {start_s:g} s on" if start_s else ""
        raise ReadError(
            f"audio must last as long as the clip ({geometry.num_frames} frames, {geometry.duration_s:.3f} s){start}, "
            f"got {path} of {audio.end_s:.3f} s; --fit pad adds silence"
        )
    return audio.waveform


def _tell(
    name: str,
    path: Path,
    start_s: float,
    geometry: ClipGeometry,
    file_s: float | None,
    on_part: Callable[[UsedPart], None],
) -> None:
    end_s = start_s + geometry.duration_s
    if file_s is not None and (start_s > 0.0 or file_s > end_s + 1 / geometry.frame_rate):
        on_part(UsedPart(name, path, start_s, min(end_s, file_s), file_s))


class InputReader:
    """Reads media files, those of one request after the other; the last ones are kept for the next request.

    Args:
        on_note: told what of a file is used, once for each.
    """

    def __init__(self, on_note: Callable[[str], None]) -> None:
        self._on_note = on_note
        self._said: set[str] = set()
        self._key: tuple[object, ...] | None = None
        self._read: MediaArrays = {}

    def read(self, request: GenerateRequest) -> MediaArrays:
        """Return the media of a request."""
        if request.long is not None:  # whose audio is read with its windows
            request = replace(request, audio=None, start_s=0.0)

        files = tuple(getattr(request, name) for name in INPUTS)
        others = request.keyframes, request.retakes, request.outputs, request.fit
        key = (files, others, request.start_s, request.settings.geometry)
        if key == self._key:
            return self._read

        def say(part: UsedPart) -> None:
            if str(part) not in self._said:
                self._said.add(str(part))
                self._on_note(str(part))

        self._key, self._read = None, {}
        self._read = read_inputs(request, start_s=request.start_s, on_part=say)
        self._key = key
        return self._read
