"""The audio tower on a CUDA stream of its own, beside the video tower.

Between two layers of the bridge the blocks of both towers do not depend on each other, and an audio block alone does
not fill a GPU. So audio blocks are queued on a second stream: it waits until the main stream has made what they read,
and the main stream waits for it before the bridge or the audio head reads what they made. The same kernels compute the
same numbers, in another order in time. Applied from outside, by hooks on the parts that the joint forward calls
(decision 0001).

Left out where other hooks order their own work by the stream in use: streamed or sharded blocks, shared tokens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from diffusers.hooks.hooks import HookRegistry, ModelHook
from torch import nn

from mova.kernels.streams import CudaStreams, Streams
from mova.models.dual_tower import DualTower

_NAME = "mova_side_stream"


class SideStream:
    """Lets the audio blocks of joint models run beside the video blocks; use as a context manager.

    Calls with gradients run as without it.

    Args:
        models: joint models of both experts; hooks are set on their blocks, audio heads and bridges while it is active.
        streams: of the device that computes.
    """

    def __init__(self, models: Iterable[DualTower], streams: Streams) -> None:
        self._streams = streams
        self._ready: Any = None
        self._done: Any = None
        self._models = list(models)
        self._blocks: dict[int, nn.Module] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> SideStream:
        for model in self._models:
            self._blocks |= {id(block): block for block in model.audio_tower.blocks}
        for block in self._blocks.values():
            HookRegistry.check_if_exists_or_initialize(block).register_hook(_Beside(self), _NAME)
        for first in _unique(model.video_tower.blocks[0] for model in self._models):
            # Both towers are prepared then.
            self._handles.append(first.register_forward_pre_hook(lambda *_: self.fork()))
        for bridge in _unique(model.bridge for model in self._models):
            self._handles.append(bridge.register_forward_pre_hook(lambda *_: self.join()))
            self._handles.append(bridge.register_forward_hook(lambda *_: self.fork()))
        for head in _unique(model.audio_tower.head for model in self._models):
            self._handles.append(head.register_forward_pre_hook(lambda *_: self.join()))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        for block in self._blocks.values():
            HookRegistry.check_if_exists_or_initialize(block).remove_hook(_NAME, recurse=False)
        self.join()
        self._handles.clear()
        self._blocks.clear()
        self._ready = None

    def fork(self) -> None:
        """Note that the next audio block reads what has been queued so far."""
        self._ready = self._streams.current().record_event()

    def join(self) -> None:
        """Let the stream in use wait for the audio blocks."""
        if self._done is not None:
            self._streams.current().wait_event(self._done)
            self._done = None

    def beside(self, compute: Callable[..., torch.Tensor], tokens: torch.Tensor, *inputs: Any) -> torch.Tensor:
        """Queue an audio block on the side stream."""
        streams, main = self._streams, self._streams.current()
        if self._ready is not None:
            streams.side.wait_event(self._ready)
            self._ready = None
        streams.keep(tokens, streams.side)
        with streams.use(streams.side):
            output = compute(tokens, *inputs)
        self._done = streams.side.record_event()
        streams.keep(output, main)
        return output


class _Beside(ModelHook):  # type: ignore[misc]
    """Around an audio block."""

    def __init__(self, stream: SideStream) -> None:
        super().__init__()
        self.stream = stream

    def new_forward(self, _: nn.Module, *inputs: Any) -> torch.Tensor:
        """Queue the block on the side stream, or compute it as always where gradients are wanted."""
        if torch.is_grad_enabled():
            output: torch.Tensor = self.fn_ref.original_forward(*inputs)
            return output
        return self.stream.beside(self.fn_ref.original_forward, *inputs)


def beside_video(models: Sequence[DualTower], device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a `SideStream` where there is a GPU and no other hook orders the work of audio blocks, else nothing.

    Args:
        models: joint models of both experts.
        device: that computes.
    """
    blocks = [block for model in models for block in model.audio_tower.blocks]
    if device.type != "cuda" or not blocks or any(_has_hooks(part) for block in blocks for part in block.modules()):
        return contextlib.nullcontext()
    return SideStream(models, CudaStreams(device))


def _has_hooks(module: nn.Module) -> bool:
    registry = getattr(module, "_diffusers_hook", None)
    return bool(module._forward_pre_hooks or module._forward_hooks or (registry is not None and registry.hooks))


def _unique(modules: Iterable[nn.Module]) -> list[nn.Module]:
    return list({id(module): module for module in modules}.values())
