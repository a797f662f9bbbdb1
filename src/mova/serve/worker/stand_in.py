"""Stands in for a model in tests and measurements: takes a fixed time for each step and gives the same clip each time.

Only whoever starts a worker in a test names it; no request and no setting of a server does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from mova.errors import StoppedError
from mova.generate.session import SAMPLING, WRITING
from mova.media.write import write_clip
from mova.serve.jobs.records import ClipOrder
from mova.serve.settings import ServeSettings
from mova.serve.worker.generator import Made, Task, Watch
from mova.serve.worker.images import spritesheet, thumbnail, waveform
from mova.types import Clip

_SAMPLE_RATE: Final = 48_000
_SIZE, _NUM_FRAMES, _FRAME_RATE = (32, 32), 5, 24.0


class StandIn:
    """A generator of fixed time.

    Args:
        step_s: seconds of a step.
        steps: of a clip.
    """

    def __init__(self, step_s: float = 0.1, steps: int = 10) -> None:
        self._step_s, self._steps = step_s, steps

    def load(self, on_progress: Callable[[str, int, int], None]) -> Mapping[str, object]:
        """Load nothing."""
        on_progress("loading", 1, 1)
        return {"device": "none"}

    def check_health(self) -> None:
        """Compute nothing."""

    def most_together(self, order: ClipOrder) -> int:
        """Return a number that is more than is asked for."""
        del order
        return 64

    def make(self, tasks: Sequence[Task], watch: Watch) -> Sequence[Made]:
        """Wait for each step, then write a clip whose brightness is that of the seed."""
        first = 0 if watch.resume_from is None else int(json.loads(watch.resume_from)["done"])
        for done in range(first, self._steps + 1):
            watch.on_progress(SAMPLING, done, self._steps)
            if done == self._steps:
                break
            if watch.is_stopped():
                self._save(watch, done)
                raise StoppedError(done, self._steps)
            if done > first and done % watch.every == 0:
                self._save(watch, done)
            time.sleep(self._step_s)
        watch.on_progress(WRITING, 0, 1)
        return [self._write(task) for task in tasks]

    @staticmethod
    def _save(watch: Watch, done: int) -> None:
        if watch.save_state is not None:
            watch.save_state(json.dumps({"done": done}).encode())

    @staticmethod
    def _write(task: Task) -> Made:
        frames = np.full((_NUM_FRAMES, *_SIZE, 3), 16 + task.order.seed % 200, np.uint8)
        samples = round(_NUM_FRAMES / _FRAME_RATE * _SAMPLE_RATE)
        sound = 0.1 * np.sin(np.arange(samples, dtype=np.float32) / 20)[None]
        write_clip(
            task.output,
            Clip(frames, sound.astype(np.float32), _FRAME_RATE, _SAMPLE_RATE),
            metadata={"prompt": task.order.prompt, "seed": task.order.seed},
            preset="ultrafast",
        )
        return Made({"seed": task.order.seed}, thumbnail(frames), waveform(sound), spritesheet(frames))


def make_stand_in(settings: ServeSettings, options: Mapping[str, float]) -> StandIn:
    """Return one with these options: `step_s`, `steps`."""
    del settings
    return StandIn(float(options.get("step_s", 0.1)), int(options.get("steps", 10)))
