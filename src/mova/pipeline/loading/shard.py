"""Towers and bridge of which each process holds its rows only, for generation: read row by row, adapters included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mova.distributed.mesh import Parallel
from mova.models.experts import Experts, pair_towers
from mova.weights.components import kept_in_float32
from mova.weights.lora.adapters import Lora
from mova.weights.lora.merge import MergeWhileReading
from mova.weights.rows import StoredRows, empty_component

if TYPE_CHECKING:
    from mova.distributed.sharded_init import ReadRows

WeightedLoras = Sequence[tuple[Lora, float]]


class ShardedComponents:
    """Loads towers and bridge that the processes of a group share by rows; none ever holds a whole component.

    Args:
        parallel: this process among the others; those that evaluate other branches of the guidance have copies.
        device: where the rows go.
        dtype: of the weights; parts that a class keeps in float32 are float32.
        loras: fitted adapters and their scales, merged into the rows as they are read.
    """

    def __init__(self, parallel: Parallel, device: torch.device, dtype: torch.dtype, loras: WeightedLoras) -> None:
        # FSDP and the tensors that it is made of take a second to import.
        from mova.distributed.sharded_init import ShardedInit

        self.parallel, self.dtype, self.loras = parallel, dtype, loras
        self._rows = ShardedInit(parallel, device)

    def empty(self, folder: Path, name: str, expected_class: str) -> nn.Module:
        """Return a component without values, and remember where its rows are.

        Args:
            folder: of the component.
            name: of the component, as LoRAs name it.
            expected_class: published name that the config must carry.

        Raises:
            CheckpointError: as `verify_component`.
        """
        component = empty_component(folder, expected_class, self.dtype)
        # Weights of several dtypes in a block can be gathered together only where no gradient is wanted.
        component.requires_grad_(False)
        self._rows.keep(component, self._reader(component, StoredRows(folder), name))
        return component.eval()

    def fill(self, components: Mapping[str, Any]) -> Experts:
        """Share the components among the processes and read this one's rows; all processes must call this.

        Args:
            components: that `empty` gave, by name.

        Returns:
            The joint models with one root, by which they must be called.
        """
        from mova.distributed.fsdp import shard_model

        experts = Experts(pair_towers(components))
        shard_model(experts, components, self.parallel)
        self._rows.fill()
        return experts.eval()

    def _reader(self, empty: nn.Module, stored: StoredRows, component: str) -> ReadRows:
        merge = MergeWhileReading(self.loras, component, self.dtype, kept_in_float32(empty, self.dtype))

        def read(key: str, rows: slice) -> torch.Tensor:
            return merge(key, stored.read(key, rows), rows, lambda: stored.read(key, slice(None)))

        return read
