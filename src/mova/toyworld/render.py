"""From a scene to a clip with its caption and its exact events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mova.errors import GeometryError
from mova.geometry import num_samples
from mova.toyworld.caption import caption
from mova.toyworld.draw import Viewport
from mova.toyworld.event import Event
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.sound import mix
from mova.types import Clip


@dataclass(frozen=True)
class RenderedClip:
    """A clip of which everything is known.

    Attributes:
        clip: frames (F, H, W, 3) uint8 and waveform (1, S) float32.
        caption: what the clip shows and sounds like.
        events: in the order of time, all inside the clip.
        scene: what was rendered.
    """

    clip: Clip
    caption: str
    events: tuple[Event, ...]
    scene: Scene


def render(
    scene: Scene,
    *,
    size: int | tuple[int, int] = 128,
    num_frames: int = 49,
    frame_rate: float = 24.0,
    sample_rate: int = 16_000,
) -> RenderedClip:
    """Draw and sound a scene.

    Args:
        scene: what happens.
        size: pixels of a square frame, or (height, width); the scene fills the largest square in the middle.
        num_frames: F; frame k shows the instant k / `frame_rate`.
        frame_rate: frames per second.
        sample_rate: in Hz.

    Returns:
        The clip; its audio lasts exactly as long as its frames, rounded down to a sample.

    Raises:
        GeometryError: a size below 16 pixels, or a count or rate that is not positive.
    """
    for name, value in (("frames", num_frames), ("frame rate", frame_rate), ("sample rate", sample_rate)):
        if value <= 0:
            raise GeometryError(f"{name} must be above 0, got {value}; nearest is 1")
    frames = scene.draw(Viewport.of(size), np.arange(num_frames) / frame_rate)
    duration_s = num_frames / frame_rate
    events = scene.events(duration_s)
    waveform = mix(scene.sounds(duration_s), num_samples(num_frames, frame_rate, sample_rate), sample_rate)
    return RenderedClip(Clip(frames, waveform, frame_rate, sample_rate), caption(scene), events, scene)


def first_frame(clip: Clip) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) that a clip begins with."""
    frame: NDArray[np.uint8] = clip.frames[0]
    return frame
