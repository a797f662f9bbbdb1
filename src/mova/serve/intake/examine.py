"""What is done with uploads in a child process: decoded once, in full, before anything is queued.

Images are written anew as PNG of the same pixels, so that nothing of a stranger's image file goes any further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mova.errors import MovaError, ReadError
from mova.serve.jobs.records import IMAGES, Extent

if TYPE_CHECKING:
    import numpy as np

    from mova.generate.request import GenerateRequest
    from mova.settings.scope import Scope

Kind = Literal["file", "first_frame", "last_frame"]


@dataclass(frozen=True)
class Staged:
    """A file that came with a request, under a name of ours.

    Attributes:
        path: of the file.
        kind: what of it is wanted.
    """

    path: Path
    kind: Kind = "file"


@dataclass(frozen=True)
class Bounds:
    """What is admitted beside the limits of `mova.media.limits`.

    Attributes:
        image_pixels: of an image.
        video_pixels: of a frame of a video.
    """

    image_pixels: int
    video_pixels: int


@dataclass(frozen=True)
class Examined:
    """What was found.

    Attributes:
        paths: files to keep, by input.
        outside: what of the request the model was not trained for, in words.
        extent: how long a clip of several windows becomes; None for others.
        notes: what was moved to the nearest possible value, in words.
    """

    paths: Mapping[str, Path]
    outside: tuple[str, ...]
    extent: Extent | None
    notes: tuple[str, ...]


def warm() -> bool:
    """Import what decoding needs; a child that has done it answers at once."""
    import mova.generate.media_files
    import mova.media.read  # noqa: F401 (decoders come with it)

    return True


def measure(path: Path) -> float:
    """Return the seconds of a video.

    Raises:
        MovaError: it cannot be read; the text names no path.
    """
    from mova.media.probe import probe_video

    try:
        found = probe_video(path).duration_s
    except MovaError as error:
        raise type(error)(str(error).replace(str(path), "video")) from None
    if found is None:
        raise ReadError("a video must say how long it is, and this one does not")
    return found


def examine(
    staged: Mapping[str, Staged],
    request: GenerateRequest,
    scope: Scope,
    weights_sha256: str,
    bounds: Bounds,
    folder: Path,
) -> Examined:
    """Decode what a request names, and plan what it asks for.

    Args:
        staged: files by input.
        request: whose geometry they must serve.
        scope: what the model knows.
        weights_sha256: fingerprint of the model.
        bounds: of sizes.
        folder: where images are written.

    Raises:
        MovaError: a file that cannot be decoded, is too large or too short; the text names the input, and no path.
    """
    paths = {name: _examine_one(name, file, request, bounds, folder) for name, file in staged.items()}
    try:
        extent, notes = plan_of(request, weights_sha256)
    except MovaError as error:
        raise type(error)(_with_names(str(error), staged)) from None
    found = outside_of(request, scope, paths)
    return Examined(
        paths,
        tuple(_without_path(text, paths) for text in found),
        extent,
        tuple(_with_names(text, staged) for text in notes),
    )


def outside_of(request: GenerateRequest, scope: Scope, paths: Mapping[str, Path]) -> list[str]:
    """Return in words what of a request the model was not trained for.

    Args:
        request: with all of its prompts.
        scope: what the model knows.
        paths: of its images, by input.
    """
    found = scope.outside(request.prompt, request.settings, paths.get("image"), paths.get("last_image"))
    for _, prompt in () if request.long is None else request.long.prompts_at:
        found += scope.outside(prompt, request.settings)
    return list(dict.fromkeys(found))


def plan_of(request: GenerateRequest, weights_sha256: str) -> tuple[Extent | None, list[str]]:
    """Return how long a clip of several windows becomes, and what was moved to the nearest possible value.

    Args:
        request: whose files have been looked at.
        weights_sha256: fingerprint of the model.

    Raises:
        MovaError: a length, a time or a clip to go on from that cannot be.
    """
    notes = [str(snap) for snap in request.placed().snaps]
    if request.long is None:
        return None, notes
    from mova.generate.long.plan import plan_long

    plan = plan_long(request, request.model, weights_sha256, notes.append)
    before = 0 if plan.source is None else plan.source.num_frames
    return Extent(plan.num_frames, plan.num_frames - before, len(plan.windows.windows)), notes


def _examine_one(name: str, file: Staged, request: GenerateRequest, bounds: Bounds, folder: Path) -> Path:
    try:
        if name in IMAGES:
            pixels = _image(file, bounds, request)
            return _write_png(pixels, folder / f"{name}.png")
        if name == "extend":
            _check_frame_size(file.path, bounds)
        elif name == "video":
            _check_video(file.path, request, bounds)
            if request.retakes and request.audio == file.path:
                _check_audio(file.path, request)
        elif request.long is None:  # else it is read where the windows are planned
            _check_audio(file.path, request)
        return file.path
    except MovaError as error:
        raise type(error)(str(error).replace(str(file.path), name)) from None


def _image(file: Staged, bounds: Bounds, request: GenerateRequest) -> np.ndarray:
    if file.kind != "file":
        return _frame(file, bounds, request)
    from PIL import Image

    from mova.media import limits
    from mova.media.frames import read_image

    try:
        Image.init()
        formats = [name for name in limits.IMAGE_FORMATS if name in Image.OPEN]
        with Image.open(file.path, formats=formats) as image:
            width, height = image.size
    except Exception:
        # What is wrong with it is said by whoever reads it.
        return read_image(file.path)
    if width * height > bounds.image_pixels:
        nearest = limits.nearest_size(width, height, bounds.image_pixels)
        raise ReadError(f"an image must have at most {bounds.image_pixels} pixels, got {width}x{height}{nearest}")
    return read_image(file.path)


def _frame(file: Staged, bounds: Bounds, request: GenerateRequest) -> np.ndarray:
    """Return the first or the last frame of a clip (H, W, 3)."""
    from mova.media.probe import probe_video
    from mova.media.read import read_frames

    info = probe_video(file.path)
    _check_pixels(info.display_size, bounds)
    rate = info.frame_rate or request.settings.frame_rate
    count = 1 if file.kind == "first_frame" else max(1, info.num_frames or 1)
    frame: np.ndarray = read_frames(file.path, frame_rate=rate, num_frames=count)[-1]
    return frame


def _check_video(path: Path, request: GenerateRequest, bounds: Bounds) -> None:
    from mova.generate.media_files import read_video

    _check_frame_size(path, bounds)
    read_video(path, request, start_s=request.start_s)


def _check_audio(path: Path, request: GenerateRequest) -> None:
    from mova.generate.media_files import read_own_sound

    read_own_sound(path, request, start_s=request.start_s)


def _check_frame_size(path: Path, bounds: Bounds) -> None:
    from mova.media.probe import probe_video

    _check_pixels(probe_video(path).display_size, bounds)


def _check_pixels(size: tuple[int, int], bounds: Bounds) -> None:
    from mova.media.limits import nearest_size

    height, width = size
    if height * width > bounds.video_pixels:
        nearest = nearest_size(width, height, bounds.video_pixels)
        rule = f"frames of a video must have at most {bounds.video_pixels} pixels"
        raise ReadError(f"{rule}, got {width}x{height}{nearest}")


def _write_png(pixels: np.ndarray, path: Path) -> Path:
    from PIL import Image

    options: dict[str, Any] = {"compress_level": 1}
    Image.fromarray(pixels).save(path, "PNG", **options)
    return path


def _with_names(text: str, staged: Mapping[str, Staged]) -> str:
    """Return a text in which files have the names of their inputs, in place of ours."""
    for name, file in staged.items():
        text = text.replace(str(file.path), name).replace(file.path.name, name)
    return text


def _without_path(text: str, paths: Mapping[str, Path]) -> str:
    for path in paths.values():
        text = text.replace(f" ({path.name})", "")
    return text
