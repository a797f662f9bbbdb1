"""How much sooner a clip may come for how much less exactness: a ladder whose rungs say what they change."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Final

from mova.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One rung. The defaults leave nothing out.

    Attributes:
        words: what it changes, for people.
        step_share: of the recommended steps, rounded up.
        sampler: instead of the recommended one; None keeps it.
        guidance_interval: (low, high) in sigma where guidance acts; outside it one call per step is enough.
        adaptive_guidance: tolerance of `mova.diffusion.adaptive_guidance`; 0 guides in the whole interval.
        cache_threshold: of `mova.generate.step_cache`; 0 computes everything at every step.
        cache_order: of the same; 0 repeats, 1 and 2 forecast.
    """

    words: str
    step_share: float = 1.0
    sampler: str | None = None
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    adaptive_guidance: float = 0.0
    cache_threshold: float = 0.0
    cache_order: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.step_share <= 1:
            raise ConfigError(f"step_share must lie in (0, 1], got {self.step_share}; nearest is 1")

    def steps(self, recommended: int) -> int:
        """Return the steps of a model that recommends so many."""
        return max(1, math.ceil(self.step_share * recommended))


# Chosen on the toy world: benchmarks/bench_speed.py measures what each costs there.
SPEEDS: Final[dict[str, Speed]] = {
    "exact": Speed(words="nothing is left out"),
    "fast": Speed(
        words="three fifths of the steps, text guidance above noise level 0.3 only",
        step_share=0.6,
        sampler="unipc",
        guidance_interval=(0.3, 1.0),
    ),
    "fastest": Speed(
        words="less than half of the steps, guidance above 0.5 only, picture blocks repeated",
        step_share=0.45,
        sampler="unipc",
        guidance_interval=(0.5, 1.0),
        cache_threshold=0.15,
    ),
}


def speed_named(name: str) -> Speed:
    """Return a rung of the ladder.

    Raises:
        ConfigError: there is none of this name; the text names the one that is most like it.
    """
    if name not in SPEEDS:
        close = difflib.get_close_matches(str(name), SPEEDS, n=1, cutoff=0.0)
        raise ConfigError(f"speed must be one of {', '.join(SPEEDS)}; got {name!r}; nearest is {close[0]}")
    return SPEEDS[name]
