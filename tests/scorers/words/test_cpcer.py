"""Dialogues with speakers."""

from mova.scorers.clip_media import ClipMedia
from mova.scorers.registry import ScorerSettings, make_scorers
from mova.scorers.words.choice import OPTION, SPEAKERS_OPTION
from mova.scorers.words.cpcer import CpcerScorer
from shared_scoring import reason, score
from transcript_calls import PROMPT, choice_of, tells


def test_a_dialogue_is_compared_whatever_its_speakers_are_called(fake, spoken):
    fake.reset(tells("[0.1][S03]Good morning.[1.0][S1] Who is there?"))
    scorer = CpcerScorer(choice_of(fake, speakers=True))
    asked = ClipMedia(spoken, "Two people talk.", {"transcript": "[S01] Who is there? [S02] Good mourning!"})
    found = score(scorer, asked)
    assert {name: one.value for name, one in found.scores.items()} == {"cpcer_errors": 1, "cpcer_chars": 22}
    tagged = ClipMedia(spoken, '[S01]: "Who is there?" [S02]: "Good morning."')
    assert score(scorer, tagged).scores["cpcer_errors"].value == 0
    assert "nor the prompt has lines" in reason(scorer, ClipMedia(spoken, PROMPT), "cpcer_errors")


def test_a_transcript_without_tags_misses_all(fake, spoken):
    fake.reset(tells("Who is there?"))
    found = score(CpcerScorer(choice_of(fake, speakers=True)), ClipMedia(spoken, "[S01] Who is there?"))
    assert found.scores["cpcer_errors"].value == found.scores["cpcer_chars"].value == 10


def test_one_transcript_serves_both(fake, spoken):
    fake.reset(tells("[S01] turn left at the next light"))
    settings = ScorerSettings(transcriber=choice_of(fake, speakers=True))
    clip = ClipMedia(spoken, '[S01]: "Turn left at the next light."')
    (found,) = make_scorers(["said", "cpcer"], settings).score([clip])
    assert (found.scores["said_wer"].value, found.scores["cpcer_errors"].value) == (0, 0)
    assert len(fake.requests) == 1


def test_without_a_transcriber_scorers_are_skipped_with_the_option(fake, spoken):
    (found,) = make_scorers(["said", "cpcer"]).score([ClipMedia(spoken, PROMPT)])
    assert found.scores["said_wer"].reason == f"skipped: choice: {OPTION}"
    assert found.scores["cpcer_errors"].reason == f"skipped: choice: {SPEAKERS_OPTION}"
    (found,) = make_scorers(["cpcer"], ScorerSettings(transcriber=choice_of(fake))).score([ClipMedia(spoken, PROMPT)])
    assert found.scores["cpcer_errors"].reason == f"skipped: choice: {SPEAKERS_OPTION}"
