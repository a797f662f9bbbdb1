"""Clips of sources that changed or left: files that no row names any more are removed."""

from __future__ import annotations

from mova.curate.folder import OutputFolder
from mova.curate.records import State
from mova.curate.source_table import iter_sources
from mova.curate.tables import read_columns
from mova.curate.units import unit_of_source


def sweep(folder: OutputFolder, cut: str) -> None:
    """Remove the files of clips that no row of stage 1 names, then the mark that asked for it.

    Args:
        folder: of the run; nothing else may write to it.
        cut: name of stage 1.

    Raises:
        OSError: a file cannot be removed.
    """
    named: set[bytes] = set()
    for source in iter_sources(folder.listing):
        unit_id = unit_of_source(source.uri)
        if folder.manifest(cut, unit_id).exists():
            columns = read_columns(folder.rows(cut, unit_id), ("path", "state"))
            for path, state in zip(columns["path"], columns["state"], strict=True):
                if path and state == str(State.KEPT):
                    named.add(path.encode())
    for path in sorted(folder.media.rglob("*")) if folder.media.is_dir() else ():
        if path.is_file() and path.relative_to(folder.root).as_posix().encode() not in named:
            path.unlink()
    folder.sweep.unlink()
