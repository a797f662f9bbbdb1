"""Sounds that prompts name, and whether they are heard."""

import csv
import os

import numpy as np
import pytest

from mova.scorers.by_file.files import YAMNET_CLASSES
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.heard import HeardScorer
from mova.scorers.words.sound_words import SOUNDS, named_sounds
from shared_scoring import clip_of, reason, score
from shared_speech import SAMPLE_RATE, speak


@pytest.fixture(scope="module")
def weights():
    from pathlib import Path

    folder = Path(os.environ.get("MOVA_TEST_SCORERS", "") or Path(__file__).parents[3] / ".scorers")
    if not (folder / YAMNET_CLASSES.name).is_file():
        pytest.skip("the weights of these scorers are not here; `make scorers` fetches them")
    return folder


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


def test_what_is_named_and_heard_counts(weights, tmp_path):
    path = clip_of(tmp_path / "a.mp4", sound=speak(3.0), sample_rate=SAMPLE_RATE).path
    scorer = HeardScorer(weights)
    assert score(scorer, ClipMedia(path, "A man speaks.")).scores["heard_share"].value == 1
    found = score(scorer, ClipMedia(path, 'A man speaks beside an explosion: "The dog!"'))
    assert (found.scores["heard_share"].value, found.tags) == (0.5, ("speech",))
    assert "names nothing" in reason(scorer, ClipMedia(path, "A grey square."), "heard_share")
    silent = clip_of(tmp_path / "b.mp4", sound=np.zeros(16_000), sample_rate=SAMPLE_RATE).path
    assert score(scorer, ClipMedia(silent, "A man speaks.")).scores["heard_share"].value == 0


def test_without_weights_there_is_a_reason(tmp_path):
    path = clip_of(tmp_path / "a.mp4", sound=speak(1.0), sample_rate=SAMPLE_RATE).path
    assert "failed" in reason(HeardScorer(None), ClipMedia(path, "A dog barks."), "heard_share")
