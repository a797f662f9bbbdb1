"""Where the process of a command begins: signals have their exit codes before anything slow is imported."""

from __future__ import annotations

import os
import signal
import sys


def run() -> None:
    """Be the `mova` command and end the process."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in taken:
        # Nothing has been done yet that would have to be undone.
        signal.signal(number, lambda number, _: os._exit(130 if number == signal.SIGINT else 143))
    from mova.cli.app import main

    code = main()
    for number in taken:
        # The work is done and said: what comes while the interpreter ends changes nothing of that.
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)
