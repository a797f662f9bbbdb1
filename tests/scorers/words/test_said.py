"""Lines that are said, in words and characters."""

import numpy as np

from fake_endpoint import KEY
from mova.scorers.base import Absence
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.said import SaidScorer
from shared_scoring import clip_of, reason, score
from transcript_calls import PROMPT, choice_of, tells


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


def test_a_prompt_without_lines_or_a_clip_without_audio_has_nothing_to_measure(fake, spoken, tmp_path):
    scorer = SaidScorer(choice_of(fake))
    assert "quotes nothing that is said" in reason(scorer, ClipMedia(spoken, 'A sign reads "STOP".'), "said_wer")
    mute = clip_of(tmp_path / "mute.mp4", np.full((12, 16, 16, 3), 9, np.uint8))
    assert reason(scorer, ClipMedia(mute.path, PROMPT), "said_wer").startswith(Absence.NOT_APPLICABLE)
    assert fake.requests == []
