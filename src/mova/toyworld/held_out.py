"""Combinations that can be kept out of training: things a model has seen apart, but never together.

Every colour, material, size, note, vowel, voice and side also occurs in combinations that are not held out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from mova.toyworld.scenes.ball import BallScene
from mova.toyworld.scenes.balls import BallsScene
from mova.toyworld.scenes.duet import DuetScene
from mova.toyworld.scenes.face import FaceScene
from mova.toyworld.scenes.keys import KeysScene
from mova.toyworld.scenes.mallet import MalletScene
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import COLOURS

Combination = tuple[str, ...]

# All sizes of three pairs of colour and floor, so that the sound of each pair has never been heard, ...
_BALLS: Final = {
    (colour, material, size)
    for colour, material in (("green", "wood"), ("blue", "metal"), ("yellow", "drum"))
    for size in ("small", "medium", "large")
}
# ... and one size of three others, whose sound is known from the other sizes.
HELD_OUT: Final[dict[str, frozenset[Combination]]] = {
    "ball": frozenset(_BALLS | {("red", "wood", "large"), ("purple", "metal", "small"), ("blue", "drum", "medium")}),
    "mallet": frozenset({("yellow", "purple"), ("blue", "red")}),
    "keys": frozenset({("do", "sol"), ("mi", "fa"), ("la", "re"), ("ti", "mi")}),
    "face": frozenset({("low", "a", "u"), ("low", "e", "o"), ("high", "i", "a"), ("high", "u", "e")}),
    "duet": frozenset({("left", "low", "i"), ("right", "low", "u")}),
}


def combinations(scene: Scene) -> tuple[Combination, ...]:
    """Return what a scene combines.

    Ball and balls: colour, floor and size of each ball. Mallet and keys: each two successive notes. Face: the voice
    with each two successive vowels. Duet: side, voice and vowel of each turn.
    """
    if isinstance(scene, BallScene):
        return ((scene.colour, scene.material, scene.size),)
    if isinstance(scene, BallsScene):
        return tuple(found for ball in scene.balls for found in combinations(ball))
    if isinstance(scene, MalletScene):
        return tuple((COLOURS[one], COLOURS[other]) for one, other in pairwise(scene.bars))
    if isinstance(scene, KeysScene):
        return tuple(pairwise(scene.notes))
    if isinstance(scene, FaceScene):
        return tuple((scene.voice, one, other) for one, other in pairwise(scene.vowels))
    if isinstance(scene, DuetScene):
        turns = zip(scene.sides, scene.vowels, strict=True)
        return tuple((side, scene.voice_of(side), vowel) for side, vowel in turns)
    raise TypeError(f"no combinations for {type(scene).__name__}")


def has_held_out_combination(scene: Scene) -> bool:
    """Return whether a scene shows anything that training can be kept from."""
    held_out = HELD_OUT["ball" if scene.kind == "balls" else scene.kind]
    return any(found in held_out for found in combinations(scene))
