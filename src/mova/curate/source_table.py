"""Table of sources: what the list says of each, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State
from mova.curate.tables import ROWS, TableWriter, arrow, check_columns, iter_batches, reading

if TYPE_CHECKING:
    from mova.curate.tables import Schema


def source_schema() -> Schema:
    """Return the schema of a table of sources."""
    pa = arrow()
    text = pa.string()
    return pa.schema(
        [
            ("source_id", text),
            ("uri", text),
            ("sha256", text),
            ("size_bytes", pa.int64()),
            ("licence", text),
            ("columns", pa.map_(text, text)),
            ("duration_s", pa.float64()),
            ("version", text),
            ("num_clips", pa.int32()),
            ("state", text),
            ("reasons", pa.list_(text)),
        ]
    )


def write_sources(folder: OutputFolder, path: Path, sources: Iterable[tuple[SourceRecord, int]]) -> None:
    """Write a table of sources, complete or not at all.

    Args:
        folder: that it lies in.
        path: of the table.
        sources: each with the number of its clips that go on.

    Raises:
        OSError: it cannot be written.
    """
    schema = source_schema()
    pa = arrow()
    with TableWriter(folder, path, schema) as writer:
        for some in _some(sources, ROWS // 8):
            rows = [{**_source_row(source), "num_clips": count} for source, count in some]
            writer.add(pa.Table.from_pylist(rows, schema))


def iter_sources(path: Path) -> Iterator[SourceRecord]:
    """Yield the sources of a table, in its order.

    Raises:
        DataError: the table is damaged or missing.
    """
    for batch in iter_batches(path, rows=ROWS // 8):
        check_columns(path, batch.schema, source_schema())
        with reading(path):
            records = [_source_of(row) for row in batch.to_pylist()]
        yield from records


def _source_of(row: Mapping[str, Any]) -> SourceRecord:
    return SourceRecord(
        row["source_id"],
        row["uri"],
        row["sha256"],
        row["size_bytes"],
        licence=row["licence"],
        columns=dict(row["columns"]),
        duration_s=row["duration_s"],
        state=State(row["state"]),
        reasons=tuple(row["reasons"]),
        version=row["version"],
    )


def _some(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    some: list[Any] = []
    for item in items:
        some.append(item)
        if len(some) == count:
            yield some
            some = []
    if some:
        yield some


def _source_row(source: SourceRecord) -> dict[str, Any]:
    return {
        **vars(source),
        "columns": sorted(source.columns.items()),
        "state": str(source.state),
        "reasons": list(source.reasons),
    }
