"""Rules that an enhanced prompt must keep."""

import pytest

from mova.generate.enhance.checks import Source, count_words, find_faults, has_open_quote, is_chinese, quoted_lines

GOOD = 'A man lifts a cup and says, "Fine".\n\nThe audio shows his voice.'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('he says "one" and “two”', ("one", "two")),
        ("她说「你好」，又说『再见』", ("你好", "再见")),
        ("«bonjour» „guten Tag“", ("bonjour", "guten Tag")),
        ("it's 'don't go' he said, isn't it", ("don't go",)),
        ("the dogs' owners' house", ()),
        ("‘fine, isn’t it’ she said", ("fine, isn’t it",)),
        ("“a 「b」 c”", ("a 「b」 c",)),
        ('"open and never closed', ()),
        ('"" "!"', ()),
    ],
)
def test_quoted_lines_of_all_marks_are_found(text, lines):
    assert quoted_lines(text) == lines


def test_open_quotes_are_found():
    assert has_open_quote('he says "hello')
    assert has_open_quote("「你好")
    assert not has_open_quote('"a" it\'s')


def test_words_and_characters_are_counted():
    assert count_words("It's a well-known fact.") == 4
    assert count_words("一" * 400) == 250
    assert is_chinese("一只猫跑")
    assert not is_chinese('A cat says "你好你好你好"')


def test_a_right_prompt_has_no_faults():
    assert find_faults(GOOD, Source("a man says 'Fine'")) == ()


@pytest.mark.parametrize(
    ("prompt", "source", "fault"),
    [
        (GOOD.replace("Fine", "Good"), Source("he says “Fine”"), '"Fine"'),
        (GOOD, Source("he nods"), "must not be quoted"),
        (GOOD, Source("he says “Fine”", ("EXIT 4",)), "EXIT 4"),
        ('A man says, "Fine".', Source("“Fine”"), "last paragraph"),
        ("A man waves.\n\nHe smiles.", Source("a man"), "last paragraph"),
        ("A static shot of a man.\n\nThe audio shows wind.", Source("a man"), "static"),
        ("人静止不动。\n\n音频中可以听到风声。", Source("人", english=False), "静止"),
        ("word " * 251 + "\n\nThe audio shows wind.", Source("a man"), "words"),
        ("字" * 420 + "\n\n音频中可以听到风声。", Source("字", english=False), "words"),
        ("See https://x.example now.\n\nThe audio shows wind.", Source("a man"), "address"),
        ("Sure! A man waves.\n\nThe audio shows wind.", Source("a man"), "plain paragraphs"),
        ("# Title\n\nThe audio shows wind.", Source("a man"), "plain paragraphs"),
        ("```\nA man\n```\n\nThe audio shows wind.", Source("a man"), "plain paragraphs"),
        ("一个人在跑步。\n\nThe audio shows wind.", Source("一个人"), "in English"),
        (
            "one two three four five six seven eight nine ten eleven twelve.\n\nThe audio shows wind.",
            Source("a man", instruction="zero one two three four five six seven eight nine ten eleven twelve"),
            "instruction",
        ),
    ],
)
def test_faults_are_named(prompt, source, fault):
    assert fault in " ".join(find_faults(prompt, source))


def test_what_the_user_asked_for_and_what_is_said_may_name_stillness():
    prompt = 'A static camera films a man who says, "Hold still".\n\nThe audio shows his voice.'
    assert find_faults(prompt, Source("static camera, a man says “Hold still”")) == ()


@pytest.mark.parametrize("text", ["“" * 8000, "'a" * 4000, "a@" * 9000, "www." * 4000, "x" * 30_000, '"a" ' * 3000])
def test_hostile_texts_are_looked_through_quickly(text):
    assert find_faults(text, Source(text[:8000]))
    has_open_quote(text)
