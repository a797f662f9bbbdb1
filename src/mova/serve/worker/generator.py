"""What a worker asks of whatever makes the clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mova.serve.jobs.records import ClipOrder

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Task:
    """A clip to be made.

    Attributes:
        id: of the job.
        order: what is asked for.
        inputs: files, by the names of the order.
        output: .mp4 file to write.
    """

    id: str
    order: ClipOrder
    inputs: Mapping[str, Path]
    output: Path


@dataclass(frozen=True)
class Made:
    """A clip that was made; its file is there.

    Attributes:
        facts: JSON values: metadata of the file, seconds of computation, peak of memory.
        thumbnail: one frame as a JPEG file.
        waveform: the audio's outline as a PNG file.
        spritesheet: frames of the clip on one sheet as a JPEG file.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    thumbnail: bytes = b""
    waveform: bytes = b""
    spritesheet: bytes = b""


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Watch:
    """Who looks at a run, and may end it.

    Attributes:
        on_progress: called with (stage, done, total) whenever a stage has moved.
        on_preview: called with the place of a task and what makes its frames so far, (F, H, W, 3) uint8, for whoever
            wants to see them now.
        is_stopped: asked between steps; once it says so, the run ends with a `StoppedError`.
        resume_from: state to go on from; None begins anew.
        save_state: given the state of the run every `every` steps, and where it is stopped; None keeps none.
        every: steps between two states.
    """

    on_progress: Callable[[str, int, int], None] = _nothing
    on_preview: Callable[[int, Callable[[], np.ndarray]], None] = _nothing
    is_stopped: Callable[[], bool] = lambda: False
    resume_from: bytes | None = None
    save_state: Callable[[bytes], None] | None = None
    every: int = 5


class Generator(Protocol):
    """Makes clips with one model."""

    def load(self, on_progress: Callable[[str, int, int], None]) -> Mapping[str, object]:
        """Load the model; return facts such as its device.

        Raises:
            MovaError: it cannot be loaded.
        """

    def check_health(self) -> None:
        """Compute something tiny.

        Raises:
            Exception: the device or the model is no longer usable.
        """

    def most_together(self, order: ClipOrder) -> int:
        """Return how many clips like this one run makes."""

    def make(self, tasks: Sequence[Task], watch: Watch) -> Sequence[Made]:
        """Make clips in one run; several only where their orders have the same `batch_key`.

        Raises:
            StoppedError: the watch asked for it.
            StateError: the watch's state is of another run; nothing was computed.
            Exception: anything else is a fault of these clips, or of the device.
        """
