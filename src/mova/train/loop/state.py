"""What a training run is made of, as named tensors: weights, averaged weights, optimiser; and back again.

Everything is named by the path of its parameter, so that a state fits any number of processes and any order of groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mova.distributed.mesh import Parallel
from mova.errors import CheckpointError
from mova.files.json_file import as_fields
from mova.train.loop.checkpoint import StoredState

# An integer or a number that an optimiser keeps for a parameter goes to the values, not to the tensors.
Values = dict[str, Any]


class TrainingState:
    """Names the tensors of a run.

    Args:
        modules: what is trained, by name; frozen parameters inside are stored too.
        optimizers: over parameters of the modules.
        average: averaged weights, one for each of `averaged`; empty without an average.
        averaged: the parameters that they belong to.
        parallel: this process among the others.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        average: Sequence[torch.Tensor],
        averaged: Sequence[torch.Tensor],
        parallel: Parallel,
    ) -> None:
        self.modules, self.optimizers, self.parallel = modules, optimizers, parallel
        self.names = {
            id(parameter): f"{name}/{path}"
            for name, module in modules.items()
            for path, parameter in module.named_parameters()
        }
        self.average = {self.names[id(owner)]: shadow for owner, shadow in zip(averaged, average, strict=True)}

    def collect(self) -> tuple[dict[str, torch.Tensor], Values]:
        """Return all tensors, which are the run's own, and the numbers beside them."""
        tensors = dict(self._weights()) | {f"average/{name}": shadow for name, shadow in self.average.items()}
        numbers: Values = {}
        for index, name, entry in self._optimizer_entries():
            for key, value in entry.items():
                place = f"optimizer/{index}/{name}/{key}"
                if isinstance(value, torch.Tensor):
                    tensors[place] = value
                else:
                    numbers[place] = value
        tensors |= self._random_states()
        return tensors, {"optimizer": numbers, "world_size": self.parallel.world_size}

    def restore(self, stored: StoredState) -> None:
        """Fill the run with a state, in place.

        A run that had no average until now begins it with the weights. Where the number of processes has changed the
        global generators stay as they are: all draws of the training follow from seed and step.

        Raises:
            CheckpointError: the state belongs to another model or optimiser.
        """
        wanted = dict(self._weights())
        has_average = any(name.startswith("average/") for name in stored.tensors)
        if has_average:
            wanted |= {f"average/{name}": shadow for name, shadow in self.average.items()}
        wanted |= self._optimizer_templates(stored)
        same_world = stored.values.get("world_size") == self.parallel.world_size
        states = self._random_states() if same_world else {}
        strange = sorted(
            name for name in stored.tensors if name not in wanted and not name.startswith(("random/", "average/"))
        )
        if strange:
            raise CheckpointError(f"{stored.path} holds {len(strange)} tensors of another model: first {strange[0]}")
        stored.read_into(wanted | states, self.parallel)
        if not has_average:
            weights = dict(self._weights())
            for name, shadow in self.average.items():
                shadow.copy_(weights[f"modules/{name}"])
        try:
            self._set_random_states(states)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise CheckpointError(f"{stored.path} holds states of generators that are none: {error}") from error

    def _weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, module in self.modules.items():
            for path, tensor in module.state_dict().items():
                yield f"modules/{name}/{path}", tensor

    def _optimizer_entries(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        for index, optimizer in enumerate(self.optimizers):
            for parameter, entry in optimizer.state.items():
                yield index, self.names[id(parameter)], entry

    def _optimizer_templates(self, stored: StoredState) -> dict[str, torch.Tensor]:
        """Make room for what the stored optimiser holds of each parameter; return it by name."""
        templates: dict[str, torch.Tensor] = {}
        numbers = _numbers(stored)
        for index, optimizer in enumerate(self.optimizers):
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    place = f"optimizer/{index}/{self.names[id(parameter)]}/"
                    entry: dict[str, Any] = {
                        name.removeprefix(place): _room_for(parameter, shape, dtype, bool(group.get("fused")))
                        for name, (shape, dtype) in stored.tensors.items()
                        if name.startswith(place)
                    }
                    templates |= {place + key: value for key, value in entry.items()}
                    entry |= {key.removeprefix(place): v for key, v in numbers.items() if key.startswith(place)}
                    if entry:
                        optimizer.state[parameter] = entry
        return templates

    def _random_states(self) -> dict[str, torch.Tensor]:
        """Return the states of this process's global generators of torch, from which third parties' dropout draws.

        A run draws nothing from those of Python and NumPy: whatever it draws by them has a generator and a seed of its
        own.
        """
        place = f"random/{self.parallel.rank}/"
        states = {"torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state()
        return {place + name: state for name, state in states.items()}

    def _set_random_states(self, states: Mapping[str, torch.Tensor]) -> None:
        for name, state in states.items():
            match name.rpartition("/")[2]:
                case "torch":
                    torch.set_rng_state(state)
                case "cuda":
                    torch.cuda.set_rng_state(state)


def _numbers(stored: StoredState) -> Values:
    """Return what the optimisers of a state hold beside tensors.

    Raises:
        CheckpointError: something else than finite numbers.
    """
    numbers = as_fields(stored.values.get("optimizer", {}), f"{stored.path}: optimizer", error=CheckpointError)
    for key in numbers.values:
        if not isinstance(numbers.values[key], bool):
            numbers.number(key)
    return dict(numbers.values)


def _room_for(parameter: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype, fused: bool) -> torch.Tensor:
    if shape == tuple(parameter.shape):
        # Sharded as the parameter is.
        return torch.zeros_like(parameter, dtype=dtype, requires_grad=False)
    # The number of updates is a scalar that lives on the CPU unless a fused kernel reads it.
    return torch.zeros(shape, dtype=dtype, device=parameter.device if shape or fused else "cpu")
