"""A quick start for a command that loads a model, makes something and ends: imports take as long as the work.

Three habits of Python and its libraries cost a third of the processor time of a short clip. diffusers imports
bitsandbytes and peft wherever they are installed, though nothing here goes through its quantisers or its adapters, and
transformers does the same with others. The garbage collector searches a million new objects again and again while
modules are imported. At the end of the process it searches all of them once more. None of this may be changed in
somebody else's process: only the command line, whose process ends with the command, uses this file.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mova.generate.session import OnProgress

# What diffusers and transformers import for themselves if they can: nothing that a base installation brings.
UNASKED = ("bitsandbytes", "peft", "scipy", "sklearn")
ASKING = ("diffusers", "transformers")


@contextmanager
def quick_start(on_progress: OnProgress, *, needed: Collection[str] = ()) -> Iterator[OnProgress]:
    """Load a model in the block, then work with it, quicker.

    Args:
        on_progress: see `mova.generate.session`.
        needed: packages of `UNASKED` that the block uses after all.

    Yields:
        What the block must report its progress to, in place of `on_progress`: it learns from that when loading is over.
    """
    from mova.generate.session import LOADING

    was_collecting = gc.isenabled()
    gc.disable()

    def report(stage: str, done: int, total: int) -> None:
        if stage != LOADING and was_collecting and not gc.isenabled():
            # Modules and weights stay until the end: neither this nor the interpreter's last search need look at them.
            gc.freeze()
            gc.enable()
        on_progress(stage, done, total)

    try:
        with _hidden([name for name in UNASKED if name not in needed]):
            yield report
    finally:
        if was_collecting:
            gc.enable()


@contextmanager
def _hidden(names: Collection[str]) -> Iterator[None]:
    """Let nothing in the block import these packages; one that is imported already stays.

    Libraries look once for what is installed, when they are imported. Where one of them is there already, it has been
    promised these packages and nothing is hidden.
    """
    has_looked = any(name in sys.modules for name in ASKING)
    # None is the import system's own mark of what must not be found, for `import` and for `find_spec` alike.
    hidden = {} if has_looked else {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
