"""Embeddings of voices: a GE2E encoder of three LSTM layers, by a file of weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from mova.scorers.by_file.files import GE2E
from mova.scorers.spectrum import voice_bands

WINDOW_STEPS: Final = 160
"""Steps of 10 ms that the encoder hears at a time."""
HOP_STEPS: Final = 77
_BANDS, _WIDTH, _LAYERS = 40, 256, 3
_LEVEL_DB: Final = -30.0


class VoiceEncoder(nn.Module):
    """Three LSTM layers and a projection (Wan et al., Generalized End-to-End Loss, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _WIDTH, _LAYERS, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (N, 256), 0 or more, of windows (N, T, 40)."""
        _, (hidden, _) = self.lstm(bands)
        raw = torch.relu(self.linear(hidden[-1]))
        return torch.nn.functional.normalize(raw, dim=1)


def voice_embeddings(speech: np.ndarray, folder: Path) -> np.ndarray:
    """Return unit vectors (N, 256) of windows of 1.6 s, 0.77 s apart; the mean of them stands for the speaker.

    Args:
        speech: (S,) in [-1, 1] at 16 kHz without pauses; less than a window is filled up with silence.
        folder: with the file.
    """
    bands = voice_bands(_raised(speech))
    bands = np.pad(bands, ((0, max(0, WINDOW_STEPS - len(bands))), (0, 0)))
    starts = range(0, len(bands) - WINDOW_STEPS + 1, HOP_STEPS)
    windows = torch.from_numpy(np.stack([bands[start : start + WINDOW_STEPS] for start in starts]))
    with torch.inference_mode():
        return np.asarray(_encoder(folder / GE2E.name)(windows).numpy(), dtype=np.float64)


def _raised(sound: np.ndarray) -> np.ndarray:
    """Return a sound at -30 dB where it is softer, as the encoder was taught."""
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    wanted = 10 ** (_LEVEL_DB / 20)
    return sound if level >= wanted or level == 0.0 else (sound * (wanted / level)).astype(np.float32)


@lru_cache(maxsize=1)
def _encoder(path: Path) -> VoiceEncoder:
    """Return the network with its weights; nothing in the file is executed."""
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    encoder = VoiceEncoder()
    # Two numbers beside the network belong to its training.
    encoder.load_state_dict({key: value for key, value in state.items() if not key.startswith("similarity_")})
    return encoder.eval()
