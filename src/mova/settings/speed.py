"""Speed presets: how much sooner a clip may come for how much less exactness, and what each changes."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Final

from mova.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One preset. The defaults leave nothing out.

    Attributes:
        words: what the preset changes, for people.
        step_share: share of the recommended steps, rounded up.
        sampler: instead of the recommended one; None keeps it.
        guidance_interval: (low, high) in sigma where guidance acts; outside it one call per step is enough.
        adaptive_guidance: tolerance of `mova.diffusion.adaptive_guidance`; 0 guides in the whole interval.
        cache_threshold: threshold of `mova.pipeline.loop.step_cache`; 0 computes everything at every step.
        cache_order: order of the same cache; 0 repeats, 1 and 2 forecast.
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


# Chosen on the toy world: benchmarks/bench_speed.py measures what each costs there. With so few steps the step cache
# loses more than it saves: what changes from one step to the next is then too much to repeat or to forecast.
SPEEDS: Final[dict[str, Speed]] = {
    "exact": Speed(words="nothing is left out"),
    "fast": Speed(
        words="half of the steps, by the second-order sampler; classifier-free guidance ends once it hardly matters",
        step_share=0.5,
        sampler="unipc",
        adaptive_guidance=0.005,
    ),
    "fastest": Speed(
        words="a quarter of the steps, by the second-order sampler; classifier-free guidance ends once it "
        "matters little",
        step_share=0.25,
        sampler="unipc",
        adaptive_guidance=0.02,
    ),
    # Steps and guidance are those that the model's adapters were made for: `mova.settings.few_steps`.
    "distilled": Speed(words="adapters of the model for few steps without guidance"),
}


def speed_named(name: str) -> Speed:
    """Return a speed preset.

    Raises:
        ConfigError: there is none of this name; the text names the one that is most like it.
    """
    if name not in SPEEDS:
        close = difflib.get_close_matches(str(name), SPEEDS, n=1, cutoff=0.0)
        raise ConfigError(f"speed must be one of {', '.join(SPEEDS)}; got {name!r}; nearest is {close[0]}")
    return SPEEDS[name]
