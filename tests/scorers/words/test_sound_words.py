"""Sounds that prompts name."""

import csv

from mova.scorers.by_file.files import YAMNET_CLASSES
from mova.scorers.words.sound_words import SOUNDS, named_sounds


def names(text):
    return {sound.name for sound in named_sounds(text)}


def test_sounds_are_named_in_all_forms_and_denied_ones_are_left_out():
    assert names("Two dogs are barking while rain falls.") == {"dog", "rain"}
    assert names("A woman plays the piano, without any music or applause.") == {"piano", "applause"}
    assert names("No birds sing here; a silent street.") == set()
    assert names("A grey square.") == set()
    assert names("The carpet is in the cartoon.") == set()


def test_each_sound_has_a_name_of_its_own():
    assert len({sound.name for sound in SOUNDS}) == len(SOUNDS)


def test_tags_are_those_of_the_network(weights):
    with (weights / YAMNET_CLASSES.name).open(encoding="utf-8", newline="") as stream:
        known = {row["display_name"].lower() for row in csv.DictReader(stream)}
    assert {tag for sound in SOUNDS for tag in sound.tags} <= known
