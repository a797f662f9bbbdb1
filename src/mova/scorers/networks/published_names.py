"""Networks of transformers that speak the names of published weights: their state dicts are translated both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn


class PublishedName(NamedTuple):
    """Where a tensor lies in published weights.

    Attributes:
        name: of the published tensor.
        part: which of its equal parts along axis 0 it is, from 0; 0 too where it is the whole.
    """

    name: str
    part: int = 0


Rule = Callable[[str], PublishedName | None]
"""From a name of the network to that of the published tensor; None where nothing is published for it."""

Table = Mapping[str, tuple[str, ...]]
"""From a published name to the names of the network, one for each equal part along axis 0."""


def name_table(names: Iterable[str], rule: Rule) -> Table:
    """Return which tensors of a network make up each published one.

    Args:
        names: of the network's state dict.
        rule: says what each is called.
    """
    parts: dict[str, dict[int, str]] = {}
    for own in names:
        published = rule(own)
        if published is not None:
            parts.setdefault(published.name, {})[published.part] = own
    return {name: tuple(owns[part] for part in sorted(owns)) for name, owns in parts.items()}


class SpeaksPublishedNames(nn.Module):
    """A network whose `state_dict()` has the published names and whose `load_state_dict()` takes them.

    Whoever derives from it makes its modules and calls `translate` once.
    """

    unused: tuple[str, ...] = ()
    """Beginnings of published names that the network has no use for; `load_state_dict` leaves them out."""

    def translate(self, rule: Rule) -> None:
        """Take published names from now on.

        Args:
            rule: from names of the modules to published ones.
        """
        names = list(self.state_dict())
        self._table: Table = name_table(names, rule)
        used = {own for parts in self._table.values() for own in parts}
        self._unpublished: tuple[str, ...] = tuple(name for name in names if name not in used)
        self.register_state_dict_post_hook(_publish)
        self.register_load_state_dict_pre_hook(_take_in)

    @property
    def table(self) -> Table:
        """Which tensors of the modules make up each published one."""
        return self._table

    @property
    def unpublished(self) -> tuple[str, ...]:
        """Buffers of the modules for which nothing is published: they stay as they were made."""
        return self._unpublished


def _publish(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, _: object) -> None:
    assert isinstance(module, SpeaksPublishedNames)
    own = {key.removeprefix(prefix): state.pop(key) for key in list(state) if key.startswith(prefix)}
    for name, parts in module.table.items():
        tensors = [own[part] for part in parts]
        state[prefix + name] = tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _take_in(module: nn.Module, state: dict[str, torch.Tensor], prefix: str, *_: object) -> None:
    assert isinstance(module, SpeaksPublishedNames)
    for key in list(state):
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            parts = module.table.get(name)
            if parts is not None:
                tensors = state.pop(key).chunk(len(parts)) if len(parts) > 1 else [state.pop(key)]
                state.update({prefix + part: tensor for part, tensor in zip(parts, tensors, strict=True)})
            elif name.startswith(module.unused):
                del state[key]
    state.update({prefix + name: module.get_buffer(name) for name in module.unpublished})
