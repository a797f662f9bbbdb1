"""Sharded initialisation: a process has its rows of every weight from the start, and never holds a whole component.

A component is built on the meta device, sharded (`mova.distributed.fsdp`), and only then given values, each process the
rows that are its part. Rows of stored weights are read from their files. Rows of new weights are drawn: every process
draws the same numbers in the same order as one process alone, and lets go of what is not its own, block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.module import register_module_module_registration_hook

from mova.distributed.fsdp import local, num_shards
from mova.distributed.mesh import Parallel
from mova.models.bridge import Conditioner
from mova.models.dit_block import DiTBlock
from mova.models.tower import DiTTower

# Called with the name of a parameter and this process's rows of it; returns those, on the CPU.
ReadRows = Callable[[str, slice], torch.Tensor]
_Component = TypeVar("_Component", bound=nn.Module)


class ShardedInit:
    """Sharded initialisation of components: the rows of one process, and where their values come from.

    Args:
        parallel: this process among several.
        device: device that trains.
    """

    def __init__(self, parallel: Parallel, device: torch.device) -> None:
        self.parallel, self.device = parallel, device
        self._sources: list[tuple[nn.Module, ReadRows]] = []

    @classmethod
    def of(cls, parallel: Parallel, device: torch.device) -> ShardedInit | None:
        """Return the initialisation of a process among several, None for one that is alone: all rows are its own."""
        return None if parallel.mesh is None else cls(parallel, device)

    def slice_of(self, length: int) -> slice:
        """Return which of so many rows are this process's, as FSDP2 shards them: equal parts, the last ones shorter."""
        shards = num_shards(self.parallel)
        size, index = -(-length // shards), self.parallel.rank % shards
        return slice(min(index * size, length), min((index + 1) * size, length))

    def draw(self, build: Callable[[], _Component]) -> tuple[_Component, dict[str, torch.Tensor]]:
        """Draw a new component, of which only this process's rows stay.

        Args:
            build: draws a tower or a bridge on the CPU.

        Returns:
            The component on the meta device, and its parameters' rows by name, for `keep`.
        """
        rows: dict[int, torch.Tensor] = {}

        def shed(parent: nn.Module, _name: str, child: nn.Module | None) -> None:
            # Only parts that are complete: what they are made of may still be changed by their own constructor.
            if child is not None and (isinstance(child, DiTBlock | Conditioner) or isinstance(parent, DiTTower)):
                self._shed(child, rows)

        handle = register_module_module_registration_hook(shed)
        try:
            component = build()
        finally:
            handle.remove()
        self._shed(component, rows)
        return component, {name: rows[id(parameter)] for name, parameter in component.named_parameters()}

    def keep(self, component: nn.Module, read: ReadRows) -> None:
        """Remember where the rows of a component on the meta device come from; what is not on it keeps its values."""
        self._sources.append((component, read))

    def fill(self) -> None:
        """Give all components their values, after they have been sharded."""
        for component, read in self._sources:
            filled = {
                name: self._filled(parameter, read(name, self.slice_of(len(parameter))))
                for name, parameter in component.named_parameters()
                if parameter.is_meta
            }
            component.load_state_dict(filled, strict=False, assign=True)
        self._sources.clear()

    def _filled(self, empty: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        assert rows.shape == local(empty).shape, "weights are sharded before they are filled, and by the same rule"
        if not isinstance(empty, DTensor):
            return rows.to(self.device, empty.dtype)
        return DTensor.from_local(
            rows.to(self.device, empty.dtype),
            empty.device_mesh,
            empty.placements,
            run_check=False,
            shape=empty.shape,
            stride=empty.stride(),
        )

    def _shed(self, module: nn.Module, rows: dict[int, torch.Tensor]) -> None:
        for owner, name, parameter in _parameters(module):
            if not parameter.is_meta:
                empty = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
                # A copy: a view would keep the whole.
                rows[id(empty)] = parameter.detach()[self.slice_of(len(parameter))].clone()
                owner.register_parameter(name, empty)


@contextmanager
def placeholder_weights(component: nn.Module) -> Iterator[None]:
    """Give a component on the meta device placeholder weights on the CPU, for code that draws beside its weights.

    Every tensor is a single number, seen as often as its shape has room for it. Adapters that are put in meanwhile are
    on the CPU and stay as they are.
    """
    empty = [found for found in _parameters(component) if found[2].is_meta]
    for owner, name, parameter in empty:
        number = torch.zeros((), dtype=parameter.dtype).expand(parameter.shape)
        owner.register_parameter(name, nn.Parameter(number, parameter.requires_grad))
    try:
        yield
    finally:
        for owner, name, parameter in empty:
            owner.register_parameter(name, parameter)


def _parameters(module: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    return [
        (owner, name, parameter)
        for owner in module.modules()
        for name, parameter in owner.named_parameters(recurse=False)
    ]
