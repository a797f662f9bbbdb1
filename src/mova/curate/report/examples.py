"""Which clips are shown: few, of every group, and the same ones whenever the same clips are there."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class Chosen(Generic[T]):
    """Keeps of each group the few members with the least ids: ids are random, so these are any, yet always the same.

    Args:
        per_group: members that are kept.
        most_groups: groups; those whose names come last are let go.
    """

    def __init__(self, per_group: int, most_groups: int) -> None:
        self.per_group, self.most_groups = per_group, most_groups
        self._groups: dict[str, list[tuple[str, T]]] = {}

    def offer(self, group: str, number: str, make: Callable[[], T]) -> None:
        """Keep a member if it belongs to those with the least ids.

        Args:
            group: its group.
            number: its id, unique.
            make: makes what is kept; called only where it is.
        """
        if group not in self._groups and len(self._groups) >= self.most_groups:
            last = max(self._groups)
            if group > last:
                return
            del self._groups[last]
        held = self._groups.setdefault(group, [])
        if len(held) >= self.per_group and number > held[-1][0]:
            return
        bisect.insort(held, (number, make()), key=lambda member: member[0])
        del held[self.per_group :]

    def members(self, most: int, rank: Callable[[str], float]) -> list[T]:
        """Return members of all groups in turn.

        Args:
            most: of all.
            rank: of a group by its name; the least comes first.
        """
        groups = sorted(self._groups, key=lambda group: (rank(group), group))
        return list(self._in_turn([self._groups[group] for group in groups]))[:most]

    def _in_turn(self, groups: list[list[tuple[str, T]]]) -> Iterator[T]:
        for row in zip_longest(*groups):
            yield from (member[1] for member in row if member is not None)
