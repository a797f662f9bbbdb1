"""Tables of all clips out of the tables of units: a piece at a time, whole columns at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State
from mova.curate.score.embeddings import SpaceWriter, from_halves
from mova.curate.source_table import iter_sources
from mova.curate.tables import (
    PARTS,
    ROWS,
    TableWriter,
    arrow,
    caption_type,
    clip_types,
    iter_batches,
    named_schema,
    score_names,
    unit_schema,
    unit_table,
)
from mova.curate.units import MOST_CLIPS, read_manifest, unit_of_clips, unit_of_source
from mova.errors import ConfigError

if TYPE_CHECKING:
    from mova.curate.tables import Schema, Table

DUPLICATE: Final = "duplicate_source"
"""How the reason of a source begins whose bytes are those of an earlier one."""
_END: Final = ("gates_not_applied", "stage")


def is_duplicate(source: SourceRecord) -> bool:
    """Say whether a source was set aside because another has the same bytes."""
    return any(reason.startswith(DUPLICATE) for reason in source.reasons)


def write_scored(folder: OutputFolder, cut: str, score: str, names: Sequence[str]) -> None:
    """Write the table of all clips as they are after they were scored, and their embeddings beside it.

    Args:
        folder: of the run.
        cut: name of the stage that made the clips.
        score: name of the stage that scored them.
        names: of all measures.

    Raises:
        ConfigError: a measure has the name of another column.
        OSError: the table cannot be written.
    """
    fixed = clip_types()
    if taken := sorted(set(names) & {*fixed, *_END, "captions", "scores"}):
        raise ConfigError(f"a measure must have a name of its own, and {taken[0]!r} is a column already")
    schema = _schema(fixed, names, ("stage",))
    path = folder.table(score)
    with TableWriter(folder, path, schema) as writer, SpaceWriter(folder, path) as spaces:
        for table in _large(_scored(folder, cut, score)):
            spaces.add(_embeddings(table.column("embeddings")), table.num_rows)
            writer.add(_spread(table, names).select(schema.names).cast(schema))


def write_captioned(folder: OutputFolder, caption: str, kept: Iterator[tuple[str, frozenset[str]]]) -> None:
    """Write the table of captions of all clips that are kept and have any.

    Args:
        folder: of the run.
        caption: name of the stage that made them.
        kept: ids of units, each with those of its clips that are kept, in the order of the clips.

    Raises:
        OSError: the table cannot be written.
    """
    pa = arrow()
    with TableWriter(folder, folder.table(caption), unit_schema()) as writer:
        for unit_id, clips in kept:
            if read_manifest(folder, caption, unit_id) is not None:
                table = unit_table(folder.rows(caption, unit_id))
                wanted = pa.compute.is_in(table.column("clip_id"), pa.array(sorted(clips), pa.string()))
                writer.add(table.filter(wanted))


def write_final(folder: OutputFolder, score: str, caption: str) -> int:
    """Write the table of all clips, out of what was scored, the verdicts and the captions.

    Returns:
        How many clips are kept and have no captions yet.

    Raises:
        OSError: the table cannot be written.
    """
    pa = arrow()
    names = score_names(folder.table(score))
    schema = _schema(clip_types(), names, ("captions", *_END))
    captions = _Captions(folder.table(caption))
    waiting = 0
    verdicts = iter_batches(folder.verdicts)
    with TableWriter(folder, folder.clips, schema) as writer:
        for batch in iter_batches(folder.table(score)):
            table = pa.Table.from_batches([batch])
            verdict = pa.Table.from_batches([next(verdicts)])
            if not verdict.column("clip_id").equals(table.column("clip_id")):
                raise AssertionError("verdicts must be in the order of the clips")
            for name in ("state", "reasons", "gates_not_applied"):
                table = _put(table, name, verdict.column(name))
            is_open = pa.compute.equal(table.column("stage"), score)
            table = _put(table, "stage", pa.compute.if_else(_decided(is_open, verdict), "verdicts", table["stage"]))
            is_kept = pa.compute.equal(verdict.column("state"), str(State.KEPT))
            table, with_captions = captions.join(table, is_kept, caption)
            waiting += (pa.compute.sum(is_kept).as_py() or 0) - with_captions
            writer.add(table.select(schema.names).cast(schema))
    captions.close()
    return waiting


def _decided(is_open: Any, verdict: Any) -> Any:
    """Say which clips the verdicts decided on: those that the stage before had kept."""
    pc = arrow().compute
    return pc.and_(is_open, pc.equal(verdict.column("is_open"), True))


def _schema(fixed: dict[str, Any], names: Sequence[str], more: Sequence[str]) -> Schema:
    """Return the schema of a table of all clips: what says of it stands first, then scores, then the verdict."""
    pa = arrow()
    kinds = {"stage": pa.string(), "gates_not_applied": pa.list_(pa.string())}
    kinds["captions"] = pa.struct([(part, caption_type()) for part in PARTS])
    columns: list[tuple[str, Any]] = []
    for name, kind in fixed.items():
        if name == "absent":
            columns += [(score, pa.float64()) for score in names]
        if name == "marks":
            columns += [(extra, kinds[extra]) for extra in more if extra == "captions"]
        columns.append((name, kind))
    columns += [(extra, kinds[extra]) for extra in more if extra != "captions"]
    return named_schema(pa.schema(columns), names)


def _scored(folder: OutputFolder, cut: str, score: str) -> Iterator[Any]:
    """Yield the rows of each source, in order."""
    pa = arrow()
    for source in iter_sources(folder.sources):
        unit_id = unit_of_source(source.uri)
        if is_duplicate(source) or not folder.manifest(cut, unit_id).exists():
            continue
        rows = unit_table(folder.rows(cut, unit_id))
        is_kept = pa.compute.equal(rows.column("state"), str(State.KEPT))
        count = pa.compute.sum(is_kept).as_py() or 0
        others = rows.filter(pa.compute.invert(is_kept))
        parts = [
            _put(unit_table(folder.rows(score, unit_of_clips(unit_id, number))), "stage", pa.scalar(score))
            for number in range(-(-count // MOST_CLIPS))
        ]
        if others.num_rows:
            parts.append(_put(others, "stage", pa.scalar(cut)))
        if parts:
            table = pa.concat_tables(parts, promote_options="default")
            yield table.sort_by([("start_s", "ascending")]) if others.num_rows else table


def _large(tables: Iterator[Any]) -> Iterator[Any]:
    """Yield tables joined to many rows each: what is done to columns costs the same for few rows as for many."""
    pa = arrow()
    some: list[Any] = []
    count = 0
    for table in tables:
        some.append(table)
        count += table.num_rows
        if count >= ROWS:
            yield pa.concat_tables(some, promote_options="default").combine_chunks()
            some, count = [], 0
    if some:
        yield pa.concat_tables(some, promote_options="default").combine_chunks()


def _spread(table: Any, names: Sequence[str]) -> Any:
    """Return a table with a column for each score in place of the map of them."""
    pc = arrow().compute
    scores = table.column("scores")
    for name in names:
        table = table.append_column(name, pc.map_lookup(scores, query_key=name, occurrence="first"))
    return table


def _embeddings(column: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, by space, the places of the rows that have a vector, and these vectors."""
    pc = arrow().compute
    found = {}
    for name in sorted({key for chunk in column.chunks for key in pc.unique(chunk.keys).to_pylist()}):
        vectors = pc.map_lookup(column, query_key=name, occurrence="first")
        places = np.flatnonzero(pc.is_valid(vectors).to_numpy())
        if len(places):
            found[name] = places, from_halves(vectors.drop_null().to_pylist())
    return found


def _put(table: Any, name: str, values: Any) -> Any:
    """Return a table with a column set: replaced where it is there, else added."""
    pa = arrow()
    if isinstance(values, pa.Scalar):
        values = pa.repeat(values, table.num_rows)
    index = table.schema.get_field_index(name)
    return table.append_column(name, values) if index < 0 else table.set_column(index, name, values)


class _Captions:
    """The table of captions, read along with that of all clips: it has some of its rows, in the same order.

    Args:
        path: of the table; it may not exist.
    """

    def __init__(self, path: Path) -> None:
        self._pieces = iter_batches(path) if path.exists() else iter(())
        self._rows: Any = unit_schema().empty_table()

    def close(self) -> None:
        """Let the file go."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def join(self, table: Table, is_kept: object, stage: str) -> tuple[Table, int]:
        """Return a piece of the table of all clips with its captions, and how many have any."""
        pa = arrow()
        pc = pa.compute
        ids = table.column("clip_id").combine_chunks()
        mine = self._take(ids)
        place = pc.if_else(is_kept, pc.index_in(ids, value_set=mine.column("clip_id").combine_chunks()), None)
        found = pc.is_valid(place)
        rows = mine.take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
        for name in ("marks", "state", "reasons"):
            table = _put(table, name, pc.if_else(found, rows.column(name), table.column(name)))
        captions = rows.column("captions").combine_chunks()
        parts = [pc.map_lookup(captions, query_key=part, occurrence="first") for part in PARTS]
        table = _put(table, "captions", pa.StructArray.from_arrays(parts, names=list(PARTS)))
        table = _put(table, "stage", pc.if_else(found, stage, table.column("stage")))
        return table, pc.sum(found).as_py() or 0

    def _take(self, ids: Any) -> Any:
        """Return the rows of these clips: the next ones, as far as they are among them."""
        pa = arrow()
        while True:
            is_mine = pa.compute.is_in(self._rows.column("clip_id"), ids)
            first = pa.compute.index(is_mine, False).as_py()
            if first >= 0:
                break
            piece = next(self._pieces, None)
            if piece is None:
                first = self._rows.num_rows
                break
            self._rows = pa.concat_tables([self._rows, pa.Table.from_batches([piece])])
        mine, self._rows = self._rows.slice(0, first), self._rows.slice(first)
        return mine
