"""Requests for long clips, and clips to go on with."""

import numpy as np

from mova.generate.request import ClipOptions, MediaFiles
from mova.generate.run import make_request
from mova.geometry import num_samples
from mova.settings.sampling import GivenSettings
from mova.types import Clip

RATE = 48_000
SHORT = GivenSettings(height=32, width=48, num_frames=13, num_inference_steps=2, guidance_scale=1.0)


def asked(checkpoint, long, files=None, **changes):
    options = {"prompt": "a dog", "seed": 1, "retries": 0, "settings": SHORT} | changes
    return make_request(str(checkpoint), ClipOptions(long=long, files=files or MediaFiles(), **options))


def clip_of(num_frames, *, height=32, width=48, frame_rate=24.0, sample_rate=RATE):
    rng = np.random.default_rng(0)
    frames = np.broadcast_to(rng.integers(0, 256, (1, height, width, 3), np.uint8), (num_frames, height, width, 3))
    tone = 0.3 * np.sin(np.arange(num_samples(num_frames, frame_rate, sample_rate)) * 2 * np.pi * 440 / sample_rate)
    return Clip(frames, tone[None].astype(np.float32), frame_rate, sample_rate)
