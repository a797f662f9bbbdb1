"""An export: the list, the shards and the latents that a recipe asks for, each complete or as it was before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mova.curate.config.export import ExportSection
from mova.curate.export.kept import COLUMNS, KeptClips
from mova.curate.export.latents import cache_latents
from mova.curate.export.metadata import write_metadata
from mova.curate.export.shards import plan_shards, write_shards
from mova.curate.folder import OutputFolder
from mova.curate.tables import iter_batches
from mova.errors import DataError
from mova.files.lock import lock_folder

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportSummary:
    """What an export holds.

    Attributes:
        folder: of the export.
        num_clips: clips in it.
        without_caption: clips that are kept and are not in it.
        metadata: the list; None where it was not asked for.
        shards: folder of the shards; None where they were not asked for.
        num_shards: how many there are.
        num_encoded: clips in the cache of latents; None where it was not asked for.
        cache: folder of that cache.
    """

    folder: Path
    num_clips: int
    without_caption: int = 0
    metadata: Path | None = None
    shards: Path | None = None
    num_shards: int = 0
    num_encoded: int | None = None
    cache: Path | None = None


def export_clips(
    root: Path,
    export: ExportSection,
    on_progress: Callable[[str, int, int], None] | None = None,
    *,
    with_latents: bool = True,
) -> ExportSummary:
    """Write out the clips of a run that are kept; what is there already is not written again.

    Where no clip is kept the export is an empty one: nobody trains on what an earlier run kept.

    Args:
        root: output folder of the run.
        export: what to write.
        on_progress: called with what is done ("shards", "latents"), how many of it, and of how many.
        with_latents: whether latents are encoded where the section asks for them.

    Raises:
        DataError: there is no final table, a clip's file is missing, or the disk is full.
        ConfigError: another process writes the same export.
    """
    folder = OutputFolder(root)
    if not folder.clips.is_file():
        raise DataError(f"{root} must hold the table of a finished run, clips.parquet, and has none; run `mova curate`")
    target = export.folder or root / "export"
    clips = KeptClips(root, lambda: iter_batches(folder.clips, COLUMNS))

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if on_progress is None else lambda done, of: on_progress(what, done, of)

    with lock_folder(target, "export", error=DataError):
        try:
            plans = plan_shards(clips, export.shard_mb * 1e6)
            count, without = sum(plan.num_clips for plan in plans), clips.without_caption
            if not count:
                _LOG.warning("the export is empty: %d clips are kept, none with a caption", without)
            elif without:
                _LOG.warning("%d clips are kept and have no caption; they are not exported", without)
            metadata = shards = None
            if export.metadata:
                metadata = target / "metadata.json"
                write_metadata(metadata, clips, absolute_paths=export.absolute_paths)
            if export.shards:
                shards = target / "shards"
                write_shards(shards, clips, plans, tell("shards"))
        except OSError as problem:
            raise DataError(
                f"the export {target} must be writable and have room: {problem}; run the same command again"
            ) from problem
        encoded = cache = None
        if export.latents is not None and shards is not None and count and with_latents:
            cache = export.latents.cache or target / "latents"
            encoded = cache_latents(export.latents, shards, cache, tell("latents"))
    return ExportSummary(
        target, count, without, metadata, shards, len(plans) if shards is not None else 0, encoded, cache
    )
