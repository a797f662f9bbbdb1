"""Where the frozen weights of a recipe's components are: on the device, or offloaded until their turn comes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mova.names import EXPERTS, Component, Expert
from mova.offload.activations import recompute_blocks
from mova.offload.residency import OneAtATime
from mova.offload.streaming import BlockStreamer, outside_blocks
from mova.train.config.run import MemoryConfig

_CPU = torch.device("cpu")


def load_device(name: Component, memory: MemoryConfig, device: torch.device) -> torch.device:
    """Return the device a component is loaded to: the host where it is offloaded, never whole on the device."""
    is_offloaded = memory.stream_blocks or (memory.one_expert and name in EXPERTS.values())
    return _CPU if is_offloaded else device


class Placement:
    """Applies the `memory` settings of a recipe to its components, all of which a step may use afterwards.

    Args:
        components: towers and bridge, where `load_device` says, with adapters on the device.
        memory: activation checkpointing, block streaming, one expert at a time.
        device: device that computes.

    Attributes:
        streamer: block streamer, or None.
        experts: which expert is on the device, or None where both are.
    """

    def __init__(self, components: Mapping[Component, nn.Module], memory: MemoryConfig, device: torch.device) -> None:
        if memory.checkpoint_activations:
            recompute_blocks(components.values(), offload=memory.offload_activations)
        self.streamer = BlockStreamer(components.values(), device) if memory.stream_blocks else None
        if self.streamer:
            for component in components.values():
                for tensor in outside_blocks(component):
                    tensor.data = tensor.data.to(device)
        # Of a streamed tower only what lies outside the blocks is left to move; it is no small part of the memory.
        towers: dict[str, nn.Module] = {
            str(expert): _without_blocks(components[name]) if self.streamer else components[name]
            for expert, name in EXPERTS.items()
            if name in components
        }
        self.experts = OneAtATime(towers, device) if memory.one_expert and len(towers) > 1 else None

    def use(self, expert: Expert | str) -> None:
        """Make an expert ready for a forward and its backward pass."""
        if self.experts:
            self.experts.use(str(expert))


def _without_blocks(tower: nn.Module) -> nn.Module:
    # A tower owns no parameter itself: all are in its children (decision 0001).
    return nn.ModuleDict({name: child for name, child in tower.named_children() if name != "blocks"})
