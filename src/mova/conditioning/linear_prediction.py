"""How a short sound would go on: linear prediction (autoregressive, Burg's method)."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ORDER_S: Final = 0.008
"""Length of the predictor: tones of 125 Hz and more have a whole period in it."""
LOOK_S: Final = 0.12
"""How much of the sound it is fitted to."""


def predict_onward(samples: torch.Tensor, count: int, sample_rate: int) -> torch.Tensor:
    """Return the next samples (..., count) of sounds (..., S), in their type and on their device.

    Tones that ring go on with their phase and their decay, noise fades away. Burg's method gives predictors that are
    stable, so nothing grows.

    Args:
        samples: S at least 1; of them the last `LOOK_S` are looked at.
        count: how many are wanted.
        sample_rate: in Hz.
    """
    look = max(1, round(LOOK_S * sample_rate))
    rows = samples[..., -look:].reshape(-1, min(look, samples.shape[-1])).double().cpu().numpy()
    order = min(round(ORDER_S * sample_rate), rows.shape[-1] // 3)
    made = np.stack([_predict(row, count, order) for row in rows])
    return torch.from_numpy(made).reshape(*samples.shape[:-1], count).to(samples)


def _predict(samples: FloatArray, count: int, order: int) -> FloatArray:
    if order == 0:
        # Too short for a tone: the last value stays.
        return np.full(count, samples[-1])
    taps = -_burg(samples, order)[:0:-1]
    made = np.concatenate([samples[-order:], np.zeros(count)])
    for place in range(order, order + count):
        made[place] = taps @ made[place - order : place]
    return made[order:]


def _burg(samples: FloatArray, order: int) -> FloatArray:
    """Return the prediction error filter (order + 1,), 1 first."""
    coefficients = np.zeros(order + 1)
    coefficients[0] = 1.0
    ahead, behind = samples[1:], samples[:-1]
    for place in range(1, order + 1):
        energy = ahead @ ahead + behind @ behind
        if not energy:
            break
        reflection = -2 * (ahead @ behind) / energy
        coefficients[: place + 1] += reflection * coefficients[place::-1]
        ahead, behind = (ahead + reflection * behind)[1:], (behind + reflection * ahead)[:-1]
    return coefficients
