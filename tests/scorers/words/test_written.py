"""Texts that are drawn into frames are found, and others are not."""

import numpy as np
import pytest

from drawn_text import drawn
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.written import WrittenScorer
from shared_scoring import clip_of, reason, score


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frames = np.stack([drawn()] * 12 + [drawn("GRAND", "OPENING")] * 12)
    return clip_of(tmp_path_factory.mktemp("clips") / "a.mp4", frames).path


def test_a_text_over_two_lines_of_one_frame_is_found_and_another_is_not(path):
    found = score(WrittenScorer(2.0), ClipMedia(path, 'A banner reads "Grand opening!"'))
    assert found.scores["written_found"].value == 1
    assert found.scores["written_distance"].value == 0
    both = score(WrittenScorer(2.0), ClipMedia(path, 'A banner "Grand opening", a sign "Closed until noon".'))
    assert both.scores["written_found"].value == 0.5
    assert 0.3 < both.scores["written_distance"].value <= 0.5


def test_a_prompt_without_texts_has_nothing_to_measure(path):
    for prompt in ("A banner.", 'A man says "Grand opening."', 'A sign reads "..."'):
        why = reason(WrittenScorer(), ClipMedia(path, prompt), "written_found")
        assert why == "not applicable: the prompt quotes no text that can be seen"
