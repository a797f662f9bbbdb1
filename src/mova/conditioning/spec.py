"""Which inputs of a clip may be given together (no torch here)."""

from __future__ import annotations

from mova.errors import ConfigError


def check_tasks(*, has_image: bool, has_video: bool, has_audio: bool) -> None:
    """Refuse inputs that contradict each other."""
    if has_video and has_audio:
        raise ConfigError("video and audio are both given, so nothing is left to generate; give one of them")
    if has_video and has_image:
        raise ConfigError("video already holds the frames; leave out image and last_image")
