"""An endpoint that answers badly, or not at all, and that is not asked for nothing."""

import dataclasses

import pytest

from fake_endpoint import KEY, hangs, sends, status
from mova.scorers.base import Absence
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.said import SaidScorer
from mova.scorers.words.transcribers import MOST_LENGTH
from shared_scoring import clip_of, reason, score, tone
from transcript_calls import PROMPT, choice_of, tells


def test_nobody_is_asked_where_nobody_speaks_and_then_all_is_missing(fake, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 2.0))
    found = score(SaidScorer(choice_of(fake)), ClipMedia(clip.path, PROMPT))
    assert found.scores["said_wer"].value == 1
    assert fake.requests == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(429, "slow down"), "transport: HTTP 429"),
        (status(500, "boom"), "transport: HTTP 500"),
        (status(401, KEY), "transport: HTTP 401"),
        (status(400, "no", error_code="content_filter"), "filtered"),
        (hangs(), "timeout: no whole reply within"),
        (sends(b'{"text": null}'), "empty: the reply has no text"),
        (sends(b"{}"), "empty: the reply has no text"),
        (sends(b'{"text": ["a"]}'), "empty: the reply has no text"),
        (sends(b"null"), "transport: "),
        (sends(b"<html>"), "transport: "),
        (tells("la " * MOST_LENGTH), f"{MOST_LENGTH} at most can be said"),
    ],
)
def test_whatever_an_endpoint_does_is_a_reason(fake, spoken, answer, why):
    fake.reset(answer)
    scorer = SaidScorer(choice_of(fake, timeout_s=1.0))
    found = score(scorer, ClipMedia(spoken, PROMPT)).scores["said_wer"].reason
    assert found.startswith(Absence.NO_ANSWER)
    assert why in found
    assert KEY not in found


def test_nobody_listens_and_a_spent_budget_are_reasons(fake, spoken):
    closed = dataclasses.replace(choice_of(fake), base_url="http://127.0.0.1:9/v1")
    assert "no answer: transport" in reason(SaidScorer(closed), ClipMedia(spoken, PROMPT), "said_wer")
    few = SaidScorer(choice_of(fake, most_calls=1))
    fake.reset(tells("turn"))
    assert reason(few, ClipMedia(spoken, PROMPT), "said_wer") == ""
    assert "no answer: budget" in reason(few, ClipMedia(spoken, PROMPT), "said_wer")
