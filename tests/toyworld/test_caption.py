import re
from dataclasses import replace

import pytest

from mova.toyworld import SCENES, sample_scene
from mova.toyworld.caption import caption
from mova.toyworld.scenes.board import DIGIT_WORDS
from mova.toyworld.vocabulary import BALL_RADIUS, COLOURS, NOTES, PITCH_WORD, VOWEL_WORD

ALL_KINDS = tuple(SCENES)


@pytest.mark.parametrize(("ranked", "most"), [(False, 50), (True, 65)])
def test_caption_has_picture_first_then_sound_in_20_words_or_more(ranked, most):
    for seed in range(300):
        text = caption(sample_scene(seed, kind=ALL_KINDS[seed % len(ALL_KINDS)]), ranked=ranked)
        seen, heard = text.split(" The audio ")
        assert seen.endswith(".")
        assert heard.endswith(".")
        assert 20 <= len(text.split()) <= most


def test_caption_of_a_ball_names_what_the_first_frame_cannot_hide():
    for seed in range(50):
        scene = sample_scene(seed, kind="ball")
        text = caption(scene)
        for word in (scene.colour, scene.size, scene.background, scene.height_word, PITCH_WORD[scene.colour]):
            assert re.search(rf"\b{word}\b", text)
        others = set(BALL_RADIUS) - {scene.size, scene.height_word}
        assert not any(re.search(rf"\b{word} (ball|{scene.colour})", text) for word in others)


def test_caption_of_a_mallet_names_bars_and_notes_in_order():
    for seed in range(50):
        scene = sample_scene(seed, kind="mallet")
        text = caption(scene)
        seen, heard = text.split(" The audio ")
        colours = [COLOURS[bar] for bar in scene.bars]
        assert re.findall(rf"\b(?:{'|'.join(COLOURS)})\b", seen.replace(scene.background, "")) == colours
        assert re.findall("very low|very high|low|middle|high", heard) == [PITCH_WORD[colour] for colour in colours]


@pytest.mark.parametrize("kind", ["keys", "face", "duet"])
def test_caption_gives_notes_and_vowels_in_order(kind):
    for seed in range(50):
        scene = sample_scene(seed, kind=kind)
        words = list(scene.notes) if kind == "keys" else [VOWEL_WORD[vowel] for vowel in scene.vowels]
        _, heard = caption(scene).split(" The audio ")
        assert re.findall(rf"\b(?:{'|'.join((*NOTES, *VOWEL_WORD.values()))})\b", heard) == words


def test_caption_of_a_duet_gives_speakers_in_order_and_the_voice_of_each_turn():
    for seed in range(50):
        scene = sample_scene(seed, kind="duet")
        seen, heard = caption(scene).split(" The audio ")
        assert re.findall(r"\b(?:left|right)\b", seen.rpartition(": ")[2]) == list(scene.sides)
        assert re.findall(r"\b(?:low|high)\b", heard) == [scene.voice_of(side) for side in scene.sides]
        assert re.findall(r"\b(?:left|right)\b", heard) == list(scene.sides)
        assert f"a {scene.hats[0]} and a {scene.hats[1]} hat" in seen


def test_caption_of_two_balls_names_each_and_the_first():
    for seed in range(50):
        scene = sample_scene(seed, kind="balls")
        seen, heard = caption(scene).split(" The audio ")
        for size, colour, side in zip(scene.sizes, scene.colours, ("left", "right"), strict=True):
            assert re.search(rf"{size} {colour} ball on the {side}", seen)
            assert f"{PITCH_WORD[colour]} {side}" in heard
        assert re.search(rf"the {scene.first_side} one( first)?\.$", seen)


def test_vocabulary_of_all_captions_is_small():
    words = {
        word
        for seed in range(1200)
        for word in re.findall(r"\w+", caption(sample_scene(seed, kind=ALL_KINDS[seed % len(ALL_KINDS)])).lower())
    }
    assert len(words) < 200


def test_caption_never_tells_times_or_restitution():
    for seed in range(50):
        scene = sample_scene(seed, kind=ALL_KINDS[seed % len(ALL_KINDS)])
        assert not re.search(r"\d|second", caption(scene, ranked=False))
        assert not re.search(r"\d|seconds", caption(scene)), "a rank is no time"
        ball = sample_scene(seed, kind="ball")
        assert caption(ball) == caption(replace(ball, restitution=0.5, speed_x=0.0))


def test_wording_varies_with_the_seed():
    scene = sample_scene(0, kind="ball")
    assert len({caption(replace(scene, seed=seed)) for seed in range(60)}) == 9


def rows_of(scene):
    """The things in a row that the picture's half and the sound's half of a caption name."""
    if scene.kind == "mallet":
        colours = [COLOURS[bar] for bar in scene.bars]
        return colours, [PITCH_WORD[colour] for colour in colours]
    if scene.kind == "keys":
        return scene.notes, scene.notes
    if scene.kind == "board":
        digits = [DIGIT_WORDS[int(digit)] for digit in scene.digits]
        return digits, digits
    vowels = [VOWEL_WORD[vowel] for vowel in scene.vowels]
    if scene.kind == "face":
        return vowels, vowels
    turns = zip(scene.sides, vowels, strict=True)
    return scene.sides, [f"{scene.voice_of(side)} {vowel} {side}" for side, vowel in turns]


@pytest.mark.parametrize("kind", ["mallet", "keys", "face", "duet", "board"])
def test_ranked_captions_say_the_place_of_each_thing(kind):
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    for seed in range(40):
        scene = sample_scene(seed, kind=kind)
        text = caption(scene)
        for half, row in zip(text.split(" The audio "), rows_of(scene), strict=True):
            assert len(row) <= len(ordinals)
            for ordinal, word in zip(ordinals, row, strict=False):
                assert re.search(rf"{ordinal} (the |a )?{word}\b", half), text
        assert 25 <= len(text.split()) <= 65


def test_what_has_no_order_is_said_as_before():
    for kind in ("ball", "balls"):
        for seed in range(10):
            scene = sample_scene(seed, kind=kind)
            assert caption(scene) == caption(scene, ranked=False)
