"""The sentence that goes with a scene: first what is seen, then what is heard, never when.

Wordings are chosen by the scene's seed, so that the same scene has the same caption everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from mova.toyworld.scenes.ball import BallScene
from mova.toyworld.scenes.balls import BallsScene
from mova.toyworld.scenes.duet import DuetScene
from mova.toyworld.scenes.face import FaceScene
from mova.toyworld.scenes.keys import KeysScene
from mova.toyworld.scenes.mallet import MalletScene
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import COLOURS, PITCH_WORD, SIDES, VOWEL_WORD

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

_BALLS_VIDEO: Final = (
    "A {left} ball on the left and a {right} ball on the right bounce on {floor} before a {background} wall, "
    "the {first} one first.",
    "Before a {background} wall, a {left} ball on the left and a {right} ball on the right bounce on {floor}, "
    "the {first} one first.",
    "A {left} ball on the left and a {right} ball on the right fall onto {floor} before a {background} wall, "
    "first the {first} one.",
)
_BALLS_AUDIO: Final = (
    "The audio has {timbre}, {pitches}.",
    "The audio contains {timbre}: {pitches}.",
    "The audio is {timbre}, {pitches}.",
)
_KEYS_VIDEO: Final = (
    "The white keys of a piano in front of a {background} wall light up in turn: {notes}.",
    "In front of a {background} wall, piano keys light up one after another: {notes}.",
    "A row of piano keys stands before a {background} wall, and these light up: {notes}.",
)
_KEYS_AUDIO: Final = (
    "The audio has piano notes: {notes}.",
    "The audio contains the notes {notes} of a piano.",
    "The audio is a piano melody of {notes}.",
)
_FACE_VIDEO: Final = (
    "A face with a {hat} hat in front of a {background} wall opens its mouth and says {vowels}.",
    "In front of a {background} wall, a face under a {hat} hat speaks: {vowels}.",
    "A face wearing a {hat} hat before a {background} wall moves its mouth to say {vowels}.",
)
_FACE_AUDIO: Final = (
    "The audio has a {voice} voice that says {vowels}.",
    "The audio contains {vowels}, spoken by a {voice} voice.",
    "The audio is a {voice} voice saying {vowels}.",
)
_DUET_VIDEO: Final = (
    "Faces with a {left} and a {right} hat before a {background} wall speak in turn: {sides}.",
    "Before a {background} wall, two faces with a {left} and a {right} hat take turns: {sides}.",
    "Two faces, in a {left} and a {right} hat, talk before a {background} wall: {sides}.",
)
_DUET_AUDIO: Final = (
    "The audio has two voices that say {turns}.",
    "The audio contains {turns}, spoken in turn.",
    "The audio is a voice for each face: {turns}.",
)


_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def caption(scene: Scene, *, ranked: bool = True) -> str:
    """Return the caption of a scene, picture first, then "The audio ...".

    Args:
        scene: what happens.
        ranked: say the place of each thing in a row ("first the green, second the red bar") instead of only its
            neighbours ("the green and then red bars"). The cross-attention of the towers knows no word positions, so an
            embedding has to tell the place by itself, and such words make it easy. 30 to 65 words instead of 30 to 50.
    """
    in_order = _ranked if ranked else _in_order
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
    elif isinstance(scene, MalletScene):
        colours = [COLOURS[bar] for bar in scene.bars]
        pitches = [PITCH_WORD[colour] for colour in colours]
        bars = f"{_ranked(colours, 'the ')} bar" if ranked else f"the {_in_order(colours)} bars"
        notes = f"{_ranked(pitches, 'a ')} note" if ranked else f"{_in_order(pitches)} notes"
        seen = _MALLET_VIDEO[video].format(bars=bars, background=scene.background)
        heard = _MALLET_AUDIO[audio].format(notes=notes)
    elif isinstance(scene, BallsScene):
        left, right = (f"{size} {colour}" for size, colour in zip(scene.sizes, scene.colours, strict=True))
        seen = _BALLS_VIDEO[video].format(
            left=left,
            right=right,
            floor=_FLOOR[scene.material],
            background=scene.background,
            first=scene.first_side,
        )
        pitches = [f"{PITCH_WORD[colour]} {side}" for side, colour in zip(SIDES, scene.colours, strict=True)]
        heard = _BALLS_AUDIO[audio].format(timbre=_TIMBRE[scene.material], pitches=" and ".join(pitches))
    elif isinstance(scene, KeysScene):
        notes = in_order(list(scene.notes))
        seen = _KEYS_VIDEO[video].format(notes=notes, background=scene.background)
        heard = _KEYS_AUDIO[audio].format(notes=notes)
    elif isinstance(scene, FaceScene | DuetScene):
        seen, heard = _speech(scene, in_order, video, audio)
    else:
        raise TypeError(f"no caption for {type(scene).__name__}")
    return f"{seen} {heard}"


def _speech(
    scene: FaceScene | DuetScene, in_order: Callable[[list[str]], str], video: int, audio: int
) -> tuple[str, str]:
    said = [VOWEL_WORD[vowel] for vowel in scene.vowels]
    if isinstance(scene, FaceScene):
        vowels = in_order(said)
        seen = _FACE_VIDEO[video].format(hat=scene.hat, background=scene.background, vowels=vowels)
        return seen, _FACE_AUDIO[audio].format(voice=scene.voice, vowels=vowels)
    left, right = scene.hats
    sides = in_order(list(scene.sides))
    seen = _DUET_VIDEO[video].format(left=left, right=right, background=scene.background, sides=sides)
    # Side and vowel stand together: whose turn it is reaches the picture through the sound, which looks up the vowel.
    spoken = zip(scene.sides, said, strict=True)
    turns = in_order([f"a {scene.voice_of(side)} {vowel} {side}" for side, vowel in spoken])
    return seen, _DUET_AUDIO[audio].format(turns=turns)


def _ranked(words: list[str], article: str = "") -> str:
    placed = [f"{ordinal} {article}{word}" for ordinal, word in zip(_ORDINALS, words, strict=False)]
    return f"{', '.join(placed[:-1])} and {placed[-1]}" if len(placed) > 1 else placed[0]


def _in_order(words: list[str]) -> str:
    return f"{', then '.join(words[:1])}{''.join(f', {word}' for word in words[1:-1])} and then {words[-1]}"
