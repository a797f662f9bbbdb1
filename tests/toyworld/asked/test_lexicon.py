"""Every word stands for something that the toy world has."""

from mova.toyworld.asked import lexicon
from mova.toyworld.vocabulary import BALL_RADIUS, COLOURS, HEIGHT_WORDS, MATERIALS, SIDES, VOICE_HZ


def test_words_stand_for_what_there_is():
    assert set(lexicon.COLOUR_WORDS.values()) == set(COLOURS)
    assert set(lexicon.FOREIGN_COLOURS.values()) <= {*COLOURS, ""}
    assert set(lexicon.MATERIAL_WORDS.values()) == set(MATERIALS)
    assert set(lexicon.FOREIGN_MATERIALS.values()) <= set(MATERIALS)
    assert set(lexicon.SIZE_WORDS.values()) == set(BALL_RADIUS)
    assert set(lexicon.HEIGHT_WORDS_SAID.values()) == set(HEIGHT_WORDS)
    assert set(lexicon.SIDE_WORDS.values()) == set(SIDES)
    assert set(lexicon.VOICE_WORDS.values()) == set(VOICE_HZ)


def test_no_word_stands_for_two_things():
    assert not set(lexicon.COLOUR_WORDS) & set(lexicon.FOREIGN_COLOURS)
    assert not set(lexicon.MATERIAL_WORDS) & set(lexicon.FOREIGN_MATERIALS)
    assert lexicon.several(a="x|y", b="z") == {"x": "a", "y": "a", "z": "b"}
