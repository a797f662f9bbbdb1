"""Metrics that are no mean of the clips' values belong to scorers that there are."""

from mova.evaluate.results.derived import POOLED_RATES, SET_FIGURES
from mova.scorers.registry import SCORER_NAMES, make_scorers


def test_rates_count_what_their_scorer_measures():
    for rate in POOLED_RATES:
        names = {one.name for one in make_scorers([rate.scorer]).measures}
        assert {rate.numerator, rate.denominator} <= names


def test_set_figures_have_names_of_their_own_and_a_scorer():
    measures = {one.name for name in SCORER_NAMES for one in make_scorers([name]).measures}
    names = [one.name for one in (*SET_FIGURES, *POOLED_RATES)]
    assert len(names) == len(set(names))
    assert not measures & set(names)
    assert all(one.scorer in SCORER_NAMES for one in SET_FIGURES)
