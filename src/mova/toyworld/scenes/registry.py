"""The kinds of scene, in their order: the one place that names them all."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from mova.errors import ConfigError
from mova.toyworld.scenes.ball import BallScene
from mova.toyworld.scenes.balls import BallsScene
from mova.toyworld.scenes.board import BoardScene
from mova.toyworld.scenes.duet import DuetScene
from mova.toyworld.scenes.face import FaceScene
from mova.toyworld.scenes.keys import KeysScene
from mova.toyworld.scenes.mallet import MalletScene
from mova.toyworld.scenes.scene import Scene

SCENES: Final[dict[str, type[Scene]]] = {
    scene.kind: scene for scene in (BallScene, MalletScene, KeysScene, FaceScene, DuetScene, BallsScene, BoardScene)
}
# What a seed alone stands for, and what is measured where no kind is named.
BASIC_KINDS: Final = (BallScene.kind, MalletScene.kind)
DEFAULT_KINDS: Final = tuple(kind for kind, scene in SCENES.items() if scene.in_default)


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse kinds of scene that do not exist, and an empty list of them.

    Raises:
        ConfigError: no kind, or an unknown one.
    """
    known = ", ".join(SCENES)
    if not kinds:
        raise ConfigError(f"kinds must name at least one of {known}, got none")
    for kind in kinds:
        if kind not in SCENES:
            nearest = difflib.get_close_matches(kind, SCENES, n=1, cutoff=0.0)[0]
            raise ConfigError(f"kind of scene must be one of {known}, got {kind!r}; nearest is {nearest}")
