"""The section of a recipe that chooses scorers."""

import pytest
from pydantic import ValidationError

from mova.curate.config.score import ScoreSection
from mova.scorers.registry import SCORER_NAMES


def test_all_scorers_are_applied_unless_some_are_named_or_left_out():
    assert ScoreSection().chosen == SCORER_NAMES
    assert ScoreSection(scorers=("levels", "motion"), without=("motion",)).chosen == ("levels",)


@pytest.mark.parametrize("key", ["scorers", "without"])
def test_an_unknown_scorer_is_an_error_that_names_the_nearest(key):
    with pytest.raises(ValidationError, match=r"got 'motoin'; did you mean motion\?"):
        ScoreSection(**{key: ("motoin",)})


def test_numbers_have_bounds_and_keys_are_known():
    for wrong in ({"batch": 0}, {"text_rate": 0.0}, {"av_align_lines": 10}, {"weight": "folder"}):
        with pytest.raises(ValidationError):
            ScoreSection(**wrong)


def test_every_field_says_what_it_is():
    assert all(field.description for field in ScoreSection.model_fields.values())
