"""Instructions: they name the fields of the forms."""

import pytest

from mova.curate.caption import instructions
from mova.curate.caption.reports import (
    MergeReport,
    SpeechAudit,
    SpeechPart,
    SpeechReport,
    Utterance,
    VisualAudit,
    VisualPart,
    VisualReport,
)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        (instructions.VISUAL, (VisualReport, VisualPart, VisualAudit)),
        (instructions.SPEECH, (SpeechReport, SpeechPart, SpeechAudit, Utterance)),
        (instructions.MERGE, (MergeReport,)),
    ],
)
def test_an_instruction_names_every_field_of_its_form(text, forms):
    assert [name for form in forms for name in form.model_fields if f'"{name}"' not in text] == []


def test_times_and_length_are_told():
    assert "0.0 s, 4.0 s" in instructions.frames_request((0.0, 4.02), 8.04)
    assert "8.0 s" in instructions.speech_request(8.04)


def test_a_repair_repeats_what_is_wrong():
    assert "This is wrong." in instructions.merge_repair(("This is wrong.",))


def test_the_digest_changes_with_the_instructions(monkeypatch):
    before = instructions.digest()
    assert before == instructions.digest()
    monkeypatch.setattr(instructions, "MERGE", "another")
    assert instructions.digest() != before
