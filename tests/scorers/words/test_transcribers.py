"""Lines that are said, and dialogues, by an endpoint that answers well, badly and not at all."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

from fake_endpoint import KEY, KEY_ENV, hangs, sends, serve_fake, status
from mova.errors import ConfigError
from mova.scorers.base import Absence
from mova.scorers.clip_media import ClipMedia
from mova.scorers.registry import ScorerSettings, make_scorers
from mova.scorers.words.choice import OPTION, SPEAKERS_OPTION, choose_transcriber
from mova.scorers.words.cpcer import CpcerScorer
from mova.scorers.words.said import SaidScorer
from mova.scorers.words.transcribers import MOST_LENGTH
from shared_scoring import clip_of, reason, score, tone
from shared_speech import SAMPLE_RATE, speak

PROMPT = 'A man says "Turn left at the next light." A sign reads "STOP".'


def tells(text):
    return sends(json.dumps({"text": text}).encode())


@pytest.fixture(scope="module")
def served():
    with serve_fake() as fake:
        yield fake


@pytest.fixture
def fake(served, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    served.reset(tells(""))
    return served


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A file in which somebody speaks."""
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    clip_of(path, sound=speak(3.0), sample_rate=SAMPLE_RATE)
    return path


def choice_of(fake, *, speakers=False, **more):
    chosen = choose_transcriber(fake.base_url, key_variable=KEY_ENV, speakers=speakers)
    return dataclasses.replace(chosen, attempts=1, **more)


def test_lines_that_are_said_have_no_errors_and_others_have(fake, spoken):
    scorer = SaidScorer(choice_of(fake))
    for text, errors in (("turn left at the next light", 0), ("Turn right at next light!", 2), ("", 6)):
        fake.reset(tells(text))
        found = score(scorer, ClipMedia(spoken, PROMPT))
        scores = {name: one.value for name, one in found.scores.items() if one.value is not None}
        assert scores == {"said_wer": errors / 6, "said_word_errors": errors, "said_words": 6}
        assert found.scores["said_cer"].reason == "not applicable: the lines have words with spaces"
        assert found.texts == ((text,) if text else ())
    path, _, headers = fake.requests[0]
    assert path == "/v1/audio/transcriptions"
    assert headers["authorization"] == f"Bearer {KEY}"


def test_chinese_lines_are_counted_by_characters(fake, spoken):
    fake.reset(tells("你号朋友"))
    found = score(SaidScorer(choice_of(fake)), ClipMedia(spoken, "男人说：“你好，朋友。”"))
    assert found.scores["said_cer"].value == 0.25
    assert found.scores["said_chars"].value == 4
    assert found.scores["said_wer"].value is None


def test_nobody_is_asked_where_nobody_speaks_and_then_all_is_missing(fake, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 2.0))
    found = score(SaidScorer(choice_of(fake)), ClipMedia(clip.path, PROMPT))
    assert found.scores["said_wer"].value == 1
    assert fake.requests == []


def test_a_prompt_without_lines_or_a_clip_without_audio_has_nothing_to_measure(fake, spoken, tmp_path):
    scorer = SaidScorer(choice_of(fake))
    assert "quotes nothing that is said" in reason(scorer, ClipMedia(spoken, 'A sign reads "STOP".'), "said_wer")
    mute = clip_of(tmp_path / "mute.mp4", np.full((12, 16, 16, 3), 9, np.uint8))
    assert reason(scorer, ClipMedia(mute.path, PROMPT), "said_wer").startswith(Absence.NOT_APPLICABLE)
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


def test_a_choice_is_checked_before_anything_is_asked(fake, tmp_path, monkeypatch):
    assert choose_transcriber("") is None
    with pytest.raises(ConfigError, match="must be the address of an endpoint"):
        choose_transcriber(str(tmp_path))
    with pytest.raises(ConfigError, match="must hold neither user"):
        choose_transcriber("http://user:secret@host/v1")
    with pytest.raises(ConfigError, match="transcriber-model goes with"):
        choose_transcriber("", model="large")
    with pytest.raises(ConfigError, match="transcriber-calls must be 1 or more, got 0"):
        choose_transcriber(fake.base_url, most_calls=0)
    monkeypatch.delenv(KEY_ENV)
    with pytest.raises(ConfigError, match="must hold the API key"):
        choose_transcriber(fake.base_url, key_variable=KEY_ENV)


def test_a_folder_is_known_by_its_contents(tmp_path):
    chosen = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(b"weights")
        chosen.append(choose_transcriber(str(tmp_path / name)))
    assert chosen[0].identity == chosen[1].identity
    assert pickle.loads(pickle.dumps(chosen[0])) == chosen[0]
    assert len(set(chosen)) == 2
    (tmp_path / "a" / "model.bin").write_bytes(b"others")
    assert choose_transcriber(str(tmp_path / "a")).identity != chosen[0].identity
