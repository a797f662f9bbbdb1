"""Everything that votes say."""

import json

import pytest

from arena_kit import drawn_votes, vote
from mova.errors import ConfigError
from mova.evaluate.arena.ratings.outcomes import Cluster
from mova.evaluate.arena.ratings.summary import summarise
from mova.evaluate.arena.records import Answer, Criterion, Mark

TRUTH = {"a": 1100, "b": 1000, "c": 900}


def test_it_counts_what_counts():
    votes = [*drawn_votes(60, TRUTH), vote(70, "a", "b", "left", marks=(Mark.FAST, Mark.UNWATCHED), rater="bot")]
    found = summarise(votes, ("a", "b", "c"), num_bootstraps=10)
    assert (found.num_votes, found.num_counted, found.num_raters, found.num_prompts) == (61, 60, 7, 11)
    assert found.marked == {"fast": 1, "unwatched": 1}
    assert found.median_latency_s == 20.0
    assert [one.criterion for one in found.criteria] == [Criterion.OVERALL]
    again = summarise(votes, ("a", "b", "c"), counts_marked=True, cluster=Cluster.RATER, num_bootstraps=10)
    assert (again.num_counted, again.criteria[0].num_clusters) == (61, 8)


def test_criteria_are_rated_by_themselves():
    answers = {Criterion.OVERALL: Answer.LEFT, Criterion.SYNC: Answer.RIGHT}
    found = summarise([vote(1, "a", "b", "left", answers=answers)], ("a", "b"), num_bootstraps=10)
    assert [(one.criterion, one.duels[0].wins) for one in found.criteria] == [("overall", 1), ("sync", 0)]


def test_it_is_json_without_numbers_that_json_lacks():
    text = json.dumps(summarise([vote(1, "a", "b", "left")], ("a", "b")).to_json(), allow_nan=False)
    assert "unbeaten" in text
    assert summarise([], ("a", "b")).median_latency_s is None


def test_votes_on_other_models_are_refused():
    with pytest.raises(ConfigError, match="got one about 'z'"):
        summarise([vote(1, "a", "z", "left")], ("a", "b"))
