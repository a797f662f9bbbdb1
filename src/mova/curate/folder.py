"""The output folder of curation: where everything lies, and how a file of it comes to be, complete or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC, EROFS
from pathlib import Path
from typing import Final

from mova.errors import ConfigError, DataError
from mova.files.lock import LOCK_FILE
from mova.files.unfinished import unfinished

_FULL: Final = (ENOSPC, EDQUOT, EROFS)
_UNITS: Final = "units"
_WRITTEN: Final = (
    *("clips", "export", "tmp"),
    *("sources.parquet", "verdicts.parquet", "clips.parquet", "summary.json", "report.html"),
)


@dataclass(frozen=True)
class OutputFolder:
    """Paths inside an output folder.

    Attributes:
        root: the folder itself.
    """

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe, as JSON."""
        return self.root / "recipe.json"

    @property
    def listing(self) -> Path:
        """Table of the sources as they were listed."""
        return self.root / "list.parquet"

    @property
    def sample(self) -> Path:
        """Table of those that a run takes; the same as the listing without `--limit`."""
        return self.root / "sample.parquet"

    @property
    def sweep(self) -> Path:
        """Mark that sources changed or left, and that their clips have yet to be removed."""
        return self.root / "sweep"

    @property
    def sources(self) -> Path:
        """Table of the sources with what became of them."""
        return self.root / "sources.parquet"

    @property
    def verdicts(self) -> Path:
        """Table of verdicts, a row for each clip."""
        return self.root / "verdicts.parquet"

    @property
    def clips(self) -> Path:
        """The final table, a row for each clip."""
        return self.root / "clips.parquet"

    @property
    def summary(self) -> Path:
        """Counts of every stage, as JSON."""
        return self.root / "summary.json"

    @property
    def temporary(self) -> Path:
        """Folder for files that are being written; emptied when a run begins."""
        return self.root / "tmp"

    @property
    def media(self) -> Path:
        """Folder of the clips' files."""
        return self.root / "clips"

    def table(self, stage: str) -> Path:
        """Return the table of all rows of a stage."""
        return self.root / stage / "clips.parquet"

    def rows(self, stage: str, unit_id: str) -> Path:
        """Return the table of a unit."""
        return self.root / stage / _UNITS / unit_id[:2] / f"{unit_id}.parquet"

    def manifest(self, stage: str, unit_id: str) -> Path:
        """Return the file that says that a unit is complete."""
        return self.root / stage / _UNITS / unit_id[:2] / f"{unit_id}.json"

    def forget(self, stage: str, unit_id: str) -> None:
        """Remove the rows of a source's units in a stage, the mark of their completeness first."""
        folder = self.root / stage / _UNITS / unit_id[:2]
        for pattern in (f"{unit_id}*.json", f"{unit_id}*.parquet"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)

    def check_own(self) -> None:
        """See that nothing is there that a run would write over or remove and that no run has made.

        Raises:
            ConfigError: there is; the text names it.
        """
        if self.recipe.exists():
            return
        # A run that ended at once has left its lock, and may have begun to write.
        begun = {"tmp"} if (self.root / LOCK_FILE).exists() else set()
        for name in _WRITTEN:
            if name not in begun and os.path.lexists(self.root / name):
                raise ConfigError(
                    f"output.folder must be a new folder, an empty one, or that of an earlier run; {self.root} has "
                    f"{name!r} and no recipe.json of a run. Choose another folder"
                )

    def prepare(self) -> None:
        """Make the folder ready for a run: what a killed one was writing is gone.

        Raises:
            OSError: it cannot be written.
        """
        if self.temporary.is_symlink():
            self.temporary.unlink()
        elif self.temporary.is_dir():
            shutil.rmtree(self.temporary)
        self.temporary.mkdir(parents=True)

    @contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """Give the path of a file to write that takes the name `path` at the end of the block, and is then on the disk.

        Raises:
            OSError: it cannot be written; what was there before stays.
        """
        self.temporary.mkdir(parents=True, exist_ok=True)
        with unfinished(self.temporary / f"{secrets.token_hex(8)}-{path.name}") as partial:
            yield partial
            _to_disk(partial)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(path)
            _to_disk(path.parent)

    def write_json(self, path: Path, value: Mapping[str, object]) -> None:
        """Write an object as JSON, complete or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with self.replacing(path) as partial:
            partial.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")

    def is_at_fault(self, error: OSError) -> bool:
        """Say whether an error comes of this folder, and not of where a source is read from."""
        if error.errno in _FULL:
            return True
        names = [name for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
        return any(Path(name).absolute().is_relative_to(self.root.absolute()) for name in names)

    @contextmanager
    def must_hold(self) -> Iterator[None]:
        """Turn errors of writing in the block into one that says what to do.

        Raises:
            DataError: the folder is full or cannot be written; what is complete stays.
        """
        try:
            yield
        except OSError as error:
            if not self.is_at_fault(error):
                raise
            raise DataError(
                f"the output folder {self.root} must be writable and have room: {error}; what is done stays, so make "
                "room and run the same command again"
            ) from error


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Folders cannot be brought to the disk everywhere; files can.
        with suppress(OSError) if path.is_dir() else _nothing():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
