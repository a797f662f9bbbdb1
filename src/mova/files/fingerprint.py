"""Fingerprints of files that are too large to be read for a look."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

SAMPLE_BYTES: Final = 64 * 2**10
NUM_SAMPLES: Final = 64


class Digest(Protocol):
    """What hashlib's objects can do."""

    def update(self, data: bytes, /) -> None:
        """Take bytes in."""


def add_sampled(digest: Digest, file: Path, size_bytes: int) -> None:
    """Add the content of a file to a digest: all of it up to 4 MiB, else evenly spaced blocks.

    Of a larger file 64 blocks of 64 KiB count, the first and the last among them. Other weights differ in all blocks,
    and 70 GB are not read for a look. The size is left to the caller to add.

    Args:
        digest: of hashlib.
        file: to read.
        size_bytes: of the file.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        if size_bytes <= SAMPLE_BYTES * NUM_SAMPLES:
            digest.update(content.read())
            return
        for number in range(NUM_SAMPLES):
            content.seek((size_bytes - SAMPLE_BYTES) * number // (NUM_SAMPLES - 1))
            digest.update(content.read(SAMPLE_BYTES))
