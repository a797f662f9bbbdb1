"""Another pairing of colours and notes: scenes as nobody has heard them, for measuring what a model learns anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mova.errors import ConfigError
from mova.toyworld.ball import BallScene
from mova.toyworld.scene import Scene
from mova.toyworld.vocabulary import COLOURS


def with_notes(scene: Scene, notes: Mapping[str, str]) -> Scene:
    """Return a ball scene that sounds the note of another colour; picture and caption's first half stay.

    Args:
        scene: of a ball.
        notes: for each colour the colour whose note it sounds; colours that it leaves out keep theirs.

    Raises:
        ConfigError: an unknown colour, or a scene of another kind.
    """
    unknown = sorted({*notes, *notes.values()} - set(COLOURS))
    if unknown:
        raise ConfigError(f"notes must pair {', '.join(COLOURS)}; got {', '.join(unknown)}")
    if not isinstance(scene, BallScene):
        raise ConfigError(f"notes can be exchanged in scenes of the kind ball, got {scene.kind}")
    note = notes.get(scene.colour, scene.colour)
    return replace(scene, note=None if note == scene.colour else note)
