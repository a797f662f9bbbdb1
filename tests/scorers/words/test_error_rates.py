"""Counts of errors, against records and against all that could be counted."""

import itertools
import json
import random
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from mova.scorers.words.error_rates import (
    ErrorCount,
    character_errors,
    is_unspaced,
    nearest_distance,
    speaker_errors,
    word_errors,
    words_of,
)
from mova.scorers.words.transcripts import by_speaker

RECORD = json.loads((Path(__file__).parents[1] / "records/arithmetic/cpcer.json").read_text(encoding="utf-8"))
ALPHABET = "abcdef –:;., 慢了雨钟!"


def test_recorded_transcripts_have_the_recorded_errors_characters_and_rate():
    counts = []
    for row in RECORD["rows"]:
        found = speaker_errors(by_speaker(row["reference"]), by_speaker(row["hypothesis"]))
        counts.append(found.count)
        assert (found.count.errors, found.count.length) == (row["errors"], row["characters"])
        assert set(found.assignment) == set(map(tuple, row["assignment"]))
    pooled = ErrorCount(sum(one.errors for one in counts), sum(one.length for one in counts))
    assert 100 * pooled.rate == pytest.approx(RECORD["cp_cer_percent"], rel=1e-12)


def fuzzed(rng, most_speakers):
    def transcript():
        parts = []
        for _ in range(rng.randint(0, 8)):
            text = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, 12)))
            parts.append(f"[S{rng.randint(1, most_speakers):02d}] {text}")
        return rng.choice(["", "", "lost "]) + " ".join(parts)

    return transcript(), transcript()


def of_all_permutations(reference, heard):
    """Errors of the best of all assignments, one after the other."""
    asked, found = list(reference.values()), list(heard.values())
    size = max(len(asked), len(found))
    asked += [""] * (size - len(asked))
    found += [""] * (size - len(found))
    cost = [[Levenshtein.distance(one, other) for other in found] for one in asked]
    return min(
        sum(row[at] for row, at in zip(cost, order, strict=True)) for order in itertools.permutations(range(size))
    )


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_permutation_of_speakers_makes_fewer_errors(count):
    rng = random.Random(count)
    for _ in range(count):
        reference, heard = map(by_speaker, fuzzed(rng, 6))
        assert speaker_errors(reference, heard).count.errors == of_all_permutations(reference, heard)


def test_speakers_without_a_partner_are_compared_with_silence():
    found = speaker_errors({"[S01]": "abc"}, {"[S07]": "abc", "[S02]": "xy"})
    assert found.count == ErrorCount(2, 3)
    assert set(found.assignment) == {("[S01]", "[S07]"), (None, "[S02]")}
    assert speaker_errors({"[S01]": "abc"}, {}).count == ErrorCount(3, 3)
    assert speaker_errors({}, {}).count == ErrorCount(0, 0)
    assert speaker_errors({}, {}).count.rate is None


def test_words_are_compared_without_capitals_and_punctuation():
    assert words_of("Don’t STOP, ‘me’ now—please! 42") == ["don't", "stop", "me", "now", "please", "42"]
    assert word_errors("Turn left, please.", "turn right please now") == ErrorCount(2, 3)
    assert word_errors("One two", "") == ErrorCount(2, 2)
    assert character_errors("你好，朋友。", "你号朋友") == ErrorCount(1, 4)


def test_scripts_without_spaces_are_told():
    assert is_unspaced("你好 OK")
    assert is_unspaced("こんにちは")
    assert not is_unspaced("hello 你")
    assert not is_unspaced("안녕 하세요")
    assert not is_unspaced("42")


def test_the_nearest_place_of_a_text_is_found_as_by_trying_all():
    assert nearest_distance("open", "we are open 24h") == 0
    assert nearest_distance("open", "0pen") == 0.25
    assert nearest_distance("open", "") == 1
    assert nearest_distance("", "any") == 0
    rng = random.Random(1)
    for _ in range(50):
        wanted = "".join(rng.choice("abc") for _ in range(rng.randint(1, 6)))
        text = "".join(rng.choice("abc") for _ in range(rng.randint(0, 9)))
        pieces = {text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1)}
        assert nearest_distance(wanted, text) == min(Levenshtein.distance(wanted, one) for one in pieces) / len(wanted)
