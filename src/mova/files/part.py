"""A run of a file's bytes that is read as if it were a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FilePart:
    """Bytes `begin` up to `end` of a file; as a path it stands for the whole file.

    Attributes:
        path: of the file.
        begin, end: of the bytes.
        form: name of their format, where their beginning does not tell it; "" where it does.
    """

    path: Path
    begin: int
    end: int
    form: str = ""

    def __fspath__(self) -> str:
        """Return the path of the whole file."""
        return str(self.path)

    def __str__(self) -> str:
        """Name the file and the bytes."""
        return f"{self.path} (bytes {self.begin} to {self.end})"
