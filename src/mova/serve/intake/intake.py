"""From the fields of a request to an order that can be queued: media staged, decoded in a child, and kept."""

from __future__ import annotations

import base64
import binascii
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import MovaError
from mova.media.frames import read_image
from mova.serve.artifacts import Artifacts
from mova.serve.faults import FieldError, fault_of
from mova.serve.intake.bodies import Upload
from mova.serve.intake.decoders import Decoders
from mova.serve.intake.examine import Bounds, Examined, Kind, Staged, examine, measure, outside_of, plan_of
from mova.serve.intake.fetch import fetch
from mova.serve.intake.forms import Asked
from mova.serve.intake.offer import Completed, Offer
from mova.serve.intake.sources import DataUrl, Link, OfClip, Source
from mova.serve.jobs.records import IMAGES, KEYFRAMES, ClipOrder, Extent
from mova.serve.settings import ServeSettings
from mova.web.calls import aside

INCOMING: Final = "incoming"
_CHUNK: Final = 2**20
_STALE_S: Final = 3600.0
_KINDS: Final[Mapping[str, Kind]] = {"first_frame": "first_frame", "last_frame": "last_frame"}


@dataclass(frozen=True)
class Taken:
    """A request whose media are kept.

    Attributes:
        completed: the request.
        inputs: names of artifacts, by input.
        made: those of them that were made for it.
        warnings: what the model was not trained for, what was passed over, and what was moved.
        notes: what was moved to the nearest possible value.
        extent: how long a clip of several windows becomes; None for others.
    """

    completed: Completed
    inputs: Mapping[str, str]
    made: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    extent: Extent | None

    @property
    def new_s(self) -> float:
        """Seconds that are made."""
        geometry = self.completed.request.settings.geometry
        return geometry.duration_s if self.extent is None else self.extent.new_frames / geometry.frame_rate


class Intake:
    """Takes requests in.

    Args:
        settings: limits, and where files come in.
        offer: of the model.
        decoders: that look at media.
        artifacts: where inputs are kept.
        find_clip: returns the name of the file of a finished clip, for its id and whoever asks.
    """

    def __init__(
        self,
        settings: ServeSettings,
        offer: Offer,
        decoders: Decoders,
        artifacts: Artifacts,
        find_clip: Callable[[OfClip, str | None], str],
    ) -> None:
        self._settings, self._offer, self._decoders = settings, offer, decoders
        self._artifacts, self._find_clip = artifacts, find_clip
        self._folder = settings.data / INCOMING
        limits = settings.limits
        self._bounds = Bounds(limits.image_pixels, limits.video_pixels)

    def clear(self) -> None:
        """Remove what requests left behind that were never ended."""
        for folder in self._folder.glob("*"):
            if folder.stat().st_mtime < time.time() - _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)

    async def take(self, asked: Asked, sees: str | None, kept: Mapping[str, str] | None = None) -> Taken:
        """Check a request and keep its media.

        Args:
            asked: its fields.
            sees: whose clips it may use; None for all.
            kept: inputs that are there already, by input; those in `asked` take their place.

        Raises:
            RefusedError: a value or a file that cannot be used.
            OSError: there is no room.
        """
        over = {name: source for name, source in asked.media.items() if source is not None}
        standing = {name: file for name, file in (kept or {}).items() if name not in asked.media}
        # What needs no file is said before any is looked at.
        self._offer.check_model(asked.model)
        async with self._staged(over, standing, sees) as (folder, staged):
            completed = await aside(self._offer.complete, asked, {name: file.path for name, file in staged.items()})
            examined = await self._examine(completed, staged, folder)
            self._check_extent(examined.extent)
            made = await aside(self._keep, {name: examined.paths[name] for name in over})
        ignored = tuple(f"{name} in extra_body is not known here, and was left out" for name in asked.ignored)
        warnings = (*examined.outside, *ignored, *examined.notes)
        inputs = {**standing, **made}
        return Taken(completed, inputs, tuple(made.values()), warnings, examined.notes, examined.extent)

    async def image(self, asked: Asked, sees: str | None) -> NDArray[np.uint8] | None:
        """Return the first frame that a request names (H, W, 3), decoded by a child; None where it names none.

        Raises:
            RefusedError: a file that cannot be used.
        """
        over = {name: source for name, source in asked.media.items() if source is not None}
        async with self._staged(over, {}, sees) as (folder, staged):
            if not staged:
                return None
            completed = await aside(self._offer.complete, asked, {name: file.path for name, file in staged.items()})
            examined = await self._examine(completed, staged, folder)
            # A PNG that the child has written.
            pixels: NDArray[np.uint8] = await aside(read_image, examined.paths["image"])
            return pixels

    async def seconds_of(self, upload: Upload) -> float:
        """Return the length of a video that was sent, as a child finds it.

        Raises:
            RefusedError: a file that cannot be used.
        """
        async with self._staged({"video": upload}, {}, None) as (_, staged):
            try:
                return await self._decoders.call(measure, staged["video"].path)
            except MovaError as error:
                raise fault_of(error, "video") from None

    def discard(self, taken: Taken) -> None:
        """Remove what was kept for a request that came to nothing."""
        for name in taken.made:
            self._artifacts.delete(name)

    async def _examine(self, completed: Completed, staged: Mapping[str, Staged], folder: Path) -> Examined:
        request, scope = completed.request, self._offer.scope
        weights = "" if request.long is None else await aside(lambda: self._offer.weights_sha256)
        try:
            if not staged:
                extent, notes = await aside(plan_of, request, weights)
                return Examined({}, tuple(outside_of(request, scope, {})), extent, tuple(notes))
            return await self._decoders.call(examine, staged, request, scope, weights, self._bounds, folder)
        except MovaError as error:
            # The text names the input, in place of its file.
            about = [name for name in staged if f"got {name}" in str(error)]
            fault = fault_of(error, _field_of(about[0]) if about else None)
            if isinstance(fault, FieldError) and fault.param is None and len(staged) == 1:
                fault = fault_of(error, _field_of(next(iter(staged))))
            raise fault from None

    def _check_extent(self, extent: Extent | None) -> None:
        most = self._settings.limits.clip_frames
        if extent is not None and extent.new_frames > most:
            raise FieldError(
                f"num_frames that are made must be at most {most} on this server, got {extent.new_frames}; nearest is "
                f"{most}",
                "num_frames",
            )

    def _keep(self, paths: Mapping[str, Path]) -> dict[str, str]:
        made: dict[str, str] = {}
        try:
            for name, path in paths.items():
                made[name] = self._artifacts.new_upload("png" if name in IMAGES else "media")
                self._artifacts.put_file(made[name], path)
        except BaseException:
            for name in made.values():
                self._artifacts.delete(name)
            raise
        return made

    @asynccontextmanager
    async def _staged(
        self, over: Mapping[str, Source], standing: Mapping[str, str], sees: str | None
    ) -> AsyncIterator[tuple[Path, dict[str, Staged]]]:
        """Give files under names of ours, for the time of the block."""
        folder = self._folder / secrets.token_hex(16)
        staged: dict[str, Staged] = {}
        if not over and not standing:
            yield folder, staged
            return
        with ExitStack() as held:
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            await aside(folder.mkdir, parents=True, exist_ok=True)
            for name, source in over.items():
                kind = await aside(self._stage, name, source, folder / name, sees)
                staged[name] = Staged(folder / name, kind)
            for name, file in standing.items():
                try:
                    staged[name] = Staged(held.enter_context(self._artifacts.local(file)))
                except FileNotFoundError:
                    raise _gone(name) from None
            yield folder, staged

    def _stage(self, name: str, source: Source, target: Path, sees: str | None) -> Kind:
        """Write a source into a file; return what of it is wanted."""
        most = self._settings.limits.upload_bytes
        match source:
            case Upload():
                _copy(source.file, target)
            case DataUrl():
                target.write_bytes(decode_data_url(name, source.text, most))
            case Link():
                try:
                    fetch(source.url, target, self._settings.fetch, most)
                except FieldError as error:
                    raise FieldError(error.text, _field_of(name), code=error.code, status=error.status) from None
            case OfClip():
                try:
                    with self._artifacts.local(self._find_clip(source, sees)) as path:
                        shutil.copyfile(path, target)
                except FileNotFoundError:
                    raise _gone(name) from None
                return _KINDS.get(source.part, "file")
        return "file"


def orders_of(taken: Taken) -> list[ClipOrder]:
    """Return the orders of the variants of a request."""
    order = replace(taken.completed.order, inputs=dict(taken.inputs), extent=taken.extent, notes=taken.notes)
    return [replace(order, seed=seed) for seed in taken.completed.seeds]


def decode_data_url(name: str, text: str, most_bytes: int) -> bytes:
    """Return the contents of a data URL in base64.

    Raises:
        FieldError: another form, or too large.
    """
    head, comma, data = text.partition(",")
    if not comma or not head.endswith(";base64"):
        text = f"{name} must be a data URL in base64, such as data:image/png;base64,..."
        raise FieldError(text, _field_of(name))
    if len(data) // 4 * 3 > most_bytes:
        raise FieldError(
            f"{name} must have at most {most_bytes} bytes, got more", _field_of(name), code="too_large", status=413
        )
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise FieldError(f"{name} must be a data URL in base64, got one that is damaged", _field_of(name)) from None


def _gone(name: str) -> FieldError:
    return FieldError(f"{name} must still be there, and is not", _field_of(name), code="input_gone")


def _field_of(name: str) -> str:
    """Return the field of a request that an input is of."""
    return "keyframes" if name in KEYFRAMES else "video" if name == "extend" else name


def _copy(file: IO[bytes], target: Path) -> None:
    file.seek(0)
    with target.open("wb") as written:
        shutil.copyfileobj(file, written, _CHUNK)
