"""Parts put together by rule."""

import pytest

from mova.curate.caption.compose import compose, sentence, speech_text, with_subtitles_note
from mova.curate.caption.reports import Utterance
from mova.endpoints.quotations import faults
from mova.names import NO_SUBTITLES

SAID = Utterance(speaker="a young woman", language="French", delivery="whispering", words='Il a dit "non"')


def test_the_order_is_image_speech_audio():
    text = compose("A room", [SAID], "Rain falls", no_subtitles=True)
    assert text == (
        "A room. A young woman says (whispering, in French): \"Il a dit 'non'\". Rain falls. "
        "This video has no subtitles."
    )


def test_empty_parts_leave_no_trace():
    assert compose("A room.", [], " ", no_subtitles=False) == "A room."
    assert compose("", [], "Rain", no_subtitles=False) == "Rain."
    bare = SAID.model_copy(update={"language": "", "delivery": " ", "speaker": ""})
    assert speech_text([bare]).startswith("Somebody says: ")


def test_the_sentence_on_subtitles_stands_once_and_last():
    once = with_subtitles_note("A room", no_subtitles=True)
    assert once == f"A room. {NO_SUBTITLES}"
    assert with_subtitles_note(once, no_subtitles=True) == once
    assert with_subtitles_note("", no_subtitles=True) == NO_SUBTITLES


@pytest.mark.parametrize("text", ["Ends.", "Ends!", "完。", 'He says "so"', "Ends?"])
def test_an_end_is_not_doubled(text):
    assert sentence(text) == text


def test_what_is_composed_quotes_faithfully():
    assert faults(compose("A room", [SAID, SAID], "Rain", no_subtitles=False), [SAID.words, SAID.words]) == ()
