"""stdout and stderr that fail no command whose work is done: closed ones, broken pipes, letters an encoding lacks."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

_ANY_TEXT = "mova-any-text"
_BYTES_AS_LETTERS = range(0xDC80, 0xDD00)


class TolerantStream:
    """A text stream that goes on where the one it stands for would raise.

    A letter that the encoding lacks is written as an escape; bytes of a file name that are no text are written as they
    are. When the reader has gone (`mova plan | head`), the rest is dropped.

    Args:
        stream: what is written to.
        drops_all: drop what cannot be written for any reason (stderr), not only where the reader has gone.

    Attributes:
        is_broken: whether anything was dropped.
    """

    def __init__(self, stream: TextIO, *, drops_all: bool) -> None:
        self._stream = stream
        self._dropped: tuple[type[BaseException], ...] = (OSError, ValueError) if drops_all else (BrokenPipeError,)
        self.is_broken = False

    def write(self, text: str) -> int:
        """Write as much as can be; return the length of the text."""
        if not self.is_broken:
            try:
                self._write(text)
            except self._dropped:
                self._break()
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, unless nobody reads any more."""
        if not self.is_broken:
            try:
                self._stream.flush()
            except self._dropped:
                self._break()

    def __getattr__(self, name: str) -> Any:
        """Be like the stream in everything else."""
        return getattr(self._stream, name)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            data = text.encode(encoding, _ANY_TEXT)
            buffer = getattr(self._stream, "buffer", None)
            if buffer is None:
                self._stream.write(data.decode(encoding, "replace"))
                return
            self._stream.flush()
            buffer.write(data)

    def _break(self) -> None:
        """Let what is still buffered go nowhere: it would fail again when the interpreter ends."""
        self.is_broken = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Replace stdout and stderr by tolerant ones while the block runs."""
    occupy_closed()
    codecs.register_error(_ANY_TEXT, _escape)
    former = sys.stdout, sys.stderr
    own = [_tolerant(stream, drops_all=stream is former[1]) for stream in former]
    sys.stdout, sys.stderr = own
    try:
        yield
    finally:
        for stream in own:
            # What is left in a buffer must meet its error here and not after the exit code is settled.
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = former


def is_stdout_broken() -> bool:
    """Say whether the reader of stdout had gone before everything was printed."""
    return bool(getattr(sys.stdout, "is_broken", sys.stdout is None))


def occupy_closed() -> None:
    """Open stdin, stdout and stderr on nothing where they are closed: else the next file takes their number.

    A library that then writes a warning to stderr would write it into a clip.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)


def _tolerant(stream: TextIO | None, *, drops_all: bool) -> TextIO:
    if stream is None or isinstance(stream, TolerantStream):
        return cast("TextIO", stream)
    return cast("TextIO", TolerantStream(stream, drops_all=drops_all))


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    parts = error.object[error.start : error.end]
    if error.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return "".join(map(_as_escape, parts)), error.end
    return b"".join(_as_bytes(letter) for letter in parts), error.end


def _as_bytes(letter: str) -> bytes:
    number = ord(letter)
    return bytes([number - 0xDC00]) if number in _BYTES_AS_LETTERS else _as_escape(letter).encode("ascii")


def _as_escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")
