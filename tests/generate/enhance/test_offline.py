"""The enhancer that asks nobody invents nothing and leaves speech as it is."""

import pytest

from mova.generate.enhance.checks import Source, find_faults, quoted_lines
from mova.generate.enhance.offline import enhance_offline
from mova.names import NO_SUBTITLES


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("a dog runs through the rain", "The audio shows a dog, footsteps and the patter of rain"),
        ("a man says “Bonne nuit”", 'the voice that says "Bonne nuit"'),
        ("雨中一只狗在跑，女孩喊「快回来」", "音频中可以听到有人说“快回来”，还有雨声、狗的声音、脚步声"),
        ("a red square", "The audio shows the sounds of what is seen"),
        ("一幅画", "音频中可以听到画面里"),
    ],
)
def test_the_last_paragraph_tells_what_is_heard(text, heard):
    found = enhance_offline(text)
    assert heard in found.text.split("\n\n")[-1]
    assert not found.is_fallback
    assert set(quoted_lines(text)) <= set(quoted_lines(found.text))
    assert enhance_offline(text).text == found.text


def test_what_is_written_on_a_sign_is_not_said():
    assert "voice" not in enhance_offline("a shop with a sign that reads 'OPEN'").text
    assert "有人说" not in enhance_offline("招牌上写着“营业中”").text


def test_a_text_that_tells_its_audio_stays_as_it_is():
    text = "A car passes.\n\nThe audio shows a horn."
    assert enhance_offline(text).text == text


def test_prompts_keep_the_rules():
    text = "a man lifts a guitar, says “Listen” and plays"
    assert find_faults(enhance_offline(text).text, Source(text)) == ()


def test_long_texts_and_the_note_on_subtitles():
    assert "shorten the text" in enhance_offline("word " * 300).problems[0]
    assert enhance_offline("a dog", no_subtitles=True).text.startswith(NO_SUBTITLES)
