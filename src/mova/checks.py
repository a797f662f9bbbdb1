"""Checks of ranges and choices, with the texts of their errors: the rule, the value received, the nearest valid one."""

from __future__ import annotations

import difflib
import math
from typing import Final, Literal, get_args

from mova.errors import ConfigError

MAX_STEPS: Final = 1000
"""Steps of a sampling run."""

Precision = Literal["auto", "float32", "bfloat16"]
"""In which dtype a model computes; what "auto" takes depends on the device, the processor and the model."""

PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)


def check_precision(name: str, what: str = "precision") -> Precision:
    """Refuse a precision that there is not.

    Raises:
        ConfigError: with the name that is nearest.
    """
    for known in PRECISIONS:
        if name == known:
            return known
    close = difflib.get_close_matches(str(name).lower(), PRECISIONS, n=1, cutoff=0.0)
    raise ConfigError(f"{what} must be one of {', '.join(PRECISIONS)}; got {name!r}; nearest is {close[0]}")


def check_steps(num_inference_steps: int) -> None:
    """Refuse a number of steps outside 1 to `MAX_STEPS`."""
    if isinstance(num_inference_steps, bool) or not isinstance(num_inference_steps, int):
        raise ConfigError(f"steps must be a whole number from 1 to {MAX_STEPS}, got {num_inference_steps!r}")
    if not 1 <= num_inference_steps <= MAX_STEPS:
        nearest = min(max(num_inference_steps, 1), MAX_STEPS)
        raise ConfigError(f"steps must lie between 1 and {MAX_STEPS}, got {num_inference_steps}; nearest is {nearest}")


def check_scale(name: str, scale: float | None) -> None:
    """Refuse a guidance scale that is not finite or below 0."""
    if scale is not None and not (math.isfinite(scale) and scale >= 0):
        raise ConfigError(f"{name} must be finite and 0 or more, got {scale}; 1.0 disables it")


def check_share(name: str, share: float) -> None:
    """Refuse a number outside [0, 1]."""
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} must lie in [0, 1], got {share}; nearest is {1 if share > 1 else 0}")


def check_guidance(
    *,
    guidance_scale: float,
    modality_scale: float,
    audio_guidance_scale: float | None,
    audio_modality_scale: float | None,
    guidance_rescale: float,
    guidance_interval: tuple[float, float],
    adaptive_guidance: float,
) -> None:
    """Refuse scales below 0, a rescale or a tolerance outside [0, 1], and an interval outside it or turned round."""
    check_scale("guidance_scale", guidance_scale)
    check_scale("modality_scale", modality_scale)
    check_scale("audio_guidance_scale", audio_guidance_scale)
    check_scale("audio_modality_scale", audio_modality_scale)
    check_share("guidance_rescale", guidance_rescale)
    check_share("adaptive_guidance", adaptive_guidance)
    low, high = guidance_interval
    if not 0 <= low < high <= 1:
        raise ConfigError(f"guidance_interval must satisfy 0 <= low < high <= 1, got {low} and {high}; all is 0 and 1")


def check_shift(name: str, shift: float | None) -> None:
    """Refuse a sigma shift that is not finite and above 0."""
    if shift is not None and not (math.isfinite(shift) and shift > 0):
        raise ConfigError(f"{name} must be positive and finite, got {shift}; the released models use 5.0")


def check_cache(threshold: float, order: int) -> None:
    """Refuse a threshold of the step cache that is not finite or below 0, and an order that is not 0, 1 or 2."""
    if not (math.isfinite(threshold) and threshold >= 0):
        raise ConfigError(f"step_cache must be finite and 0 or more, got {threshold}; nearest is 0, which is off")
    if isinstance(order, bool) or order not in (0, 1, 2):
        nearest = 2 if order > 2 else 0
        raise ConfigError(f"step_cache_order must be 0, 1 or 2, got {order}; nearest is {nearest}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among `choices`; the text names the one that is most like it."""
    if value not in choices:
        import difflib

        close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {value!r}; nearest is {close[0]}")
