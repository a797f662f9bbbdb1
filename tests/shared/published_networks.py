"""Scorers on published networks at tiny size: files of weights that are drawn by name, and clips that suit them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch
from torch import nn

import fill_weights
from mova.media.write import write_clip
from mova.scorers.clip_media import ClipMedia
from mova.types import Clip
from shared_scoring import FRAME_RATE, clip_of, texture

WIDTHS = (4, 4, 6, 6, 8, 8)


def write_weights(network: nn.Module, path: Path, *, wrapped: str = "", prefix: str = "") -> Path:
    """Write the weights of a network, drawn by name, as a published file.

    Args:
        network: filled in place.
        path: of the file.
        wrapped: key under which the weights lie in it; "" for none.
        prefix: before each name.
    """
    state = network.state_dict()
    fill_weights.fill(state)
    stored = {f"{prefix}{name}": value for name, value in state.items()}
    torch.save({wrapped: stored} if wrapped else stored, path)
    return path


def moving(seconds: float, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Return (F, H, W, 3) uint8 frames of a texture that moves by three pixels a frame."""
    still = texture(*size, smooth=8)
    return np.stack([np.roll(still, 3 * index, axis=1) for index in range(round(seconds * FRAME_RATE))])


def sounding(seconds: float, channels: int = 1) -> np.ndarray:
    """Return (channels, S) float32 of tones and clicks at 48 kHz."""
    samples = round(seconds * 48_000)
    drawn = [fill_weights.waveform(f"sounding{index}", samples, 48_000) for index in range(channels)]
    return np.stack(drawn).astype(np.float32) / 32768


def moving_clip(path: Path, seconds: float, channels: int = 1) -> ClipMedia:
    """Return a clip with something to see and something to hear."""
    return clip_of(path, moving(seconds), sounding(seconds, channels))


def write_short_audio(path: Path) -> Path:
    """Write a video of five seconds whose audio lasts three."""
    whole = path.with_name("whole.mp4")
    write_clip(whole, Clip(moving(5.0), sounding(5.0), 24.0, 48_000))
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            late = packet.stream.type == "audio" and packet.pts is not None and packet.pts * packet.time_base > 3.0
            if packet.dts is None or late:
                continue
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return path
