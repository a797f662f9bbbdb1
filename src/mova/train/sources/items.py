"""A media file with its caption: a file of its own, or a member of a tar shard."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 2**20


@dataclass(frozen=True)
class MediaItem:
    """Where the bytes of a clip are.

    Attributes:
        key: its name in messages.
        path: of the file, or of the shard that holds it.
        caption: what the text encoder reads.
        offset, length: of the clip's bytes in a shard; None for a file of its own.
    """

    key: str
    path: Path
    caption: str
    offset: int | None = None
    length: int | None = None

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Give the clip a path for the time of the block; the decoder reads files only."""
        if self.offset is None:
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=Path(self.key).suffix or ".mp4") as file:
            for block in self._blocks():
                file.write(block)
            file.flush()
            yield Path(file.name)

    def sha256(self) -> str:
        """Return the SHA-256 of the clip's bytes.

        Raises:
            OSError: the file cannot be read.
        """
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    def _blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(self.offset or 0)
            left = self.length if self.length is not None else self.path.stat().st_size
            while left > 0 and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
