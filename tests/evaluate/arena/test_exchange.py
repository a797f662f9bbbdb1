"""Votes as a file."""

import json

import pytest

from arena_kit import vote
from mova.errors import ConfigError
from mova.evaluate.arena.contents import ArenaFacts
from mova.evaluate.arena.exchange import check_models, read_votes, write_votes

VOTES = [vote(number, "anna", "berta", "tie", category="ünï") for number in range(3)]


@pytest.fixture
def path(tmp_path):
    write_votes(tmp_path / "votes.jsonl", ArenaFacts("Balls", ("anna", "berta"), 1, 3), VOTES)
    return tmp_path / "votes.jsonl"


def test_votes_come_back_as_they_were(path):
    found = read_votes(path)
    assert (found.title, found.models, list(found.votes)) == ("Balls", ("anna", "berta"), VOTES)
    check_models(found, ("anna", "berta", "carl"), path)
    with pytest.raises(ConfigError, match="got 'berta'; did you mean bertha"):
        check_models(found, ("anna", "bertha"), path)


def test_a_file_that_is_cut_off_or_changed_is_refused(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(ConfigError, match="the 3 votes that it states, got 2"):
        read_votes(path)
    path.write_text("".join([*lines[:-1], lines[-1][:40]]))
    with pytest.raises(ConfigError, match="line 4"):
        read_votes(path)
    path.write_text("".join([*lines[:-1], json.dumps(VOTES[0].to_json() | {"left": "ana"})]))
    with pytest.raises(ConfigError, match="did you mean anna"):
        read_votes(path)
    for text in ("", "{}\n", "no\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"votes\.jsonl"):
            read_votes(path)
