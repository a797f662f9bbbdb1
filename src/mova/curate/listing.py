"""Which sources a run takes: the list as it is now, what changed or left since the last run, and a sample of it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State
from mova.curate.source_table import iter_sources, write_sources
from mova.curate.tables import num_rows, sort_table
from mova.curate.units import digest_of, unit_of_source
from mova.errors import DataError
from mova.files.json_file import shorten


def take_list(folder: OutputFolder, sources: Iterable[SourceRecord], stages: Sequence[str], limit: int | None) -> Path:
    """Write the list of sources and choose those that the run takes.

    The rows of sources that changed or left since the last run are forgotten, and their clips marked for removal.

    Args:
        folder: of the run.
        sources: all that the recipe names, in whatever order.
        stages: names of the stages, whose rows are forgotten.
        limit: take at most so many: those whose ids come first, so that a larger sample holds a smaller one.

    Returns:
        The table of the chosen sources, in the order of their `uri`.

    Raises:
        DataError: there is no source.
        OSError: the folder cannot be written.
    """
    following = folder.root / "list.next.parquet"
    write_sources(folder, following, ((_named(source), 0) for source in sources))
    sort_table(folder, following, "uri")
    try:
        _check_list(following)
    except DataError:
        following.unlink()
        raise
    if folder.listing.exists():
        for uri in _gone(iter_sources(folder.listing), iter_sources(following)):
            # Before anything is forgotten: a run that is killed here still has to remove the clips.
            folder.sweep.touch()
            for stage in stages:
                folder.forget(stage, unit_of_source(uri))
    following.replace(folder.listing)
    if limit is None or limit >= num_rows(folder.listing):
        folder.sample.unlink(missing_ok=True)
        return folder.listing
    chosen = heapq.nsmallest(limit, iter_sources(folder.listing), key=lambda source: unit_of_source(source.uri))
    write_sources(folder, folder.sample, ((source, 0) for source in sorted(chosen, key=lambda source: source.uri)))
    return folder.sample


def listed_digest(source: SourceRecord) -> str:
    """Return a digest of what the list says of a source."""
    return digest_of(source.uri, source.size_bytes, source.version, source.licence, sorted(source.columns.items()))


def _named(source: SourceRecord) -> SourceRecord:
    """Return a source with a name that a table can hold; one whose file has another has failed with the reason."""
    try:
        source.uri.encode()
    except UnicodeEncodeError:
        uri = source.uri.encode("utf-8", "backslashreplace").decode()
        reason = "storage: the name of the file is no UTF-8; give it another one"
        return replace(source, uri=uri, state=State.FAILED, reasons=(reason,))
    return source


def _check_list(table: Path) -> None:
    if not num_rows(table):
        raise DataError("there must be at least one source to cut, and the recipe's source has none")
    last: str | None = None
    for source in iter_sources(table):
        if source.uri == last:
            raise DataError(f"each source must be listed once, got {shorten(source.uri)} twice")
        last = source.uri


def _gone(former: Iterator[SourceRecord], now: Iterator[SourceRecord]) -> Iterator[str]:
    """Yield each `uri` of a former list that the list of now lacks or describes otherwise; both are in order."""
    current = next(now, None)
    for source in former:
        while current is not None and current.uri < source.uri:
            current = next(now, None)
        if current is None or current.uri != source.uri or listed_digest(current) != listed_digest(source):
            yield source.uri
