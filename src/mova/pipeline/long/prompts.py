"""Which prompt holds when, along a clip (no torch here)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mova.conditioning.windows import Window, WindowPlan
from mova.errors import ConfigError
from mova.files.json_file import shorten


@dataclass(frozen=True)
class PromptTrack:
    """Prompts along a clip.

    Attributes:
        prompts: (seconds from which on it holds, text), in the order of their times; the first at 0.

    Raises:
        ConfigError: no text, a time that is no number of 0 or more, or two at one time.
    """

    prompts: tuple[tuple[float, str], ...]

    def __post_init__(self) -> None:
        times = [time for time, _ in self.prompts]
        for time, text in self.prompts:
            if not text.strip():
                raise ConfigError(f"prompt must hold text, got {text!r} at {time:g} s")
            if not (math.isfinite(time) and time >= 0):
                raise ConfigError(f"prompt-at must be at 0 or more seconds, got {time:g}; nearest is 0")
        for time in times:
            if times.count(time) > 1:
                raise ConfigError(f"prompt-at must name each time once, got {time:g} s twice")
        if not times or times != sorted(times) or times[0] != 0:
            raise ConfigError(f"prompts along a clip must begin at 0 s and be in order, got {shorten(times)}")

    @classmethod
    def of(cls, prompt: str, later: Sequence[tuple[float, str]] = ()) -> PromptTrack:
        """Return the track of a first prompt and of later ones in any order; one at 0 takes the place of the first."""
        ordered = sorted(later, key=lambda one: one[0])
        begins = bool(ordered) and ordered[0][0] == 0
        return cls(tuple(ordered) if begins else ((0.0, prompt), *ordered))

    def at(self, time_s: float) -> int:
        """Return which prompt holds at a time, by its place."""
        return max(place for place, (begin, _) in enumerate(self.prompts) if begin <= time_s)

    def text_of(self, window: Window, plan: WindowPlan, offset_s: float = 0.0) -> str:
        """Return the prompt of a window: the one that holds in the middle of what the window makes.

        Args:
            window: of the plan.
            plan: of the windows.
            offset_s: where the windows begin in the clip that the times are of.
        """
        return self.prompts[self.at(offset_s + _middle_s(window, plan))][1]

    def check(self, plan: WindowPlan, offset_s: float = 0.0) -> None:
        """Refuse prompts that no window would take.

        Raises:
            ConfigError: a time outside the clip, or too near to another one, with the times at which windows begin.
        """
        end_s = offset_s + plan.clip.duration_s
        used = {self.at(offset_s + _middle_s(window, plan)) for window in plan.windows}
        begins = [offset_s + plan.begin_s(window) for window in plan.windows]
        for place, (time, text) in enumerate(self.prompts):
            if place and not offset_s <= time < end_s:
                raise ConfigError(
                    f"prompt-at must lie in what is made ({offset_s:.3f} s to {end_s:.3f} s), got {time:g} s for "
                    f"{shorten(text)}; nearest is {min(max(time, offset_s), begins[-1]):.3f}"
                )
            if place and place not in used:
                nearest = min(begins, key=lambda begin: abs(begin - time))
                raise ConfigError(
                    f"prompt-at must be in force in the middle of what a window makes, got {time:g} s for "
                    f"{shorten(text)}, which is in none; windows begin at "
                    f"{', '.join(f'{begin:.3f}' for begin in begins[:12])}; nearest is {nearest:.3f}"
                )


def _middle_s(window: Window, plan: WindowPlan) -> float:
    return (plan.begin_s(window) + plan.end_s(window)) / 2
