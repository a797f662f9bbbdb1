"""Votes on one criterion as arrays."""

from arena_kit import vote
from mova.evaluate.arena.ratings.outcomes import Cluster, collect
from mova.evaluate.arena.records import Answer, Criterion

VOTES = [
    vote(2, "b", "a", "both_bad", rater="y", prompt="q"),
    vote(1, "a", "b", "left", rater="z", prompt="p"),
    vote(3, "a", "b", "right", rater="y", prompt="p", answers={Criterion.SYNC: Answer.TIE}),
]


def test_votes_are_put_in_the_order_in_which_they_came():
    found = collect(VOTES, Criterion.OVERALL, ("a", "b"), Cluster.PROMPT)
    assert (found.left.tolist(), found.right.tolist(), found.score.tolist()) == ([0, 1], [1, 0], [1.0, 0.5])
    assert (found.is_bad.tolist(), found.cluster.tolist(), found.num_clusters) == ([False, True], [0, 1], 2)
    assert collect(VOTES, Criterion.SYNC, ("a", "b"), Cluster.PROMPT).size == 1


def test_clusters_are_prompts_or_raters():
    found = collect(VOTES, Criterion.OVERALL, ("a", "b"), Cluster.RATER)
    assert found.cluster.tolist() == [1, 0]
    assert collect([], Criterion.AUDIO, ("a", "b"), Cluster.RATER).size == 0
