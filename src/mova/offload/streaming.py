"""Block streaming: frozen weights are offloaded, and blocks onloaded one after the other, the next one prefetched.

A *block sequence* is a list of blocks that run in turn: the blocks of a tower, or the layers of one direction of the
bridge. It has a few *slots* on the device, buffers of the size of its largest block. While a block computes, its
successor in the sequence (its predecessor in a backward pass) is prefetched into another slot: on CUDA from pinned
memory on a stream of its own. All weights of a block are one piece of memory, so that a move is one copy. The sequences
of both video experts have the same slots: only the expert in use has blocks on the device.

A block's weights stay from the moment its gradient arrives until the gradients of its inputs are complete. In between
the block is computed again, so it needs activation checkpointing (`recompute_blocks`) wherever gradients are wanted:
what a plain forward leaves for its backward pass would be overwritten. Hooks sit on the blocks (decision 0001).

The backing store may also be the files (`store="files"`): threads prefetch the next block while this one computes, and
hardly any host memory is taken. Both stores may keep another dtype than is computed in, on a CPU.

On a CPU slots are memory of their own too: everything but the overlap in time is as on a GPU, and can be tested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import nn

from mova.errors import ConfigError
from mova.models.bridge import CrossModalBridge
from mova.models.tower import DiTTower
from mova.offload.activations import ask_for_gradients
from mova.offload.residency import frozen_tensors
from mova.offload.stores import FileStore, Pieces, Reader, StoreKind, layout, make_store

FORWARD, BACKWARD = 1, -1
NUM_SLOTS: Final = 2
"""Blocks of a sequence that are on the device at once: the one in use and the one that is prefetched."""


def block_sequences(component: nn.Module) -> list[list[nn.Module]]:
    """Return the block sequences of a component: a tower's or text encoder's blocks, a bridge's layers by direction.

    Raises:
        ConfigError: another component.
    """
    text_blocks = getattr(getattr(component, "encoder", None), "block", None)
    if isinstance(text_blocks, nn.ModuleList):
        return [list(text_blocks)]
    if isinstance(component, DiTTower):
        return [list(component.blocks)]
    if isinstance(component, CrossModalBridge):
        directions = (component.audio_to_video_conditioners, component.video_to_audio_conditioners)
        return [list(direction.children()) for direction in directions if len(direction)]
    raise ConfigError(f"blocks are streamed of towers and of the bridge, got {type(component).__name__}")


def block_bytes(module: nn.Module) -> int:
    """Return the bytes that a slot needs for a block: its frozen tensors, each at an aligned offset."""
    return layout([(tensor.numel() * tensor.element_size()) for tensor in frozen_tensors(module)])[1]


def outside_blocks(component: nn.Module) -> list[torch.Tensor]:
    """Return the frozen tensors of a tower, bridge or text encoder that belong to none of its blocks."""
    inside = {
        id(tensor) for sequence in block_sequences(component) for block in sequence for tensor in frozen_tensors(block)
    }
    return [tensor for tensor in frozen_tensors(component) if id(tensor) not in inside]


class BlockStreamer:
    """Block streaming of towers and bridge, with prefetch, from construction until `remove`.

    Trainable parameters, and everything outside the blocks, stay where they are.

    Args:
        components: towers and bridges; experts that take turns share slots.
        device: device that computes.
        store: backing store of the blocks: "host" copies them to host memory, "files" leaves them in the files they
            are mapped from.
        computing: dtype in which a tensor is computed with; by default its own.

    Attributes:
        peak_bytes: most bytes of slots that were filled at once.

    Raises:
        ConfigError: another component, or a component without frozen blocks.
    """

    def __init__(
        self,
        components: Iterable[nn.Module],
        device: torch.device,
        *,
        store: StoreKind = "host",
        computing: Callable[[torch.Tensor], torch.dtype] = lambda tensor: tensor.dtype,
    ) -> None:
        self.device = device
        self._store: StoreKind = store
        self._computing = computing
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.peak_bytes = 0
        self._pools: dict[tuple[str, int, tuple[int, ...]], _Pool] = {}
        self._hooks: list[Any] = []
        self._blocks: list[_Block] = []
        for component in components:
            for number, sequence in enumerate(block_sequences(component)):
                self._add_sequence((type(component).__name__, number), sequence)
            if isinstance(component, DiTTower):
                # Else the first block would have no input whose gradient tells that its backward pass is over.
                self._hooks.append(component.patch_embedding.register_forward_hook(ask_for_gradients))
        self._reader: Reader | None = None
        for pool in self._pools.values():
            pool.open(self)

    def resident_bytes(self) -> int:
        """Return the bytes of blocks that are on the device now."""
        return sum(slot.block.pieces.total for pool in self._pools.values() for slot in pool.slots if slot.block)

    def slot_bytes(self) -> int:
        """Return the bytes that all slots take on the device, filled or not."""
        return sum(slot.buffer.numel() for pool in self._pools.values() for slot in pool.slots)

    def host_bytes(self) -> int:
        """Return the bytes that all backing stores take on the host; files take none."""
        return sum(block.store.num_bytes for block in self._blocks)

    def release_slots(self) -> None:
        """Offload all blocks and free the device memory of all slots until a block is wanted again."""
        if self.stream:
            torch.cuda.synchronize(self.device)
        for pool in self._pools.values():
            for slot in pool.slots:
                slot.vacate()
            pool.slots.clear()
        if self._reader:
            self._reader.close()
            self._reader = None

    def make_writable(self, wanted: Collection[int]) -> None:
        """Give weights (tensors by identity) memory of their own in the backing store, to be changed in place there."""
        self.release_slots()
        for block in self._blocks:
            for index, tensor in enumerate(block.tensors):
                if id(tensor) in wanted:
                    block.store.make_writable(index)
            block.offload()

    def remove(self) -> None:
        """Take the hooks off; the weights are left on the host, where `module.to(device)` can fetch them."""
        self.release_slots()
        for hook in self._hooks:
            hook.remove()
        for block in self._blocks:
            block.close()
        self._hooks.clear()

    def _add_sequence(self, kind: tuple[str, int], modules: Sequence[nn.Module]) -> None:
        sequence = [_Block(module, self.device, self._store, self._computing) for module in modules]
        if not sequence or not all(block.tensors for block in sequence):
            raise ConfigError(f"blocks that are streamed must hold frozen weights, got none in a sequence of {kind[0]}")
        for index, block in enumerate(sequence):
            block.sequence, block.index = sequence, index
            pool = self._pools.setdefault((*kind, (*sequence[0].pieces.places, sequence[0].pieces.total)), _Pool())
            pool.num_bytes = max(pool.num_bytes, block.pieces.total)
            before, after = _BlockHooks(self, pool, block).hooks()
            self._hooks.append(block.module.register_forward_pre_hook(before))
            # Also where the block fails: its slot must not stay taken.
            self._hooks.append(block.module.register_forward_hook(after, always_call=True))
        self._blocks += sequence

    def _onload(self, pool: _Pool, block: _Block, direction: int) -> None:
        """Onload a block, and prefetch the one that follows."""
        if not pool.slots:
            pool.open(self)
        slot = pool.slot_of(block) or self._fetch(pool, block)
        slot.is_held = True
        slot.wait()
        if self.stream:
            torch.cuda.current_stream(self.device).wait_event(slot.arrived)
        # A forward that no backward follows is followed by another one.
        is_round = direction == FORWARD and not torch.is_grad_enabled()
        place = block.index + direction
        place = place % len(block.sequence) if is_round else place
        if len(block.sequence) > 1 and 0 <= place < len(block.sequence):
            follower = pool.slot_of(block.sequence[place])
            if follower:
                pool.touch(follower)
            else:
                self._fetch(pool, block.sequence[place])

    def _fetch(self, pool: _Pool, block: _Block) -> _Slot:
        slot = pool.victim()
        slot.vacate()
        if self.stream:
            # Kernels that read the former content may still be waiting for their turn on the computing stream.
            slot.left.record(torch.cuda.current_stream(self.device))
        slot.take(block)
        if isinstance(block.store, FileStore):
            self._reader = self._reader or Reader(self.stream, max(one.num_bytes for one in self._pools.values()))
            slot.reading = self._reader.read(block.store, slot.buffer, block.pieces.total, slot.left, slot.arrived)
        elif self.stream:
            self.stream.wait_event(slot.left)
            with torch.cuda.stream(self.stream):
                block.store.fill(slot.buffer)
                slot.arrived.record(self.stream)
        else:
            block.store.fill(slot.buffer)
        pool.touch(slot)
        self.peak_bytes = max(self.peak_bytes, self.resident_bytes())
        return slot


class _Block:
    """A block, its frozen weights and their backing store."""

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        store: StoreKind,
        computing: Callable[[torch.Tensor], torch.dtype],
    ) -> None:
        self.module = module
        self.tensors = frozen_tensors(module)
        self.pieces = Pieces([tensor.shape for tensor in self.tensors], [computing(tensor) for tensor in self.tensors])
        self.store = make_store(store, [tensor.data for tensor in self.tensors], self.pieces, device)
        self.sequence: list[_Block] = []
        self.index = 0
        self.offload()

    def close(self) -> None:
        """Give pinned memory back to the system as plain memory; the weights stay in it."""
        self.store.close()

    def offload(self) -> None:
        """Let the module's tensors be those of the backing store."""
        for tensor, stored in zip(self.tensors, self.store.tensors(), strict=True):
            tensor.data = stored

    def onload(self, buffer: torch.Tensor) -> None:
        """Let the module's tensors be those in a slot's buffer, which holds a copy of the store or will soon."""
        for tensor, view in zip(self.tensors, self.pieces.views(buffer), strict=True):
            tensor.data = view


@dataclass(eq=False)
class _Slot:
    """Room for one block on the device."""

    buffer: torch.Tensor
    arrived: Any
    left: Any
    block: _Block | None = None
    is_held: bool = False
    reading: futures.Future[None] | None = None

    def take(self, block: _Block) -> None:
        self.block = block
        block.onload(self.buffer)

    def wait(self) -> None:
        """Wait for the file of the block; what went wrong with it is raised here."""
        if self.reading:
            self.reading.result()
        self.reading = None

    def vacate(self) -> None:
        if self.reading:
            # A block that nobody waited for: nobody misses it either.
            futures.wait([self.reading])
        self.reading = None
        if self.block:
            self.block.offload()
        self.block, self.is_held = None, False


@dataclass(eq=False)
class _Pool:
    """The slots of block sequences that take turns, least recently used first."""

    num_bytes: int = 0
    slots: list[_Slot] = field(default_factory=list)

    def open(self, streamer: BlockStreamer) -> None:
        for _ in range(NUM_SLOTS):
            buffer = torch.empty(self.num_bytes, dtype=torch.uint8, device=streamer.device)
            if streamer.stream:
                # When it is freed one day, the copies on the other stream must have ended.
                buffer.record_stream(streamer.stream)
            self.slots.append(_Slot(buffer, *_events(streamer.device)))

    def slot_of(self, block: _Block) -> _Slot | None:
        return next((slot for slot in self.slots if slot.block is block), None)

    def touch(self, slot: _Slot) -> None:
        self.slots.remove(slot)
        self.slots.append(slot)

    def victim(self) -> _Slot:
        free = [slot for slot in self.slots if not slot.is_held]
        return next((slot for slot in free if slot.block is None), free[0])

    def release(self, block: _Block | None = None) -> None:
        """End the use of a block, or of all."""
        for slot in self.slots:
            if block is None or slot.block is block:
                slot.is_held = False


class _BlockHooks:
    """Hooks around a block, forward and backward."""

    def __init__(self, streamer: BlockStreamer, pool: _Pool, block: _Block) -> None:
        self.streamer, self.pool, self.block = streamer, pool, block

    def hooks(self) -> tuple[Any, Any]:
        return self._before, self._after

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if torch.is_grad_enabled() and not module.gradient_checkpointing:
            raise ConfigError(
                "a block whose weights are streamed must be computed again for its gradients, got one that is not; use "
                "recompute_blocks (memory.checkpoint_activations: true), or torch.no_grad() where none are wanted"
            )
        # A new call: whatever an interrupted backward pass still held is of no use any more.
        self.pool.release()
        self.streamer._onload(self.pool, self.block, FORWARD)
        places = [place for place, one in enumerate(inputs) if isinstance(one, torch.Tensor) and one.requires_grad]
        if not torch.is_grad_enabled():
            return inputs
        passed = _BlockInput.apply(self, *(inputs[place] for place in places))
        replaced = dict(zip(places, passed, strict=True))
        return tuple(replaced.get(place, one) for place, one in enumerate(inputs))

    def _after(self, _module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        self.pool.release(self.block)
        if isinstance(output, torch.Tensor) and output.requires_grad and torch.is_grad_enabled():
            return _BlockOutput.apply(self, output)
        return None

    def begin_backward(self) -> None:
        if any(slot.is_held and slot.block is not self.block for slot in self.pool.slots):
            raise RuntimeError("two streamed blocks of a sequence had their backward passes at once")
        self.streamer._onload(self.pool, self.block, BACKWARD)

    def end_backward(self) -> None:
        self.pool.release(self.block)


class _BlockInput(torch.autograd.Function):
    """Identity on the inputs of a block: one node for all, so that its backward runs when all gradients are there."""

    @staticmethod
    def forward(ctx: Any, hooks: _BlockHooks, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.hooks = hooks
        ctx.set_materialize_grads(False)
        return tuple(one.view_as(one) for one in inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        ctx.hooks.end_backward()
        return (None, *gradients)


class _BlockOutput(torch.autograd.Function):
    """Identity on the output of a block; in the backward pass this is where the block begins."""

    @staticmethod
    def forward(ctx: Any, hooks: _BlockHooks, output: torch.Tensor) -> torch.Tensor:
        ctx.hooks = hooks
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        ctx.hooks.begin_backward()
        return (None, *gradients)


def _events(device: torch.device) -> tuple[Any, Any]:
    return (torch.cuda.Event(), torch.cuda.Event()) if device.type == "cuda" else (None, None)
