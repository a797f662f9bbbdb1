"""Tags of speakers, and what of a text counts."""

from mova.scorers.words.transcripts import by_speaker, clean, normalise_tags, prompt_transcript, without_tags


def test_white_space_and_punctuation_do_not_count_but_some_signs_do():
    assert clean(" Near; the bread: – is, “Here”! （好）、吗？ ") == "near;thebread:–ishere好吗"


def test_what_a_speaker_says_is_put_together_and_text_before_the_first_tag_is_lost():
    assert by_speaker("lost [S02] One. [S01] Two! [S02] three") == {"[S02]": "onethree", "[S01]": "two"}
    assert by_speaker("no tags at all") == {}
    assert by_speaker("") == {}


def test_tags_and_times_of_transcribers_take_one_form():
    assert normalise_tags("[0.48][S1] Hi [1.66][2.0][s01] there <Speaker 2> yes") == "[S01] Hi there [S02] yes"
    assert without_tags("[S01] Hi [S02] yes") == "Hi yes"
    assert normalise_tags("plain") == "plain"


def test_a_prompt_with_tags_asks_for_a_transcript():
    assert prompt_transcript('Two people. [S01]: "Hi there." [S02] says? No.') == "[S01] Hi there. [S02] says? No."
    assert prompt_transcript("[S1]：“你好。”然后 [S2]：“再见。”") == "[S01] 你好。 [S02] 再见。"
    assert prompt_transcript("[S01] One.\nThe camera moves.") == "[S01] One."
    assert prompt_transcript('A man says "Hi."') == ""
