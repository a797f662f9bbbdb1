"""A quick start for a command that loads a model, makes something and ends: imports take as long as the work.

Three habits of Python and its libraries cost a third of the processor time of a short clip. diffusers imports
bitsandbytes and peft wherever they are installed, though nothing here goes through its quantisers or its adapters, and
transformers does the same with others. The garbage collector searches a million new objects again and again while
modules are imported. At the end of the process it searches all of them once more.

Two libraries cost as much again: torch's compiler, which diffusers imports for the case that somebody compiles its
classes, and transformers, of which a prompt needs a small encoder. diffusers works without either, and says so.

None of this may be changed in somebody else's process: only the command line, whose process ends with the command, uses
this file.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mova.generate.session import OnProgress

Function = Callable[..., Any]
logger = logging.getLogger(__name__)

# What diffusers and transformers import for themselves if they can: nothing that a base installation brings.
UNASKED = ("bitsandbytes", "peft", "scipy", "sklearn")
ASKING = ("diffusers", "transformers")
# What diffusers imports for those who compile its classes, and for pipelines with encoders of transformers.
POSTPONED = ("torch._dynamo", "transformers")
# Everything of diffusers that a clip needs.
LIGHT_MODULES = (
    "diffusers.pipelines.pipeline_utils",
    "diffusers.schedulers.scheduling_utils",
    "diffusers.models.attention_dispatch",
    "diffusers.models.autoencoders.autoencoder_kl_wan",
    "diffusers.hooks.hooks",
)


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
def light_loading() -> Iterator[None]:
    """Load a model in the block without the compiler of torch and without transformers.

    Both are there again in the block for who needs them after all: a text encoder that is not ours, compiled blocks.
    Where libraries have looked already, or cannot do without, the model is loaded as always.
    """
    if any(name in sys.modules for name in (*ASKING, *POSTPONED)) or not _import_lightly():
        yield
        return
    from mova.models.text_encoder import own_text_encoder

    with own_text_encoder():
        yield


def _import_lightly() -> bool:
    """Import what loads a model while `POSTPONED` cannot be found; say whether that was possible."""
    import torch

    disable, before = torch.compiler.disable, set(sys.modules)
    # Functions of diffusers that say they are not to be compiled: nothing that calls them is, blocks of towers do not.
    vars(torch.compiler)["disable"] = _unmarked
    try:
        with _hidden((*POSTPONED, *UNASKED)):
            for name in LIGHT_MODULES:
                import_module(name)
    except Exception:
        # Something that is installed here insists. Nothing of ours has been imported by diffusers, so it starts anew.
        logger.debug("libraries are imported as always", exc_info=True)
        for name in sys.modules.keys() - before:
            if name.partition(".")[0] == "diffusers":
                del sys.modules[name]
        return False
    finally:
        vars(torch.compiler)["disable"] = disable
    return True


def _unmarked(function: Function | None = None, **_: object) -> Function | Callable[[Function], Function]:
    return (lambda given: given) if function is None else function


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
