"""What a pipeline does with a placement of its weights: each phase brings what it computes with to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from mova.distributed.mesh import Parallel
from mova.models.bridge import CrossModalBridge
from mova.models.experts import Experts
from mova.models.tower import VideoTower
from mova.names import Expert
from mova.offload.placement import Placement
from mova.pipeline.cache_room import check_cache_room
from mova.pipeline.loop.parallel import Spread
from mova.pipeline.loop.velocity import TextConditions
from mova.pipeline.run_plan import RunPlan, Start
from mova.pipeline.sharing import WeightState
from mova.plan.free import room_of
from mova.plan.memory import check_memory


class PlacedPipelineMixin:
    """What a pipeline does with a placement: its phases, or nothing where all components are on the device."""

    placement: Placement | None = None
    video_dit: VideoTower
    dual_tower_bridge: CrossModalBridge
    _state: WeightState
    _spread: Spread
    _interrupt: bool = False

    @property
    def placement_name(self) -> str:
        """Where the weights are offloaded to, one of `mova.plan.memory.PLACEMENTS`."""
        return "resident" if self.placement is None else self.placement.plan.placement

    @property
    def _execution_device(self) -> torch.device:
        if self.placement is not None:
            return self.placement.device
        device: torch.device = super()._execution_device  # type: ignore[misc]
        return device

    def spread_over(self, parallel: Parallel, experts: Experts | None = None) -> None:
        """Share every later call with other processes (see `SpreadPipelineMixin`).

        Raises:
            ConfigError: weights are offloaded.
        """
        check_memory(self.placement_name, parallel.world_size)
        super().spread_over(parallel, experts)  # type: ignore[misc]

    def _check_cache_room(self, plan: RunPlan) -> None:
        """Refuse a step cache that does not fit beside the model, see `check_cache_room`."""
        if plan.settings.step_cache:
            placed = None if self.placement is None else self.placement.plan
            check_cache_room(plan, self.video_dit, self.dual_tower_bridge, room_of(self._execution_device), placed)

    @property
    def run_device(self) -> torch.device:
        """Device that a run computes on."""
        return self._execution_device

    def prepare(self, make: Callable[[], tuple[TextConditions, Start]]) -> tuple[TextConditions, Start]:
        """Return what `make` gives on rank 0, on every process and on the device that computes."""
        return self._spread.prepare(make, self.run_device)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the pipeline for the time of the block, as a call does: its weights stay as they are."""
        with self._state.turns.call():
            self._interrupt = False
            yield

    @contextmanager
    def coding(self) -> Iterator[torch.device]:
        """Onload the autoencoders for the time of the block, and give the device that they compute on."""
        with self._coding():
            yield self.run_device

    def _reading_text(self) -> Any:
        return nullcontext() if self.placement is None else self.placement.reading_text()

    def _coding(self) -> Any:
        return nullcontext() if self.placement is None else self.placement.coding()

    def _denoising(
        self, models: Iterable[Any], experts: Sequence[Expert]
    ) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(_nothing) if self.placement is None else self.placement.denoising(models, experts)

    def _act(self, adapters: Mapping[str, Any], factor: float = 1.0, *, is_on: bool = True) -> None:
        """Let adapters act (see `LoraPipelineMixin`) on offloaded weights, which have memory of their own then."""
        with self._state.turns.change("LoRAs"):
            if self.placement is not None:
                self.placement.make_writable(
                    getattr(self, component).get_parameter(key)
                    for entry in adapters.values()
                    for component in entry.lora.components
                    for key in entry.lora.changes(component)
                )
            super()._act(adapters, factor, is_on=is_on)  # type: ignore[misc]


def _nothing() -> None:
    """Be called after each step where no weights are placed."""
