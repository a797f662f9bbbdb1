"""Parquet tables of curation: the only place that knows pyarrow. All of them are read and written in pieces."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from mova.curate.folder import OutputFolder
from mova.curate.records import Caption, ClipRecord, State, WindowKind
from mova.errors import DataError, MissingExtraError
from mova.scorers.base import Score, Span

if TYPE_CHECKING:
    import pyarrow

    Table: TypeAlias = pyarrow.Table
    Batch: TypeAlias = pyarrow.RecordBatch
    Schema: TypeAlias = pyarrow.Schema
    ParquetFile: TypeAlias = pyarrow.parquet.ParquetFile
    Kind: TypeAlias = pyarrow.DataType

Column: TypeAlias = np.ndarray | list[object]
ROWS: Final = 16_384
"""Rows that are in memory at once, and of a row group."""
PARTS: Final = ("visual", "speech", "audio", "merged")
"""Captions of a clip, in the order of the fields of the column `captions`."""
_NAMES: Final = b"mova.scores"
_CAPTION: Final = ("text", "outcome", "model", "prompt_sha256", "tokens_in", "tokens_out")


def arrow() -> ModuleType:
    """Return pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "curate") from error
    module: ModuleType = pyarrow
    return module


def clip_types() -> dict[str, Kind]:
    """Return the columns of a clip's row that are there in every table, with their types."""
    pa = arrow()
    text, words = pa.string(), pa.list_(pa.string())
    spans = pa.list_(pa.struct([("start", pa.float64()), ("end", pa.float64())]))
    return {
        "clip_id": text,
        "source_id": text,
        "uri": text,
        "licence": text,
        "columns": pa.map_(text, text),
        "kind": text,
        "start_s": pa.float64(),
        "num_frames": pa.int32(),
        "cuts_s": pa.list_(pa.float64()),
        "speech": spans,
        "path": text,
        "absent": pa.map_(text, text),
        "tags": words,
        "spans": pa.map_(text, spans),
        "fingerprints": pa.map_(text, text),
        "texts": words,
        "marks": words,
        "state": text,
        "reasons": words,
    }


def caption_type() -> Kind:
    """Return the type of a caption."""
    pa = arrow()
    kinds = (pa.string(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64())
    return pa.struct(list(zip(_CAPTION, kinds, strict=True)))


def unit_schema() -> Schema:
    """Return the schema of a unit's table: the same for all units, whatever was measured."""
    pa = arrow()
    maps = {
        "scores": pa.map_(pa.string(), pa.float64()),
        "embeddings": pa.map_(pa.string(), pa.binary()),
        "captions": pa.map_(pa.string(), caption_type()),
    }
    return pa.schema(list((clip_types() | maps).items()))


def write_unit(folder: OutputFolder, path: Path, clips: Sequence[ClipRecord]) -> None:
    """Write the table of a unit, complete or not at all.

    Raises:
        OSError: it cannot be written.
    """
    pa = arrow()
    table = pa.Table.from_pylist([_row(clip) for clip in clips], unit_schema())
    with folder.replacing(path) as partial:
        pa.parquet.write_table(table, partial, compression="zstd")


def read_unit(path: Path) -> list[ClipRecord]:
    """Return the rows of a unit.

    Raises:
        DataError: the table is damaged or missing.
    """
    return [_record(row, None) for row in unit_table(path).to_pylist()]


def unit_table(path: Path) -> Table:
    """Return the table of a unit as pyarrow has it.

    Raises:
        DataError: it is damaged or missing.
    """
    with open_table(path) as file:
        return file.read(use_threads=False)


def open_table(path: Path) -> ParquetFile:
    """Return an open file of pyarrow, to be used in a `with` block.

    Raises:
        DataError: it is damaged or missing.
    """
    pa = arrow()
    try:
        # With buffers made in advance a file's row groups stay in memory until it is closed.
        return pa.parquet.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} must be a table of this run, and cannot be read: {error}") from error


def num_rows(path: Path) -> int:
    """Return the number of rows of a table.

    Raises:
        DataError: it is damaged or missing.
    """
    with open_table(path) as file:
        return int(file.metadata.num_rows)


def score_names(path: Path) -> list[str]:
    """Return the names of the columns that hold scores, in order.

    Raises:
        DataError: the table is damaged or missing.
    """
    with open_table(path) as file:
        return _names(file.schema_arrow)


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Column]:
    """Return columns of a table: numbers as numpy arrays with NaN where there is none, all else as lists.

    Args:
        path: of a table.
        names: of columns; a field inside of one is named with dots.

    Raises:
        DataError: the table is damaged or missing, or has no such column.
    """
    pa = arrow()
    with open_table(path) as file:
        if missing := [name for name in names if name.partition(".")[0] not in file.schema_arrow.names]:
            raise DataError(f"{path} must have the column {missing[0]!r}; it has {', '.join(file.schema_arrow.names)}")
        table = file.read(columns=list(names), use_threads=False)
    found: dict[str, Column] = {}
    for name in table.column_names:
        column = table.column(name)
        is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        found[name] = column.to_numpy() if is_number else column.to_pylist()
    return found


def iter_clips(path: Path) -> Iterator[ClipRecord]:
    """Yield the clips of a table of all clips, in its order, a piece of it in memory at a time.

    Raises:
        DataError: the table is damaged or missing.
    """
    with open_table(path) as file:
        names = _names(file.schema_arrow)
        for batch in file.iter_batches(ROWS // 8, use_threads=False):
            yield from clips_of(batch, names)


def clips_of(piece: Batch, names: Collection[str]) -> Iterator[ClipRecord]:
    """Yield the clips of a piece of a table of all clips.

    Args:
        piece: as `iter_batches` gives it, with all columns.
        names: of the scores, as `score_names` gives them.
    """
    for row in piece.to_pylist():
        yield _record(row, names)


def iter_batches(path: Path, columns: Sequence[str] | None = None, rows: int = ROWS) -> Iterator[Batch]:
    """Yield pieces of a table as pyarrow has them, in order.

    Raises:
        DataError: the table is damaged or missing.
    """
    with open_table(path) as file:
        yield from file.iter_batches(rows, columns=columns, use_threads=False)


class TableWriter:
    """Writes a table piece by piece; it takes its name when the block ends well.

    Args:
        folder: that it lies in.
        path: of the table.
        schema: of pyarrow.
    """

    def __init__(self, folder: OutputFolder, path: Path, schema: Schema) -> None:
        self._replacing = folder.replacing(path)
        self._schema = schema
        self._waiting: list[Any] = []
        self._rows = 0
        self._writer: Any = None

    def __enter__(self) -> TableWriter:
        self._writer = arrow().parquet.ParquetWriter(self._replacing.__enter__(), self._schema, compression="zstd")
        return self

    def __exit__(self, *problem: Any) -> None:
        if problem[0] is None:
            self._flush()
        with suppress(OSError) if problem[0] is not None else nullcontext():
            self._writer.close()
        self._replacing.__exit__(*problem)

    def add(self, table: Table) -> None:
        """Take rows, of the schema of the table."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(arrow().concat_tables(self._waiting), row_group_size=ROWS)
        self._waiting, self._rows = [], 0


def sort_table(folder: OutputFolder, path: Path, column: str) -> None:
    """Write a table anew in the order of a column; all of it is in memory for that, as columns.

    Raises:
        OSError: it cannot be written.
    """
    table = unit_table(path)
    with TableWriter(folder, path, table.schema) as writer:
        writer.add(table.sort_by([(column, "ascending")]))


def named_schema(schema: Schema, names: Sequence[str]) -> Schema:
    """Return a schema that says which of its columns are scores."""
    return schema.with_metadata({_NAMES: json.dumps(list(names)).encode()})


def _names(schema: Schema) -> list[str]:
    return list(json.loads((schema.metadata or {}).get(_NAMES, b"[]")))


def _row(clip: ClipRecord) -> dict[str, Any]:
    values = {name: score.value for name, score in clip.scores.items() if score.value is not None}
    absent = {name: score.reason for name, score in clip.scores.items() if score.value is None}
    return {
        **vars(clip),
        "kind": str(clip.kind),
        "state": str(clip.state),
        "columns": sorted(clip.columns.items()),
        "speech": _struct(clip.speech),
        "scores": sorted(values.items()),
        "absent": sorted(absent.items()),
        "spans": [(name, _struct(spans)) for name, spans in sorted(clip.spans.items())],
        "fingerprints": sorted(clip.fingerprints.items()),
        "embeddings": sorted(clip.embeddings.items()),
        "captions": [(name, vars(caption)) for name, caption in sorted(clip.captions.items())],
    }


def _struct(spans: Iterable[Span]) -> list[dict[str, float]]:
    return [{"start": start, "end": end} for start, end in spans]


def _record(row: Mapping[str, Any], names: Collection[str] | None) -> ClipRecord:
    """Return the record of a row: of a unit's table, or, with the names of the scores, of a table of all clips."""
    values = dict(row["scores"]) if names is None else {name: row[name] for name in names if row[name] is not None}
    scores = {name: Score(value) for name, value in values.items()}
    scores |= {name: Score(None, reason) for name, reason in row["absent"]}
    captions = row.get("captions") or []
    pairs = captions if isinstance(captions, list) else [(part, captions[part]) for part in PARTS if captions[part]]
    return ClipRecord(
        clip_id=row["clip_id"],
        source_id=row["source_id"],
        uri=row["uri"],
        kind=WindowKind(row["kind"]),
        start_s=row["start_s"],
        num_frames=row["num_frames"],
        licence=row["licence"],
        columns=dict(row["columns"]),
        cuts_s=tuple(row["cuts_s"]),
        speech=_spans(row["speech"]),
        path=row["path"],
        scores=scores,
        tags=tuple(row["tags"]),
        spans={name: _spans(spans) for name, spans in row["spans"]},
        fingerprints=dict(row["fingerprints"]),
        texts=tuple(row["texts"]),
        embeddings=dict(row.get("embeddings") or ()),
        captions={part: Caption(**caption) for part, caption in pairs},
        marks=tuple(row["marks"]),
        state=State(row["state"]),
        reasons=tuple(row["reasons"]),
    )


def _spans(rows: Iterable[Mapping[str, float]]) -> tuple[Span, ...]:
    return tuple((row["start"], row["end"]) for row in rows)
