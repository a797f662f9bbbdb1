"""Whether a sound goes on without a click where two parts of it were joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.reading.detect_audio import mono, spectral_rise

NEAR_SEAM_S: Final = 0.02
# A sound that begins this near to a seam rises by itself, so that nothing is known of the seam.
NEAR_ONSET_S: Final = 0.06


def seams_are_quiet(
    waveform: NDArray[np.floating] | None,
    sample_rate: int,
    seams_s: Sequence[float],
    onsets_s: Sequence[float],
    quiet_rise: float,
) -> bool | None:
    """Return whether the spectrum rises no more at any seam than in true clips away from onsets.

    Args:
        waveform: (channels, S) in [-1, 1].
        sample_rate: in Hz, 8000 or more.
        seams_s: where parts were joined, in seconds.
        onsets_s: where sounds begin that are heard; seams near one are left out.
        quiet_rise: how much true clips rise at most, see `Scene.quiet_rise`.

    Returns:
        None where no seam is left.

    Raises:
        GeometryError: the sample rate is too low for the world's notes.
        NumericalError: a sample is not finite.
    """
    samples = mono(waveform, sample_rate)
    left = [at for at in seams_s if all(abs(at - onset) > NEAR_ONSET_S for onset in onsets_s)]
    if samples is None or not left:
        return None
    times_s, rise = spectral_rise(samples, sample_rate)
    return all(float(rise[np.abs(times_s - at) <= NEAR_SEAM_S].max(initial=0.0)) <= quiet_rise for at in left)
