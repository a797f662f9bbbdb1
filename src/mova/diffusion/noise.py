"""Initial noise that depends on the seed, the stream and the sample, and on nothing else.

Each sample of each stream has a generator of its own, keyed by a hash of (seed, stream name, sample index). So a clip
is the same whatever the batch size, its position in the batch, the device or the number of GPUs, and video and audio
never share numbers. NumPy draws them: its generator takes a key of any length (the CPU generator of PyTorch keeps 32
bits of a seed) and does not change with the vector instructions of the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from mova.errors import ConfigError
from mova.types import LatentPair


def draw_noise(shape: Sequence[int], *, seed: int, stream: str, sample_index: int) -> torch.Tensor:
    """Draw standard normal noise for one sample.

    Args:
        shape: shape of the sample, without a batch dimension.
        seed: 0 or more.
        stream: name of what the noise is for, such as "video" or "audio".
        sample_index: place of the sample among all those made with this seed, 0 or more.

    Returns:
        `shape`, float32 on the CPU.

    Raises:
        ConfigError: a negative seed or sample index.
    """
    for name, value in (("seed", seed), ("sample_index", sample_index)):
        if value < 0:
            raise ConfigError(f"{name} must be 0 or more, got {value}; nearest is 0")
    key = hashlib.sha256(f"{seed}/{stream}/{sample_index}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(key))))
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))


def draw_latents(
    video_shape: Sequence[int], audio_shape: Sequence[int], *, seed: int, sample_indices: Sequence[int]
) -> LatentPair:
    """Draw the initial noise of a batch.

    Args:
        video_shape: (C, T, h, w).
        audio_shape: (C, A).
        seed: 0 or more.
        sample_indices: one per sample of the batch.

    Returns:
        Latents of batch size len(sample_indices), float32 on the CPU.
    """
    video, audio = (
        torch.stack([draw_noise(shape, seed=seed, stream=stream, sample_index=index) for index in sample_indices])
        for stream, shape in (("video", video_shape), ("audio", audio_shape))
    )
    return LatentPair(video=video, audio=audio)
