"""How much memory the processes that score take together, before they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.errors import MediaError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan
from mova.media.probe import probe

_LIBRARIES_BYTES: Final = 750_000_000
"""A process with all libraries and the small networks of packages in it (measured, at 128x128)."""
_COPIES: Final = 3
"""Of the frames of a clip that are held at a time: as decoded, smaller, as numbers. At 1280x720 and 193 frames it
bounds what was measured: 1.4 GB without weights, and 3.6 GB with networks whose files have about 1.7 GB."""
_LOOKED_AT: Final = 16
"""Clips whose sizes are read."""


@dataclass(frozen=True)
class WorkersMemory:
    """Memory of processes that score.

    Attributes:
        workers: number of processes.
        weights_bytes: of the files of weights that each of them opens; where a file can be mapped they share it.
        clip_bytes: of the largest clip that was looked at, as it is held.
        free_bytes: of the host.
    """

    workers: int
    weights_bytes: int
    clip_bytes: int
    free_bytes: int

    @property
    def each_bytes(self) -> int:
        """What a process takes at most."""
        return _LIBRARIES_BYTES + self.weights_bytes + self.clip_bytes

    def text(self) -> str:
        """Return it as a sentence, with the number of processes that would fit where these do not."""
        together = self.workers * self.each_bytes
        said = (
            f"{self.workers} processes take up to {together / 1e9:.1f} GB, {self.each_bytes / 1e9:.1f} GB each with "
            f"{self.weights_bytes / 1e9:.1f} GB of weights; {self.free_bytes / 1e9:.1f} GB are free"
        )
        if together <= self.free_bytes:
            return said
        return f"{said}: --workers {max(1, self.free_bytes // self.each_bytes)} is safe"


def workers_memory(plan: MeasurePlan, clips: Sequence[ClipItem], workers: int) -> WorkersMemory:
    """Return what processes will take.

    Args:
        plan: scorers.
        clips: of which some are looked at.
        workers: number of processes.
    """
    from mova.plan.free import free_host_bytes

    folder, transcriber = plan.settings.weights, plan.settings.transcriber
    files = [] if folder is None else [folder / name for name in plan.weights_sha256]
    if transcriber is not None and transcriber.folder is not None:
        files += [path for path in transcriber.folder.iterdir() if path.is_file()]
    paths = [item.path for item in clips if item.path is not None]
    step = max(1, len(paths) // _LOOKED_AT)
    largest = max((_frame_bytes(path) for path in paths[::step]), default=0)
    weights = sum(path.stat().st_size for path in files)
    return WorkersMemory(workers, weights, _COPIES * largest, free_host_bytes())


def _frame_bytes(path: Path) -> int:
    """Return the size of all frames of a file; 0 where it is none, which its measures will say."""
    try:
        video = probe(path).video
    except MediaError:
        return 0
    height, width = video.display_size
    return 3 * height * width * (video.num_frames or 0)
