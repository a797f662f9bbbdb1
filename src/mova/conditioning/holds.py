"""What of a clip is held: the records that the loop takes (`mova.diffusion.holds`), under the roof of conditioning."""

from __future__ import annotations

from mova.diffusion.holds import Hold, HoldMethod, Holds

__all__ = ["Hold", "HoldMethod", "Holds"]
