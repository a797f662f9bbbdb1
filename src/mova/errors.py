"""What can go wrong, as one tree.

    MovaError
    ├── ConfigError (ValueError)       a recipe, request or option is wrong
    ├── GeometryError (ValueError)     a size, length or rate is wrong
    ├── MediaError                     a media file cannot be used
    │   ├── ReadError
    │   └── MuxError
    ├── DataError                      clips to learn from cannot be used
    ├── CheckpointError                weights do not fit, are damaged or are missing
    ├── NumericalError                 a computation left the finite numbers
    ├── StageError                     a step of a longer job failed
    ├── StateError                     a stored state of a run is damaged, or of another run
    ├── StoppedError                   a run was stopped because somebody asked for it
    └── MissingExtraError (ImportError)  an optional dependency is not installed

A text states the rule, the value received and, where there is one, the nearest valid value. The command line turns the
class into an exit code (`exit_code`): 2 for what the caller can correct, 3 for a missing extra, 1 for everything else.
`Interrupted` stands outside the tree, as KeyboardInterrupt does: nothing that handles errors may stop it.
"""

from __future__ import annotations

import pickle
import signal
from typing import ClassVar


class MovaError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 2


class ConfigError(MovaError, ValueError):
    """A recipe, a request or an option has a value that cannot be used."""


class GeometryError(MovaError, ValueError):
    """A frame size, a frame count or a rate cannot be represented by the autoencoders."""


class MediaError(MovaError):
    """A media file cannot be used."""


class ReadError(MediaError):
    """A media file is missing, damaged or lacks a stream that is needed."""


class MuxError(MediaError):
    """A media file could not be written; no partial file is left behind."""


class DataError(MovaError):
    """Clips to learn from are missing, damaged, too few or not what was encoded before."""


class CheckpointError(MovaError):
    """A checkpoint directory, its weights or its classes do not fit."""


class NumericalError(MovaError):
    """A computation produced values that are not finite."""

    exit_code: ClassVar[int] = 1


class StageError(MovaError):
    """A step of a longer job failed; the text names the step."""

    exit_code: ClassVar[int] = 1


class StateError(MovaError):
    """A stored state of a run cannot be gone on from: it is damaged, or of another run."""


class StoppedError(MovaError):
    """A run was stopped between two of its steps, because somebody asked for it.

    Args:
        done: steps done.
        total: steps in all.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"stopped as asked for, after step {done} of {total}")
        self.done, self.total = done, total

    def __reduce__(self) -> tuple[type[StoppedError], tuple[int, int]]:
        """Let it travel between processes."""
        return type(self), (self.done, self.total)


class MissingExtraError(MovaError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the distribution that is missing.
        extra: the extra of `mova` that brings it.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is needed for this; install it with: pip install -c constraints.txt 'mova[{extra}]'"
        )
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Let it travel between processes: an error is made again from what it was made from, not from its text."""
        return type(self), (self.package, self.extra)


class Interrupted(KeyboardInterrupt):
    """A signal has asked this process to end: Ctrl-C, a scheduler's SIGTERM, or a terminal that goes away.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for what ends a process from outside."""
        return 130 if self.number == signal.SIGINT else 143


def portable(error: BaseException) -> BaseException:
    """Return an error that can be sent to another process: itself, or its text where a third party's cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return StageError(f"{type(error).__name__}: {error}")
    return error
