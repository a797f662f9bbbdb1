"""The clips that are exported, out of the final table, a piece of it in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.curate.records import State
from mova.errors import DataError
from mova.files.inside import check_inside

if TYPE_CHECKING:
    from pyarrow import RecordBatch

COLUMNS: Final = (
    *("clip_id", "uri", "licence", "columns", "kind", "start_s", "num_frames", "path", "tags", "marks", "captions"),
    "state",
)
"""Columns of the final table that an export reads."""
_PARTS: Final = ("visual", "speech", "audio")
# What some readers of captions take for the end of a text, or refuse.
_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class KeptClip:
    """A clip that is exported.

    Attributes:
        key: its id.
        media: its file.
        size_bytes: of the file.
        caption: never blank.
        facts: where it comes from, as JSON values.
    """

    key: str
    media: Path
    size_bytes: int
    caption: str
    facts: Mapping[str, object]


@dataclass
class KeptClips:
    """Clips that are kept and have a caption, in the order of the table; they may be gone through several times.

    Attributes:
        root: output folder of the run.
        batches: gives the rows of the final table, with the columns `COLUMNS`.
        without_caption: kept clips that have none, as counted the last time.
    """

    root: Path
    batches: Callable[[], Iterator[RecordBatch]]
    without_caption: int = 0

    def __iter__(self) -> Iterator[KeptClip]:
        """Yield them.

        Raises:
            DataError: the file of a clip is not there, or lies elsewhere.
        """
        self.without_caption = 0
        for batch in self.batches():
            states = batch.column("state").to_pylist()
            for place, state in enumerate(states):
                if state != State.KEPT:
                    continue
                row = batch.slice(place, 1).select(COLUMNS).to_pylist()[0]
                caption = caption_of(row["captions"] or {})
                if not caption:
                    self.without_caption += 1
                    continue
                yield self._clip(row, caption)

    def _clip(self, row: Mapping[str, object], caption: str) -> KeptClip:
        media = self.root / str(row["path"])
        check_inside(media, self.root, error=DataError)
        try:
            size = media.stat().st_size
        except OSError as problem:
            raise DataError(
                f"the clip {row['clip_id']} must be in {media}, and cannot be read there: {problem.strerror}; run "
                "`mova curate` again, or take away the clip's rows with its source"
            ) from problem
        columns = {str(name): clean_text(str(value)) for name, value in row["columns"] or ()}  # type: ignore[attr-defined]
        facts = {
            "source": clean_text(str(row["uri"])),
            "start_s": row["start_s"],
            "num_frames": row["num_frames"],
            "kind": row["kind"],
            "licence": clean_text(str(row["licence"] or "")),
            "tags": row["tags"] or [],
            "marks": row["marks"] or [],
            **({"columns": columns} if columns else {}),
        }
        return KeptClip(str(row["clip_id"]), media, size, caption, facts)


def caption_of(captions: Mapping[str, Mapping[str, object] | None]) -> str:
    """Return the caption of a clip: the merged one, or its parts one after the other; "" where it has none.

    Args:
        captions: rows of captions by part.
    """
    merged = _text(captions.get("merged"))
    return merged or " ".join(text for part in _PARTS if (text := _text(captions.get(part))))


def clean_text(text: str) -> str:
    """Return a text without characters that no text has; those between words become blanks."""
    return _UNREADABLE.sub(" ", text).strip()


def _text(caption: Mapping[str, object] | None) -> str:
    return clean_text(str(caption["text"] or "")) if caption else ""
