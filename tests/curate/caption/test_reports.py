"""Forms of reports: strict in what counts, lenient in what does not."""

import pytest
from pydantic import ValidationError

from mova.curate.caption.reports import MergeReport, SpeechReport, VisualReport

VISUAL_AUDIT = {"hallucination_check_passed": True, "visual_changes_verified": True, "comment": "null"}
SPEECH_AUDIT = {"hallucination_check_passed": True, "speech_dynamics_verified": True, "comment": None}
SAID = {"speaker": "a man", "language": "Chinese", "delivery": "calm", "words": "你好"}


def visual(**part):
    part = {"visual_description": "A room", "on_screen_text": None} | part
    return VisualReport(video_visual_report=part, final_verification_audit=VISUAL_AUDIT)


def speech(said):
    return SpeechReport(
        speech_transcription_report={"speech_description": said}, final_verification_audit=SPEECH_AUDIT
    ).speech_transcription_report


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(None, None), ([], None), ("", None), ("null", None), ("SALE", ["SALE"]), (["a", "出口"], ["a", "出口"])],
)
def test_texts_come_in_any_form(texts, expected):
    assert visual(on_screen_text=texts).video_visual_report.on_screen_text == expected


def test_nothing_is_none():
    assert visual(visual_description=" ").video_visual_report.visual_description is None
    assert visual().final_verification_audit.comment is None
    assert speech(None).utterances == speech([]).utterances == ()


def test_utterances_keep_their_language_and_order():
    assert [said.words for said in speech([SAID, SAID | {"words": "مرحبا"}, SAID | {"words": " "}]).utterances] == [
        "你好",
        "مرحبا",
    ]


def test_what_a_model_adds_does_not_matter():
    assert visual(mood="calm").video_visual_report.visual_description == "A room"


@pytest.mark.parametrize("said", ["words alone", [{"words": "no speaker"}], [SAID | {"words": ""}], [SAID] * 201, 5])
def test_what_cannot_be_quoted_is_refused(said):
    with pytest.raises(ValidationError):
        speech(said)


def test_a_caption_must_not_be_empty():
    with pytest.raises(ValidationError):
        MergeReport(merged_caption="", conflicts=None)


@pytest.mark.parametrize("report", [VisualReport, SpeechReport, MergeReport])
def test_the_schema_that_is_sent_names_every_field_and_admits_no_other(report):
    def objects(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                yield schema
            for inner in schema.values():
                yield from objects(inner)

    found = list(objects(report.model_json_schema()))
    assert found
    for schema in found:
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == set(schema["properties"])
