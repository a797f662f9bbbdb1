"""Bodies of requests: fields and files, bounded in bytes, time and pace while they come in."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from mova.errors import ConfigError
from mova.files.json_file import as_fields, parse_json, shorten
from mova.serve.access.gate import SHARE
from mova.serve.faults import FieldError
from mova.serve.settings import LimitsSection
from mova.web.calls import aside
from mova.web.refusals import RefusedError

if TYPE_CHECKING:
    from fastapi import Request

    from mova.web.limits import Share

MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
_MOST_FILES: Final = 24
_MOST_FIELDS: Final = 100
_MOST_TEXT_BYTES: Final = 64 * 2**20
_SMALL_BYTES: Final = 2**20
_GRACE_S: Final = 5.0
_IDLE_S: Final = 15.0
_BUSY_S: Final = 5.0
_CHUNK: Final = 2**20


@dataclass
class Upload:
    """A file that came with a request; it has no name on the disk.

    Attributes:
        file: at its beginning.
        size_bytes: of it.
        digest: SHA-256 of its contents.
    """

    file: IO[bytes]
    size_bytes: int
    digest: str = ""


@dataclass
class Body:
    """What a request says.

    Attributes:
        values: of its fields: texts of a form, any values of JSON.
        uploads: its files, by field.
        is_form: whether it came as a form.
    """

    values: dict[str, object]
    uploads: dict[str, Upload] = field(default_factory=dict)
    is_form: bool = False

    @property
    def digest(self) -> str:
        """What tells whether two requests say the same, however they were put into bytes."""
        said = [self.is_form, self.values, {name: one.digest for name, one in self.uploads.items()}]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def close(self) -> None:
        """Let the files go."""
        for upload in self.uploads.values():
            upload.file.close()


async def read_request(request: Request, limits: LimitsSection) -> Body:
    """Read a form or a JSON object.

    Args:
        request: whose body it is.
        limits: of bytes, time and pace.

    Raises:
        RefusedError: another content type; too large, too slow, damaged, or a field twice.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        values = await read_object(request, limits)
        if len(values) > _MOST_FIELDS:
            raise FieldError(f"a request must have at most {_MOST_FIELDS} fields, got {len(values)}")
        return Body(values)
    if kind == MULTIPART:
        return await _read_form(request, limits)
    raise FieldError(
        f"a request must have the content type {MULTIPART} or {JSON}, got {shorten(kind)}; nearest is {JSON}",
        status=415,
        code="unsupported_content_type",
    )


async def read_object(
    request: Request, limits: LimitsSection, *, most_bytes: int = _MOST_TEXT_BYTES, may_be_empty: bool = False
) -> dict[str, object]:
    """Read a JSON object.

    Args:
        request: whose body it is.
        limits: of bytes, time and pace.
        most_bytes: that it may have.
        may_be_empty: whether a request without a body is an empty object.

    Raises:
        RefusedError: no JSON object; too large or too slow.
    """
    read = bytearray()
    async for part in _bounded(request, min(most_bytes, limits.upload_bytes), limits):
        read += part
    if not read.strip() and may_be_empty:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        text = f"a request must have the content type {JSON}, got {shorten(kind)}"
        raise FieldError(text, status=415, code="no_json")
    try:
        # Aside: a large one takes a while.
        found = parse_json(bytes(read), "body", error=ConfigError) if len(read) < _SMALL_BYTES else None
        found = found if found is not None else await aside(parse_json, bytes(read), "body", error=ConfigError)
        return dict(as_fields(found, "body", error=ConfigError).values)
    except ConfigError as error:
        raise FieldError(str(error), code="no_json") from None


async def _read_form(request: Request, limits: LimitsSection) -> Body:
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser

    class Parser(MultiPartParser):
        is_ended = False

        def on_end(self) -> None:
            self.is_ended = True

    parser = Parser(
        request.headers,
        _bounded(request, limits.upload_bytes, limits),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=min(limits.upload_bytes, _MOST_TEXT_BYTES),
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise FieldError(f"a form must be {MULTIPART}, undamaged: {error.message}", code="damaged_form") from None
    body = Body({}, is_form=True)
    try:
        if not parser.is_ended:
            raise FieldError(f"a form must be {MULTIPART} up to its last boundary", code="damaged_form")
        for name, value in form.multi_items():
            if name in body.values or name in body.uploads:
                raise FieldError(f"a form must have each field once, got {shorten(name)} twice", name[:80])
            if isinstance(value, UploadFile):
                digest, size = await aside(_measure, value.file)
                body.uploads[name] = Upload(value.file, size, digest)
            else:
                body.values[name] = value
    except BaseException:
        await form.close()
        raise
    return body


async def _bounded(request: Request, most_bytes: int, limits: LimitsSection) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body.

    Raises:
        RefusedError: it is too large, also by what it says of itself, or comes too slowly; or others have the room.
    """
    share: Share | None = request.scope.get(SHARE)
    _check_length(request.headers, most_bytes)
    now = asyncio.get_running_loop().time
    begun, read = now(), 0
    parts = request.stream()
    while True:
        try:
            async with asyncio.timeout(max(0.0, min(_IDLE_S, begun + limits.upload_s - now()))):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow() from None
        read += len(part)
        if read > most_bytes:
            raise _too_large(most_bytes)
        if share is not None and not share.take(len(part)):
            raise RefusedError(503, "busy", "too much is being sent at once; please try again in a moment", _BUSY_S)
        spent_s = now() - begun
        if spent_s > _GRACE_S and read < limits.least_bytes_per_s * spent_s:
            raise _too_slow()
        yield part


def _check_length(headers: Mapping[str, str], most_bytes: int) -> None:
    stated = headers.get("content-length", "")
    if stated.isdecimal() and (len(stated) > 18 or int(stated) > most_bytes):
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> RefusedError:
    return RefusedError(413, "too_large", f"a request must have at most {most_bytes} bytes, got more")


def _too_slow() -> RefusedError:
    return RefusedError(408, "too_slow", "a request must come to its end in time, and this one did not")


def _measure(file: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while part := file.read(_CHUNK):
        digest.update(part)
        size += len(part)
    file.seek(0)
    return digest.hexdigest(), size
