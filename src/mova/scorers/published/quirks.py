"""What the reference evaluation does otherwise than it should, each by a name, so that its figures can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True)
class Quirks:
    """Quirks of OpenMOSS/MOVA's evaluation; none is taken over unless it is asked for.

    Attributes:
        duration_minus_100_ms: DeSync and ImageBind look at a clip without its last tenth of a second: 23 segments
            rather than 24, three frames rather than four, of 8.04 seconds.
        is_one_split: the Inception Score takes the clips of a category as one split, as they come.
        is_in_float32: the Inception Score clips probabilities in float32, where 1 stays 1 and spoils the set.
        category_means: the mean over all clips is the plain mean of the means of the categories, however many clips
            each has.
        clap_32_khz: CLAP is given sounds at 32 kHz, which it takes for 48 kHz.
        mono_loudness: loudness is that of the mean of the channels, up to 3 LU below that of both.
        dnsmos_of_all_sounds: DNSMOS judges every clip with sound, whether or not somebody speaks.
    """

    duration_minus_100_ms: bool = False
    is_one_split: bool = False
    is_in_float32: bool = False
    category_means: bool = False
    clap_32_khz: bool = False
    mono_loudness: bool = False
    dnsmos_of_all_sounds: bool = False

    def names(self) -> tuple[str, ...]:
        """Return those that are taken over."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))


NO_QUIRKS: Final = Quirks()
MOVA_QUIRKS: Final = Quirks(**{field.name: True for field in fields(Quirks)})
"""All of the reference's: `--parity mova`."""
