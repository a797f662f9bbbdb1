"""Compiled blocks: the repeated parts of towers and bridge, one compilation for each kind of them.

What is compiled is the computation of a block (`torch.compile` of its class's `forward`), not the walk through the
towers (decision 0001) and not the call of the block. So hooks on blocks (offload, streaming, the step cache) run
outside of what is compiled, where diffusers' `compile_repeated_blocks` compiles them too and breaks at them. Weights
are inputs of the compiled code: all blocks of a tower and both experts share it, and weights that are changed in place
or moved (a LoRA, a streamed block) act as before.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import shutil
import sysconfig
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mova.errors import ConfigError
from mova.kernels import text_cache
from mova.kernels.techniques import Technique, check_together
from mova.models.bridge import Conditioner
from mova.models.dit_block import DiTBlock

logger = logging.getLogger(__name__)

# Shapes of one class of blocks that are compiled before torch gives up: towers x numbers of branches x sizes of clips.
_MOST_SHAPES = 64


def check_compiler(device: torch.device, *, num_sharing: int = 1) -> None:
    """Make sure that compiled blocks can run here, by compiling a trifle (a few seconds, once for each device).

    Args:
        device: that computes.
        num_sharing: processes that share the tokens of a clip (ring x ulysses).

    Raises:
        ConfigError: something that compiles is not there; or it is, and failed: then its own words; or blocks exchange
            tokens while they compute.
    """
    if num_sharing > 1:
        check_together({Technique.COMPILED: "compile", Technique.CONTEXT_PARALLEL: num_sharing})
    from torch._inductor import config

    try:
        with config.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _compile_trifle(device, str(config.cpp.cxx))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the compilers' errors have no common class
        missing = missing_tool(device)
        if missing is not None:
            raise ConfigError(f"compile needs {missing}; nearest is no compile") from error
        raise ConfigError(f"compile failed for a trifle with {_own_words(error)}; nearest is no compile") from error


def missing_tool(device: torch.device) -> str | None:
    """Look for what compiles for a device; return what is not there, and how to get it, or None."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            return "Triton, which comes with torch for CUDA, and found no package triton"
        names = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
        language, how = "C", "`apt install gcc`, or name one in CC"
    else:
        from torch._inductor import config

        found = config.cpp.cxx if isinstance(config.cpp.cxx, tuple | list) else (config.cpp.cxx,)
        names = [name for name in found if name]
        language, how = "C++", "`apt install g++`, or name one in CXX"
    if not any(shutil.which(name) for name in names):
        return f"a {language} compiler ({how}), and found no {' or '.join(names)}"
    if not any((folder / "Python.h").is_file() for folder in _header_folders()):
        return f"the C headers of Python (`apt install python3-dev`), and found no Python.h in {_header_folders()[0]}"
    return None


def compile_blocks(
    components: Iterable[nn.Module], *, backend: str | Callable[..., object] = "inductor", or_plain: bool = False
) -> int:
    """Let the blocks of towers and the conditioners of bridges compute compiled code, made at the first call of a kind.

    A call with gradients computes as before. Blocks that are compiled already stay as they are.

    Args:
        components: towers and bridges, whose blocks are changed in place (their method, not their weights).
        backend: of `torch.compile`.
        or_plain: where a block cannot be compiled, say so and compute all of them plainly from then on, instead of an
            error.

    Returns:
        The number of blocks that were changed.
    """
    kinds: tuple[type[nn.Module], ...] = (DiTBlock, Conditioner)
    compiled = {kind: torch.compile(kind.forward, dynamic=False, backend=backend) for kind in kinds}
    found = {id(block): block for component in components for block in component.modules() if type(block) in compiled}
    blocks = [block for block in found.values() if not isinstance(vars(block).get("forward"), _CompiledForward)]
    failed: list[str] | None = [] if or_plain else None
    for block in blocks:
        setattr(block, "forward", _CompiledForward(block, compiled[type(block)], failed))  # noqa: B010
    return len(blocks)


def is_compiled(component: nn.Module) -> bool:
    """Say whether blocks of a tower, or conditioners of a bridge, compute compiled code."""
    return any(
        isinstance(forward, _CompiledForward) and not forward.failed
        for block in component.modules()
        if (forward := vars(block).get("forward")) is not None
    )


class _CompiledForward:
    """Takes the place of a block's `forward`.

    Args:
        block: whose it is.
        compiled: for all blocks of its class.
        failed: reasons why blocks are computed plainly, shared by all of them; None where a failure is an error.
    """

    def __init__(self, block: nn.Module, compiled: Callable[..., torch.Tensor], failed: list[str] | None) -> None:
        self.plain = block.forward
        self.block, self.compiled, self.failed = block, compiled, failed

    def __call__(self, *inputs: Any, **named: Any) -> torch.Tensor:
        if torch.is_grad_enabled() or self.failed:
            plain: torch.Tensor = self.plain(*inputs, **named)
            return plain
        text_cache.fill(self.block, inputs[1])
        try:
            with torch._dynamo.config.patch(recompile_limit=_MOST_SHAPES):
                output: torch.Tensor = self.compiled(self.block, *inputs, **named)
                return output
        except torch._dynamo.exc.BackendCompilerFailed as error:
            if self.failed is None:
                raise
            self.failed.append(_own_words(error))
        logger.warning("blocks are computed plainly, as compiling them failed with %s", self.failed[0])
        output = self.plain(*inputs, **named)
        return output


@functools.cache
def _compile_trifle(device: torch.device, _compiler: str) -> None:
    # A code object of its own: of one that was compiled before, with another compiler, the result would be taken.
    trifle = types.FunctionType(_trifle.__code__.replace(), globals())
    torch.compile(trifle)(torch.zeros(8, device=device))


def _trifle(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def _own_words(error: BaseException) -> str:
    """Return the class and the first line of what the compiler of a graph raised, without what wraps it."""
    inner = getattr(error, "inner_exception", None) or error
    line = next((line.strip() for line in str(inner).splitlines() if line.strip()), "no further words")
    return f"{type(inner).__name__}: {line}"


def _header_folders() -> list[Path]:
    """Return where compilers look for Python's headers."""
    # Debian's own scheme says where packages are installed, not where Python is.
    scheme = sysconfig.get_default_scheme()
    paths = sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)
    more = (os.environ.get(name, "") for name in ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"))
    return [Path(paths["include"]), *(Path(one) for line in more for one in line.split(os.pathsep) if one)]
