import re
from dataclasses import replace

from mova.toyworld import sample_scene
from mova.toyworld.caption import caption
from mova.toyworld.vocabulary import BALL_RADIUS, COLOURS, PITCH_WORD


def test_caption_has_picture_first_then_sound_in_20_to_45_words():
    for seed in range(300):
        text = caption(sample_scene(seed))
        seen, heard = text.split(" The audio ")
        assert seen.endswith(".")
        assert heard.endswith(".")
        assert 20 <= len(text.split()) <= 45


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


def test_caption_never_tells_times_or_restitution():
    for seed in range(50):
        assert not re.search(r"\d|second", caption(sample_scene(seed)))
        ball = sample_scene(seed, kind="ball")
        assert caption(ball) == caption(replace(ball, restitution=0.5, speed_x=0.0))


def test_wording_varies_with_the_seed():
    scene = sample_scene(0, kind="ball")
    assert len({caption(replace(scene, seed=seed)) for seed in range(60)}) == 9
