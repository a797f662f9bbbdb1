import itertools

import pytest

from mova.toyworld import BallScene, DuetScene, has_held_out_combination, sample_scene
from mova.toyworld.scenes.registry import SCENES


@pytest.mark.parametrize("kind", SCENES)
def test_training_scenes_have_none_and_held_out_scenes_have_one(kind):
    for seed in range(60):
        assert not has_held_out_combination(sample_scene(seed, kind=kind, combinations="training"))
        assert has_held_out_combination(sample_scene(seed, kind=kind, combinations="held_out"))


@pytest.mark.parametrize("kind", SCENES)
def test_seeds_of_allowed_scenes_keep_their_scenes(kind):
    for seed in range(60):
        scene = sample_scene(seed, kind=kind)
        wanted = "held_out" if has_held_out_combination(scene) else "training"
        other = "training" if wanted == "held_out" else "held_out"
        assert sample_scene(seed, kind=kind, combinations=wanted) == scene
        assert sample_scene(seed, kind=kind, combinations=other) != scene


@pytest.mark.parametrize("kind", SCENES)
def test_between_a_tenth_and_about_half_of_all_scenes_have_one(kind):
    share = sum(has_held_out_combination(sample_scene(seed, kind=kind)) for seed in range(300)) / 300
    assert 0.1 < share < 0.55


@pytest.mark.parametrize("kind", SCENES)
def test_training_shows_every_single_word_and_every_pair_that_is_not_held_out(kind):
    seen = set()
    for seed in range(1500):
        seen |= set(sample_scene(seed, kind=kind, combinations="training").combinations())
    held_out = SCENES[kind].held_out
    assert not seen & held_out
    for position, word in {(i, word) for found in held_out for i, word in enumerate(found)}:
        assert any(found[position] == word for found in seen)


def test_two_balls_hold_out_what_one_ball_does():
    for seed in range(60):
        scene = sample_scene(seed, kind="balls")
        alone = any(has_held_out_combination(ball) for ball in scene.balls)
        assert has_held_out_combination(scene) == alone


def test_whole_pairs_of_colour_and_floor_are_held_out():
    sizes = ("small", "medium", "large")
    pairs = {found[:2] for found in BallScene.held_out}
    whole = {pair for pair in pairs if all((*pair, size) in BallScene.held_out for size in sizes)}
    assert len(whole) == 3
    assert {material for _, material in whole} == {"wood", "metal", "drum"}
    assert len(pairs) > len(whole)
    assert all(len(found) == len(other) for found, other in itertools.pairwise(DuetScene.held_out))
