"""How many processes generate one clip together: branches of guidance, Ulysses, ring (plain numbers, no torch here)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mova.errors import ConfigError

_AXES = ("branches", "ring", "ulysses")


@dataclass(frozen=True)
class Layout:
    """What each process of a generation does.

    Attributes:
        branches: groups of processes that evaluate different branches of the guidance.
        ring, ulysses: processes of a group, which share the tokens of a sample.

    Raises:
        ConfigError: a number below 1.
    """

    branches: int = 1
    ring: int = 1
    ulysses: int = 1

    def __post_init__(self) -> None:
        for name in _AXES:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of a layout must be 1 or more, got {getattr(self, name)}; nearest is 1")

    @property
    def num_processes(self) -> int:
        """Processes in all."""
        return self.branches * self.context_size

    @property
    def context_size(self) -> int:
        """Processes that share the tokens of a sample."""
        return self.ring * self.ulysses

    def __str__(self) -> str:
        return f"branches={self.branches},ring={self.ring},ulysses={self.ulysses}"


@dataclass(frozen=True)
class Divisible:
    """What of a generation can be shared.

    Attributes:
        heads: attention heads of the towers, by name.
        tokens: tokens of each stream, by name; every process of a group needs one of each.
        num_branches: predictions of a guided step, 1 to 3.
        shares_tokens: whether the bridge allows a sample to be shared at all.
    """

    heads: Mapping[str, int]
    tokens: Mapping[str, int]
    num_branches: int = 1
    shares_tokens: bool = True

    @property
    def max_context(self) -> int:
        """Processes that can share a sample at most."""
        return min(self.tokens.values()) if self.shares_tokens else 1


def parse_layout(text: str) -> Layout:
    """Read a layout written as `branches=2,ring=1,ulysses=2`; what is left out is 1.

    Raises:
        ConfigError: not of this form, or a number below 1.
    """
    given: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(rf"\s*({'|'.join(_AXES)})\s*=\s*(\d+)\s*", part)
        if match is None or match[1] in given:
            raise ConfigError(
                f"layout must name {', '.join(_AXES)} at most once each, got {text!r}; for example branches=2,ulysses=2"
            )
        given[match[1]] = int(match[2])
    return Layout(**given)


def choose_layout(num_processes: int, work: Divisible, *, one_group: bool = False) -> Layout:
    """Decide how so many processes share a generation.

    Branches of the guidance cost nothing to share, so they go to groups of their own where the processes can be split
    evenly among all of them. In a group, Ulysses exchanges less than a ring and goes as far as the heads allow.

    Args:
        num_processes: number of processes in all.
        work: what can be shared.
        one_group: let all processes share each sample, as they must to share the weights.

    Raises:
        ConfigError: there is no layout for so many; names the nearest number that has one.
    """
    found = _fitting(num_processes, work, one_group)
    if found is not None:
        return found
    fewer = next(n for n in range(min(num_processes - 1, 3 * work.max_context), 0, -1) if _fitting(n, work, one_group))
    streams = ", ".join(f"{name} {number}" for name, number in work.tokens.items())
    reason = (
        f"every process of a group needs a token of each stream ({streams})"
        if work.shares_tokens
        else "the bridge pools whole frames (pooled_adaln), so that processes cannot share a sample"
    )
    raise ConfigError(
        f"gpus must be a number that some layout can use, got {num_processes}: {reason}, and there are "
        f"{work.num_branches} branches of guidance; nearest is {fewer}"
    )


def check_layout(layout: Layout, num_processes: int, work: Divisible) -> None:
    """Refuse a layout that does not fit the processes, the guidance, the heads or the tokens.

    Raises:
        ConfigError: with the rule, the value and the nearest valid one.
    """
    if layout.num_processes != num_processes:
        try:
            fitting = f"; {choose_layout(num_processes, work)} would fit"
        except ConfigError:
            fitting = ""
        raise ConfigError(
            f"layout must be for as many processes as there are, {num_processes}; got {layout} for "
            f"{layout.num_processes}{fitting}"
        )
    if layout.branches > work.num_branches:
        raise ConfigError(
            f"branches of a layout must be at most those of the guidance, {work.num_branches}; got {layout.branches}; "
            f"nearest is {work.num_branches}"
        )
    check_ulysses(layout.ulysses, work.heads)
    if layout.context_size > work.max_context:
        raise ConfigError(
            f"ring x ulysses of a layout must be at most {work.max_context}, so that every process has something to "
            f"compute; got {layout.context_size}; nearest is {work.max_context}"
        )


def check_ulysses(ulysses: int, heads: Mapping[str, int]) -> None:
    """Refuse a degree that the heads of some tower forbid; the text names the nearest that all of them allow.

    Raises:
        ConfigError: `ulysses` does not divide the heads of every tower.
    """
    if all(number % ulysses == 0 for number in heads.values()):
        return
    common = math.gcd(*heads.values())
    fitting = [degree for degree in range(1, common + 1) if common % degree == 0]
    near = min(fitting, key=lambda degree: (abs(degree - ulysses), degree))
    described = ", ".join(f"{name} {number}" for name, number in heads.items())
    raise ConfigError(f"ulysses must divide the heads of all towers ({described}), got {ulysses}; nearest is {near}")


def _fitting(num_processes: int, work: Divisible, one_group: bool) -> Layout | None:
    """Return the layout for so many processes, None where there is none."""
    several = () if one_group or work.num_branches == 1 else (work.num_branches,)
    for branches in (*several, 1):
        context, rest = divmod(num_processes, branches)
        if rest == 0 and context <= work.max_context:
            ulysses = math.gcd(context, *work.heads.values())
            return Layout(branches=branches, ring=context // ulysses, ulysses=ulysses)
    return None
