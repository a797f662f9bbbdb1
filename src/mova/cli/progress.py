"""A bar on stderr for jobs that count what they have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mova.cli.process import stop_if_asked


@contextmanager
def counting_bar(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar with the time left while the block runs; calling the value moves it by one."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)

        def advance() -> None:
            stop_if_asked()
            progress.advance(task)

        yield advance
