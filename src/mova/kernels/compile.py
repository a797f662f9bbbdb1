"""Compiled blocks: the repeated parts of towers and bridge, one compilation for each kind of them.

What is compiled is the computation of a block (`torch.compile` of its class's `forward`), not the walk through the
towers (decision 0001) and not the call of the block. So hooks on blocks (offload, streaming, the step cache) run
outside of what is compiled, where diffusers' `compile_repeated_blocks` compiles them too and breaks at them. Weights
are inputs of the compiled code: all blocks of a tower and both experts share it, and weights that are changed in place
or moved (a LoRA, a streamed block) act as before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from mova.errors import ConfigError
from mova.kernels import text_cache
from mova.kernels.techniques import Technique, check_together
from mova.models.bridge import Conditioner
from mova.models.dit_block import DiTBlock

# Shapes of one class of blocks that are compiled before torch gives up: towers x numbers of branches x sizes of clips.
_MOST_SHAPES = 64
_HOW_TO_GET = {
    "cpu": "a C++ compiler (g++ or clang++; `apt install g++`)",
    "cuda": "Triton, which comes with torch for CUDA, and a C compiler",
}


def check_compiler(device: torch.device, *, num_sharing: int = 1) -> None:
    """Make sure that compiled blocks can run here, by compiling a trifle (a few seconds).

    Args:
        device: that computes.
        num_sharing: processes that share the tokens of a clip (ring x ulysses).

    Raises:
        ConfigError: nothing can be compiled here, or blocks exchange tokens while they compute.
    """
    if num_sharing > 1:
        check_together({Technique.COMPILED: "compile", Technique.CONTEXT_PARALLEL: num_sharing})
    from torch._inductor import config

    try:
        with config.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compile(_trifle)(torch.zeros(8, device=device))
    except Exception as error:  # the compilers' errors have no common class
        needed = _HOW_TO_GET.get(device.type, "torch.compile for this device")
        reason = next(line for line in f"{error}\n{type(error).__name__}".splitlines() if line.strip())
        raise ConfigError(f"compile needs {needed}, got: {reason}; nearest is no compile") from error


def compile_blocks(components: Iterable[nn.Module], *, backend: str | Callable[..., object] = "inductor") -> int:
    """Let the blocks of towers and the conditioners of bridges compute compiled code, made at the first call of a kind.

    A call with gradients computes as before. Blocks that are compiled already stay as they are.

    Args:
        components: towers and bridges, whose blocks are changed in place (their method, not their weights).
        backend: of `torch.compile`.

    Returns:
        The number of blocks that were changed.
    """
    kinds: tuple[type[nn.Module], ...] = (DiTBlock, Conditioner)
    compiled = {kind: torch.compile(kind.forward, dynamic=False, backend=backend) for kind in kinds}
    found = {id(block): block for component in components for block in component.modules() if type(block) in compiled}
    blocks = [block for block in found.values() if not isinstance(vars(block).get("forward"), _CompiledForward)]
    for block in blocks:
        setattr(block, "forward", _CompiledForward(block, compiled[type(block)]))  # noqa: B010
    return len(blocks)


class _CompiledForward:
    """Takes the place of a block's `forward`."""

    def __init__(self, block: nn.Module, compiled: Callable[..., torch.Tensor]) -> None:
        self.plain = block.forward
        self.block, self.compiled = block, compiled

    def __call__(self, *inputs: Any, **named: Any) -> torch.Tensor:
        if torch.is_grad_enabled():
            plain: torch.Tensor = self.plain(*inputs, **named)
            return plain
        text_cache.fill(self.block, inputs[1])
        with torch._dynamo.config.patch(recompile_limit=_MOST_SHAPES):
            output: torch.Tensor = self.compiled(self.block, *inputs, **named)
            return output


def _trifle(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1
