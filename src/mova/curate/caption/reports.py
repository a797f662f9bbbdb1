"""The reports that models are asked for, as forms that their replies are checked against."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mova.endpoints.replies import plain

_MOST_UTTERANCES: Final = 200
_MOST_TEXTS: Final = 100


def _closed(schema: dict[str, Any]) -> None:
    """Say in the schema that is sent what a lenient reader does not insist on: nothing beside the named fields."""
    schema["additionalProperties"] = False


class _Report(BaseModel):
    # What a model adds is no reason to ask again.
    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra=_closed)


def _blank_as_none(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() in ("", "null", "none"):
        return None
    return value


def _listed(value: object) -> object:
    """Return a single text as a list of it, and nothing at all as None."""
    value = _blank_as_none(value)
    return [value] if isinstance(value, str) else value or None


_Prose = Annotated[str, AfterValidator(plain), Field(max_length=20_000)]
_ProseOrNone = Annotated[_Prose | None, BeforeValidator(_blank_as_none)]
_Word = Annotated[str, AfterValidator(plain), Field(max_length=1000)]


class VisualPart(_Report):
    """What is seen.

    Attributes:
        visual_description: what happens, in order, without any text that can be read; None where nothing is seen.
        on_screen_text: each text that can be read, as written; None where there is none.
    """

    visual_description: _ProseOrNone
    on_screen_text: Annotated[Annotated[list[_Word], Field(max_length=_MOST_TEXTS)] | None, BeforeValidator(_listed)]


class VisualAudit(_Report):
    """What the model says of its own report.

    Attributes:
        hallucination_check_passed: whether everything in it can be seen.
        visual_changes_verified: whether every change and movement is in it.
        comment: what is doubtful.
    """

    hallucination_check_passed: bool
    visual_changes_verified: bool
    comment: _ProseOrNone


class VisualReport(_Report):
    """The report on the frames."""

    video_visual_report: VisualPart
    final_verification_audit: VisualAudit


class Utterance(_Report):
    """What one voice says without a change.

    Attributes:
        speaker: the voice as it is heard.
        language: of the words.
        delivery: how they are spoken.
        words: exactly, in their own language and script.
    """

    speaker: _Word
    language: _Word
    delivery: _Word
    words: Annotated[str, AfterValidator(plain), Field(min_length=1, max_length=5000)]


class SpeechPart(_Report):
    """What is said.

    Attributes:
        speech_description: utterances in order; None where nobody speaks.
    """

    speech_description: Annotated[
        Annotated[list[Utterance], Field(max_length=_MOST_UTTERANCES)] | None, BeforeValidator(_listed)
    ]

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """Those with words in them."""
        return tuple(said for said in self.speech_description or () if said.words.strip())


class SpeechAudit(_Report):
    """What the model says of its own report.

    Attributes:
        hallucination_check_passed: whether all of it can be heard.
        speech_dynamics_verified: whether every change of voice, language and tone is in it.
        comment: what is doubtful.
    """

    hallucination_check_passed: bool
    speech_dynamics_verified: bool
    comment: _ProseOrNone


class SpeechReport(_Report):
    """The report on what is said."""

    speech_transcription_report: SpeechPart
    final_verification_audit: SpeechAudit


class MergeReport(_Report):
    """The caption.

    Attributes:
        merged_caption: one paragraph.
        conflicts: what the reports disagreed on, and how that was settled; None where they agreed.
    """

    merged_caption: Annotated[_Prose, Field(min_length=1)]
    conflicts: _ProseOrNone
