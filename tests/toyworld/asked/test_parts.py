"""Parts that several scenes ask a wording for."""

import numpy as np
import pytest

from mova.toyworld.asked.parts import (
    by_side,
    draw_fitting,
    find_background,
    find_colours,
    find_material,
    first_side,
    fit_count,
    fit_row,
    seed_of,
)
from mova.toyworld.asked.said import Said
from mova.toyworld.scenes.ball import BallScene


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("before a pink wall", "pale pink"),
        ("light blue background", "pale blue"),
        ("the background is green", "pale green"),
        ("背景是浅蓝色的墙", "pale blue"),
        ("灰色的墙前", "light grey"),
        ("a red ball", None),
    ],
)
def test_walls_are_not_colours_of_things(text, wall):
    said = Said(text)
    assert find_background(said) == wall
    assert [found.value for found in find_colours(said)] == (["red"] if wall is None else [])


def test_floors_are_found_beside_words_that_contain_them():
    assert find_material(Said("木槌"), beside=("木槌",)) is None
    said = Said("on wood and on steel")
    assert find_material(said) == "wood"
    assert "one material" in said.problems[0]


def test_sides_take_what_stands_in_their_clause():
    said = Said("on the right a red one, and a green one on the left")
    assert by_side(said, find_colours(said)) == ("green", "red")
    said = Said("yellow and blue")
    assert by_side(said, find_colours(said)) == ("yellow", "blue")


def test_who_is_first_is_told_by_colour_or_side():
    assert first_side(Said("a red and a green one, the green one lands first"), ("red", "green")) == "right"
    assert first_side(Said("左边的先落"), ("red", "green")) == "left"
    assert first_side(Said("a red and a green one"), ("red", "green")) is None


def test_rows_fit_what_a_clip_can_hold():
    said = Said("")
    assert fit_row(said, list("aabbc"), (3, 5), "notes") == list("abc")
    assert fit_row(said, list("abcdefg"), (3, 5), "notes") == list("abcde")
    assert fit_row(said, list("ab"), (3, 5), "notes") == list("aba")
    assert len(said.changes) == 3
    assert fit_count(said, None, (3, 5), "notes") is None
    assert fit_count(said, 9, (3, 5), "notes") == 5


def test_seeds_are_the_same_for_the_same_words():
    assert seed_of("A  b") == seed_of("a b") != seed_of("a c")


def test_a_scene_that_cannot_fit_still_comes():
    scene = draw_fitting(1, BallScene.sample, lambda _: False)
    assert isinstance(scene, BallScene)
    green = draw_fitting(1, BallScene.sample, lambda one: (one.colour, one.material) == ("green", "wood"))
    assert (green.colour, green.material) == ("green", "wood")
    assert draw_fitting(1, lambda seed, _: BallScene.sample(seed, np.random.default_rng(4)), lambda _: True).seed == 1
