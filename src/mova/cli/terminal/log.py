"""What a command logs, and which of several processes it is: levels, ranks, libraries that would say too much."""

from __future__ import annotations

import logging
import os

import typer


class _Stderr(logging.Handler):
    """Writes to what stderr is at that moment, also where it was replaced after the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        typer.echo(self.format(record), err=True)


def place_in_torchrun() -> tuple[int, int] | None:
    """Return this process's rank and the number of processes where `torchrun` started it."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "TORCHELASTIC_RUN_ID" in os.environ else None


def configure_logging(level: int, rank: int | str | None = None) -> None:
    """Let this package log to stderr.

    Args:
        level: from which on.
        rank: of this process among several; None takes what `torchrun` says.
    """
    rank = os.environ.get("RANK") if rank is None else rank
    where = f"[rank {rank}] " if rank is not None else ""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter(f"{where}%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for former in [other for other in root.handlers if isinstance(other, _Stderr)]:
        root.removeHandler(former)
    root.addHandler(handler)
    # Third parties speak from warnings upwards, the level of the root; only this package follows the chosen level.
    logging.getLogger("mova").setLevel(level)
    logging.captureWarnings(True)
    # At every import on a CPU it misses a kernel that it would download; ours does without, and exactly.
    logging.getLogger("bitsandbytes.backends.cpu").setLevel(logging.ERROR)


def shape_lines(form: str, names: logging.Filter) -> None:
    """Give lines on stderr another form, after `configure_logging`.

    Args:
        form: as of `logging.Formatter`.
        names: gives each record what the form names beyond the usual.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.addFilter(names)
            handler.setFormatter(logging.Formatter(form))
