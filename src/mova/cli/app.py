"""The `mova` command: the list of verbs, logging, and the exit code of every outcome.

0 done; 1 our bug; 2 wrong input or configuration; 3 missing extra; 130 interrupted, 143 ended by SIGTERM or SIGHUP.
"""

from __future__ import annotations

import logging
import os
import signal
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from mova.cli import bench, curate, enhance, generate, plan, toyworld, train, weights
from mova.cli.evaluate import group as evaluate
from mova.cli.serve import serve
from mova.cli.terminal.log import configure_logging
from mova.cli.terminal.process import ending_signals
from mova.cli.terminal.streams import tolerant_streams
from mova.errors import Interrupted, MovaError

EXIT_BUG = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    _prefer_passive_threads()
    with tolerant_streams(), ending_signals() as ending:
        try:
            code = _run(arguments)
        except BaseException as error:
            # A library that was interrupted may have made another error of it, as numpy does inside an import.
            code = _code_of(error if ending.number is None else Interrupted(ending.number))
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        build_app()(args=None if arguments is None else list(arguments), prog_name="mova")
    except SystemExit as stop:
        # typer makes exit codes of these two, which say less than they do.
        cause = _first_of(stop, KeyboardInterrupt) or _first_of(stop, BrokenPipeError)
        if cause is not None:
            raise cause from None
        return stop.code if isinstance(stop.code, int) else EXIT_BUG if stop.code else 0
    return 0


def build_app() -> typer.Typer:
    """Make the application with all its verbs."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    for verb in (generate, enhance, serve, train, curate, evaluate, toyworld, weights, plan, bench):
        verb.register(app)
    return app


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        import mova

        typer.echo(mova.__version__)
        raise typer.Exit


def _common(
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log details as well.")] = False,
) -> None:
    """Generate short clips, video and audio together, and train, measure and inspect the models."""
    configure_logging(logging.DEBUG if verbose else logging.INFO)


def _prefer_passive_threads() -> None:
    """Stop idle OpenMP threads from spinning, which slows a busy machine several times; torch reads this at import."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def _code_of(error: BaseException) -> int:
    """Say what was wrong and return its exit code."""
    if isinstance(error, Interrupted):
        return _complain(f"interrupted ({signal.Signals(error.number).name})", error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _complain("interrupted", EXIT_INTERRUPTED)
    if isinstance(error, MovaError):
        return _complain(f"error: {error}", error.exit_code)
    if isinstance(error, OSError):
        # A file that is missing or full is the caller's to correct, wherever the call that met it was made.
        return _complain(f"error: {error}", EXIT_WRONG_INPUT)
    if isinstance(error, MemoryError):
        return _complain("error: memory ran out; fewer frames or a smaller size need less", EXIT_WRONG_INPUT)
    trace = "".join(traceback.format_exception(error))
    return _complain(f"{trace}error: this is a bug in mova, please report it", EXIT_BUG)


def _first_of(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return what made an error, if it is of a kind."""
    met: BaseException | None = error
    for _ in range(5):
        if met is None or isinstance(met, kind):
            break
        met = met.__cause__ or met.__context__
    return met if isinstance(met, kind) else None


def _complain(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
