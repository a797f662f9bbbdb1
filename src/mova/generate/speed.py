"""How much sooner a clip may come for how much less exactness: a ladder whose rungs say what they change."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Final

from mova.errors import ConfigError


@dataclass(frozen=True)
class Speed:
    """One rung.

    Attributes:
        step_share: of the recommended steps, rounded up.
        guidance_interval: (low, high) in sigma where guidance acts; outside it one call per step is enough.
        cache_threshold: of `mova.generate.step_cache`; 0 computes everything at every step.
        words: what it changes, for people.
    """

    step_share: float
    guidance_interval: tuple[float, float]
    cache_threshold: float
    words: str

    def __post_init__(self) -> None:
        if not 0 < self.step_share <= 1:
            raise ConfigError(f"step_share must lie in (0, 1], got {self.step_share}; nearest is 1")

    def steps(self, recommended: int) -> int:
        """Return the steps of a model that recommends so many."""
        return max(1, math.ceil(self.step_share * recommended))


# Chosen on the toy world: benchmarks/bench_speed.py measures what each costs there.
SPEEDS: Final[dict[str, Speed]] = {
    "exact": Speed(1.0, (0.0, 1.0), 0.0, "nothing is left out"),
    "fast": Speed(0.6, (0.3, 1.0), 0.0, "three fifths of the steps, text guidance above noise level 0.3 only"),
    "fastest": Speed(
        0.45, (0.5, 1.0), 0.15, "less than half of the steps, guidance above 0.5 only, picture blocks repeated"
    ),
    # Steps and guidance are those that the model's adapters were made for: `mova.generate.few_steps`.
    "distilled": Speed(1.0, (0.0, 1.0), 0.0, "adapters with which few steps without guidance do"),
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
