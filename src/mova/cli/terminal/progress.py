"""Bars on stderr, with the time left: for jobs that count what they have done, and for the stages of clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from mova.cli.terminal.process import stop_if_asked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

# Where stderr is no terminal, a line this often says how far the work is.
_LINE_EVERY_S = 10.0


@contextmanager
def counting_bar(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left while the block runs; calling the value moves it by one."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        lines, done = _Lines(console), 0
        lines.say(description, 0, total)

        def count() -> None:
            nonlocal done
            stop_if_asked()
            done += 1
            lines.say(description, done, total)

        yield count
        return

    with _bars(console, "{task.description}", MofNCompleteColumn()) as progress:
        task = progress.add_task(description, total=total)

        def advance() -> None:
            stop_if_asked()
            progress.advance(task)

        yield advance


def _bars(
    console: Console, description: str, *counts: ProgressColumn, text: str = "", transient: bool = True
) -> Progress:
    """Return bars with the time spent and the time left; none where there is no terminal.

    Args:
        console: that they are shown on.
        description: what stands before a bar.
        counts: what stands after it.
        text: what stands at the end.
        transient: whether they vanish when they are done.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn(description), BarColumn(), *counts, *times, *([TextColumn(text)] if text else []))
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)


class _Lines:
    """Lines in place of a bar, now and then, where stderr is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_s = time.monotonic()
        self._stage, self._extent = "", 0
        self._begun_s, self._begun_at = 0.0, 0

    def say(self, stage: str, done: int, total: int) -> None:
        """Write how far a stage is, unless it was said a short while ago."""
        now = time.monotonic()
        if (stage, total) != (self._stage, self._extent):
            # What came before the extent was known, such as imports, says nothing of the time that is left.
            self._stage, self._extent, self._begun_s, self._begun_at = stage, total, now, done
        if now - self._said_s < _LINE_EVERY_S or done >= total:
            return
        self._said_s = now
        moved, left = done - self._begun_at, ""
        if moved > 0:
            left = f", about {max(1.0, (now - self._begun_s) / moved * (total - done)):.0f} s left"
        self._console.print(f"{stage}: {100 * done // total} %{left}", highlight=False)


class StageBar:
    """One line on stderr for each stage of a clip: how far it is, time spent and time left.

    Args:
        num_clips: that are made; of several the line says which it is.
    """

    def __init__(self, num_clips: int = 1) -> None:
        from rich.console import Console
        from rich.progress import TaskProgressColumn, TextColumn

        self._console = Console(stderr=True)
        counts = TaskProgressColumn(), TextColumn("{task.fields[steps]}")
        self._progress = _bars(self._console, "{task.description:9}", *counts)
        self._lines = _Lines(self._console)
        self._num_clips, self._clip = num_clips, 1
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Move the bar; a new stage ends the one before. A stage whose extent is not known yet (0 of 1) pulses."""
        stop_if_asked()
        if not self._console.is_terminal:
            self._lines.say(self._words(stage), done, total)
            return
        extent = None if (done, total) == (0, 1) else total
        if stage not in self._tasks:
            for earlier in self._progress.tasks:
                self._progress.update(earlier.id, completed=earlier.total or 1, total=earlier.total or 1)
            self._tasks[stage] = self._progress.add_task(self._words(stage), total=extent, steps="")
        # Only steps are what people count in; megabytes and latent frames are for the bar.
        steps = f"{done}/{total}" if stage == "sampling" else ""
        self._progress.update(self._tasks[stage], completed=done, total=extent, steps=steps)

    def _words(self, stage: str) -> str:
        return f"clip {self._clip} of {self._num_clips}: {stage}" if self._num_clips > 1 else stage

    def next_clip(self) -> None:
        """Begin with the bars of the next clip."""
        self._clip += 1
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()


class TextBars:
    """One bar per stage on stderr: steps, time spent and left, and a text; lines where stderr is no terminal.

    Args:
        says_left: whether lines tell the time that is left, as bars do.
    """

    def __init__(self, *, says_left: bool = False) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn

        self._console = Console(stderr=True)
        self._progress = _bars(
            self._console, "{task.description}", MofNCompleteColumn(), text="{task.fields[values]}", transient=False
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._says_left = says_left
        self._begun: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int, text: str = "") -> None:
        """Move the bar of a stage, or say how far it is."""
        if not self._console.is_terminal:
            self._say(stage, done, total, text)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, values="")
        self._progress.update(self._tasks[stage], completed=done, total=total, values=text)

    def _say(self, stage: str, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        begun_s, begun_at = self._begun.setdefault(stage, (now, done))
        if done < total and now - self._said.get(stage, -_LINE_EVERY_S) < _LINE_EVERY_S:
            return
        self._said[stage] = now
        if self._says_left and begun_at < done < total:
            left_s = (now - begun_s) / (done - begun_at) * (total - done)
            text = f"{text}, about {max(1.0, left_s):.0f} s left".removeprefix(", ")
        self._console.print(f"{stage} {done}/{total} {text}".rstrip(), highlight=False, soft_wrap=True, markup=False)
