"""The report as a page."""

from arena_kit import drawn_votes, vote
from mova.evaluate.arena.ratings.summary import summarise
from mova.evaluate.arena.report.page import arena_page


def test_it_shows_ratings_duels_and_sides():
    evil = "<script>alert(1)</script>"
    votes = drawn_votes(200, {evil: 1100, "plain": 1000, "low": 900})
    page = arena_page(summarise(votes, (evil, "plain", "low", "unseen"), title=evil, num_bootstraps=10))
    assert evil not in page
    assert "Bradley-Terry ratings with 95 % intervals" in page
    assert "unseen: no votes." in page
    assert "The left clip won" in page
    assert "Wins, ties and losses: overall" in page


def test_an_arena_without_votes_has_a_page():
    page = arena_page(summarise([], ("a", "b")))
    assert "0 votes on 2 models" in page
    assert arena_page(summarise([vote(1, "a", "b", "tie")], ("a", "b"), num_bootstraps=5))
