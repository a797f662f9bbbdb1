from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.toyworld import render, sample_scene, score_clip, with_notes, with_skins


def ball(colour):
    return replace(sample_scene(3, kind="ball"), colour=colour, material="wood")


def test_a_re_paired_ball_looks_the_same_and_sounds_and_reads_as_the_other_colour():
    plain, changed = ball("red"), with_notes(ball("red"), {"red": "purple"})
    first, second = render(plain, size=64), render(changed, size=64)
    assert np.array_equal(first.clip.frames, second.clip.frames)
    assert {event.pitch_hz for event in second.events} == {ball("purple").events(2.0)[0].pitch_hz}
    assert {event.colour for event in second.events} == {"red"}
    assert "very high pitch" in second.caption
    assert second.caption.replace("very high", "very low") == first.caption


def test_the_score_asks_for_the_note_that_the_ball_sounds():
    changed = with_notes(ball("red"), {"red": "purple"})
    assert score_clip(changed, render(changed).clip).pitch_right
    assert not score_clip(changed, render(ball("red")).clip).pitch_right


def test_colours_that_are_left_out_keep_their_note():
    assert with_notes(ball("green"), {"red": "purple"}) == ball("green")
    assert with_notes(ball("green"), {"green": "green"}) == ball("green")


def test_other_kinds_and_unknown_colours_are_refused():
    with pytest.raises(ConfigError, match="of the kind ball, got mallet"):
        with_notes(sample_scene(0, kind="mallet"), {"red": "blue"})
    with pytest.raises(ConfigError, match="got mauve"):
        with_notes(ball("red"), {"red": "mauve"})


def test_skins_are_drawn_from_the_list_and_nothing_else_changes():
    scenes = [sample_scene(seed, kind="duet") for seed in range(300)]
    changed = [with_skins(scene, ["dark", "dark", "light"]) for scene in scenes]
    skins = [skin for scene in changed for skin in scene.skins]
    # 600 draws: three deviations are 0.06.
    assert set(skins) == {"dark", "light"}
    assert abs(skins.count("dark") / len(skins) - 2 / 3) < 0.06
    assert len({scene.skins for scene in changed}) == 4
    assert [replace(one, skins=two.skins) for one, two in zip(changed, scenes, strict=True)] == scenes
    assert [with_skins(scene, ["dark", "dark", "light"]) for scene in scenes] == changed
    face, mallet = sample_scene(1, kind="face"), sample_scene(1, kind="mallet")
    assert with_skins(face, ["medium"]) == replace(face, skin="medium")
    assert with_skins(mallet, ["medium"]) == mallet


def test_skins_that_do_not_exist_are_refused():
    for skins, got in ((["green", "dark"], "green"), ([], "none")):
        with pytest.raises(ConfigError, match=f"skins must be of light, medium, dark; got {got}"):
            with_skins(sample_scene(1, kind="face"), skins)
