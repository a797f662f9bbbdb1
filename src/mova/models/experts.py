"""Both experts behind one call, so that what is spread over processes has one root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.names import EXPERTS, SHARED_COMPONENTS, VIDEO_TOWER, Expert
from mova.types import Velocities


def pair_towers(components: Mapping[Any, Any]) -> dict[Expert, DualTower]:
    """Return the joint model of each expert; they share the audio tower and the bridge.

    Args:
        components: by the names of the published layout; a model with one video tower uses it at every noise level.

    Raises:
        ConfigError: sizes of bridge and towers differ.
    """
    shared = [components[name] for name in SHARED_COMPONENTS]
    only = components[VIDEO_TOWER]
    return {expert: DualTower(components.get(name, only), *shared) for expert, name in EXPERTS.items()}


class Experts(nn.Module):
    """The joint models of both experts behind one call, so that what is sharded has one root.

    Args:
        models: by name of the expert; they share the audio tower and the bridge.
    """

    def __init__(self, models: Mapping[Expert, DualTower]) -> None:
        super().__init__()
        self.models = nn.ModuleDict({str(name): model for name, model in models.items()})

    def forward(self, expert: Expert, *inputs: torch.Tensor, frame_rate: float, use_bridge: bool) -> Velocities:
        """Run the joint forward of one expert, see `DualTower`."""
        velocities: Velocities = self.models[expert](*inputs, frame_rate=frame_rate, use_bridge=use_bridge)
        return velocities


class ExpertForward:
    """The joint forward of one expert as a pipeline calls it; a `JointModel` of `mova.pipeline.loop.velocity`.

    Args:
        experts: whose forward is called, so that sharded weights are gathered as in training.
        expert: which of them.
        bring: brings an expert to the device, where there is room for one only.
    """

    def __init__(self, experts: Experts, expert: Expert, bring: Callable[[str], None] | None = None) -> None:
        self.experts, self.expert, self.bring = experts, expert, bring

    @property
    def dual_tower(self) -> DualTower:
        """The expert's joint model, to set hooks on; it is called through `Experts` alone."""
        return cast("DualTower", self.experts.models[self.expert])

    @property
    def video_tower(self) -> VideoTower:
        """The expert's tower."""
        return self.dual_tower.video_tower

    @property
    def audio_tower(self) -> AudioTower:
        """The tower that both experts share."""
        return cast("AudioTower", self.experts.models[self.expert].audio_tower)

    def __call__(self, *inputs: torch.Tensor, frame_rate: float, use_bridge: bool = True) -> Velocities:
        """Predict both velocities, see `DualTower`."""
        if self.bring:
            self.bring(self.expert)
        velocities: Velocities = self.experts(self.expert, *inputs, frame_rate=frame_rate, use_bridge=use_bridge)
        return velocities
