"""The report for readers."""

from arena_kit import drawn_votes, vote
from mova.evaluate.arena.ratings.summary import summarise
from mova.evaluate.arena.records import Mark
from mova.evaluate.arena.report.markdown import facts_lines, position_words, ranked, summary_markdown

TRUTH = {"a|b": 1150, "middle": 1000, "low": 850}


def test_models_stand_in_the_order_of_their_ratings():
    votes = [*drawn_votes(300, TRUTH), vote(900, "low", "middle", "left", marks=(Mark.FAST,))]
    summary = summarise(votes, (*TRUTH, "unseen"), num_bootstraps=20)
    text = summary_markdown(summary)
    assert text.index("a\\|b") < text.index("middle") < text.index("low")
    assert "| - | unseen | no votes |" in text
    assert "not counted because of their marks: fast 1" in text
    assert "Sides: the left clip won" in text
    assert [summary.models[place] for place in ranked(summary.criteria[0])] == ["a|b", "middle", "low", "unseen"]
    assert len(facts_lines(summary)) == 3


def test_a_preferred_side_is_told():
    summary = summarise([vote(number, "a", "b", "left") for number in range(40)], ("a", "b"), num_bootstraps=5)
    assert "raters prefer the left side" in position_words(summary.criteria[0].left_share)
    assert "unbeaten: it has won every vote" in summary_markdown(summary)
    nothing = summarise([], ("a", "b"), num_bootstraps=5)
    assert "nothing can be said" in position_words(nothing.criteria[0].left_share)
