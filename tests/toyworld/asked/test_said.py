"""A wording is searched for the longest words, English by words and Chinese by signs."""

import re

from mova.toyworld.asked.said import Said


def values(found):
    return [one.value for one in found]


def test_the_longest_word_counts_and_parts_of_words_do_not():
    said = Said("The hardwood floor, not the wooden one; redwood is no red")
    assert values(said.find({"wood": 1, "wooden": 2, "red": 3})) == [2, 3]
    assert values(Said("木琴和木板").find({"木": 1, "木板": 2}, beside=("木琴",))) == [2]


def test_letters_of_full_width_and_capitals_are_read_and_places_agree():
    said = Said("ＲＥＤ Ballİ x")
    assert len(said.text) == len(said.original)
    assert values(said.find({"red": 1, "x": 2})) == [1, 2]


def test_clauses_end_at_commas_and_joining_words():
    said = Said("left red, right blue and then green，左边绿")
    assert [said.text[start:end].strip() for start, end in said.clauses()] == [
        "left red",
        "right blue",
        "green",
        "左边绿",
    ]


def test_numbers_are_read_before_their_nouns():
    assert Said("struck 4 times").count_of(("times",)) == 4
    assert Said("敲三下").count_of(("下",)) == 3
    assert Said("often").count_of(("times",)) is None


def test_what_is_not_understood_is_left_over():
    said = Said("a red dragon 飞龙 and the ball")
    said.find({"red": 1, "ball": 1})
    assert said.left_over() == ["dragon", "飞龙"]
    said.name_left_over()
    assert said.problems == ["not shown, since no scene has it: dragon, 飞龙"]


def test_patterns_count_as_understood():
    said = Said("play C E")
    assert [match[0] for match in said.match(re.compile("[CE]"), keeps_case=True)] == ["C", "E"]
    assert said.is_used(5, 6)
    assert not said.is_used(0, 4)
    assert said.has(("play",))
    assert said.weigh({"play": 2, "none": 4}) == 2
