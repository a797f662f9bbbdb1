"""Scenes with one thing exchanged: notes as nobody has heard them, to measure what is learned, and skins by choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mova.errors import ConfigError
from mova.toyworld.mouth import SKIN_RGB
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import COLOURS

# Second word of the seed that skins are drawn from; the scene itself and its caption use 0 to 3.
_SKIN_STREAM: Final = 4


def with_notes(scene: Scene, notes: Mapping[str, str]) -> Scene:
    """Return a ball scene that sounds the note of another colour; frames and the caption's first half stay.

    Args:
        scene: scene of a ball.
        notes: for each colour the colour whose note it sounds; colours that it leaves out keep theirs.

    Raises:
        ConfigError: an unknown colour, or a scene of another kind.
    """
    unknown = sorted({*notes, *notes.values()} - set(COLOURS))
    if unknown:
        raise ConfigError(f"notes must pair {', '.join(COLOURS)}; got {', '.join(unknown)}")
    return scene.with_notes(notes)


def with_skins(scene: Scene, skins: Sequence[str]) -> Scene:
    """Return a scene whose faces have skins drawn from a list by the scene's seed; other scenes stay as they are.

    A mouth stands out less from a dark skin, so that who speaks is learned more slowly there; a list that names it
    more often makes up for that.

    Args:
        scene: scene of any kind.
        skins: keys of `SKIN_RGB`, drawn equally often; one that is named twice twice as often.

    Raises:
        ConfigError: an unknown skin, or none.
    """
    unknown = sorted(set(skins) - set(SKIN_RGB))
    if unknown or not skins:
        raise ConfigError(f"skins must be of {', '.join(SKIN_RGB)}; got {', '.join(unknown) or 'none'}")
    rng = np.random.default_rng([scene.seed, _SKIN_STREAM])
    left, right = (skins[int(index)] for index in rng.integers(len(skins), size=2))
    return scene.with_skins(left, right)
