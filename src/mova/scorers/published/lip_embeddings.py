"""Embeddings of lips and of speech by SyncNet, made while the faces of a person come in one after the other."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from mova.scorers.front_ends.mfcc import mfcc
from mova.scorers.networks.syncnet import WIDTH, WINDOW_FRAMES, WINDOW_STEPS, SyncNet
from mova.scorers.published.networks import device_of

SAMPLES_PER_FRAME: Final = 640
STEPS_PER_FRAME: Final = 4
"""Columns of coefficients for each frame."""
_AT_ONCE: Final = 16
_SPEECH_AT_ONCE: Final = 64


class LipReader:
    """Turns the faces of one person into embeddings; holds no more than twenty of them.

    Args:
        network: with weights, set to evaluation.
    """

    def __init__(self, network: SyncNet) -> None:
        self._network = network
        self._held: list[np.ndarray] = []
        self._found: list[np.ndarray] = []

    def add(self, face: np.ndarray) -> None:
        """Look at the next face: (224, 224, 3) uint8, red first."""
        self._held.append(face)
        if len(self._held) == _AT_ONCE + WINDOW_FRAMES - 1:
            self._look()

    def embeddings(self) -> np.ndarray:
        """Return (F - 4, 1024) float32 of the F faces so far, one for each window of five; none for fewer."""
        if len(self._held) >= WINDOW_FRAMES:
            self._look()
        return np.concatenate(self._found) if self._found else np.zeros((0, WIDTH), np.float32)

    def _look(self) -> None:
        # The network was taught with the channels in the order in which OpenCV reads files.
        faces = np.stack(self._held)[..., ::-1].transpose(3, 0, 1, 2).astype(np.float32)
        with torch.inference_mode():
            self._found.append(
                self._network.lip_windows(torch.from_numpy(faces).to(device_of(self._network))).cpu().numpy()
            )
        self._held = self._held[1 - WINDOW_FRAMES :]


def speech_embeddings(network: SyncNet, sound: np.ndarray, count: int) -> np.ndarray:
    """Return the embeddings (count, 1024) float32 of the windows of 0.2 s that begin with each frame of 0.04 s.

    Args:
        network: with weights, set to evaluation.
        sound: (S,) int16 at 16 kHz, 640 samples a frame: S at least 640 * (count + 5).
        count: number of windows.
    """
    found = [np.zeros((0, WIDTH), np.float32)]
    columns = mfcc(sound).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(columns, WINDOW_STEPS, axis=0)[::STEPS_PER_FRAME][:count]
    for first in range(0, len(windows), _SPEECH_AT_ONCE):
        batch = np.ascontiguousarray(windows[first : first + _SPEECH_AT_ONCE, None])
        with torch.inference_mode():
            found.append(network.forward_aud(torch.from_numpy(batch).to(device_of(network))).cpu().numpy())
    return np.concatenate(found)


def num_windows(num_frames: int, num_samples: int) -> int:
    """Return how many windows are compared: one less than there could be, as published; 0 where there is none.

    Args:
        num_frames: faces of the person.
        num_samples: of its sound.
    """
    return max(0, min(num_frames, num_samples // SAMPLES_PER_FRAME) - WINDOW_FRAMES)
