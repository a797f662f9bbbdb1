"""The sentence that goes with a scene: first what is seen, then what is heard, never when.

Wordings are chosen by the scene's seed, so that the same scene has the same caption everywhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mova.toyworld.ball import BallScene
from mova.toyworld.mallet import MalletScene
from mova.toyworld.scene import Scene
from mova.toyworld.vocabulary import COLOURS, PITCH_WORD

_BALL_VIDEO: Final = (
    "A {size} {colour} ball falls from {height} onto {floor} and bounces in front of a {background} wall.",
    "In front of a {background} wall, a {size} {colour} ball drops from {height} and bounces on {floor}.",
    "A {size} ball, {colour} in colour, is dropped from {height} and bounces on {floor} before a {background} wall.",
)
_BALL_AUDIO: Final = (
    "The audio has {timbre} at a {pitch} pitch, one for every bounce.",
    "The audio contains {timbre} with a {pitch} pitch each time the ball lands.",
    "The audio is made of {timbre} at a {pitch} pitch, heard at each landing.",
)
_HEIGHT: Final = {"low": "low down", "medium": "medium height", "high": "high up"}
_FLOOR: Final = {"wood": "a wooden floor", "metal": "a metal plate", "drum": "a drum skin"}
_TIMBRE: Final = {"wood": "woody knocks", "metal": "ringing metal sounds", "drum": "drum beats"}
_MALLET_VIDEO: Final = (
    "A dark mallet strikes {bars} in front of a {background} wall; each bar lights up.",
    "In front of a {background} wall, a dark mallet plays {bars} of a row, which light up.",
    "Five coloured bars stand before a {background} wall, and a dark mallet hits {bars}.",
)
_MALLET_AUDIO: Final = (
    "The audio has {notes}, played on tuned bars.",
    "The audio contains the tones of the bars: {notes}.",
    "The audio is a melody of {notes}.",
)


def caption(scene: Scene) -> str:
    """Return the caption of a scene: 20 to 45 words, picture first, then "The audio ..."."""
    rng = np.random.default_rng([scene.seed, 1])
    video, audio = (int(choice) for choice in rng.integers(3, size=2))
    if isinstance(scene, BallScene):
        seen = _BALL_VIDEO[video].format(
            size=scene.size,
            colour=scene.colour,
            height=_HEIGHT[scene.height_word],
            floor=_FLOOR[scene.material],
            background=scene.background,
        )
        heard = _BALL_AUDIO[audio].format(timbre=_TIMBRE[scene.material], pitch=PITCH_WORD[scene.sounding_colour])
        return f"{seen} {heard}"
    if isinstance(scene, MalletScene):
        colours = [COLOURS[bar] for bar in scene.bars]
        seen = _MALLET_VIDEO[video].format(bars=f"the {_in_order(colours)} bars", background=scene.background)
        heard = _MALLET_AUDIO[audio].format(notes=f"{_in_order([PITCH_WORD[colour] for colour in colours])} notes")
        return f"{seen} {heard}"
    raise TypeError(f"no caption for {type(scene).__name__}")


def _in_order(words: list[str]) -> str:
    return f"{', then '.join(words[:1])}{''.join(f', {word}' for word in words[1:-1])} and then {words[-1]}"
