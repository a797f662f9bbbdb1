"""Networks that are not here keep their place among the measures."""

import pytest

from mova.scorers.by_file.elsewhere import ELSEWHERE


@pytest.mark.parametrize("scorer", ELSEWHERE, ids=lambda scorer: scorer.name)
def test_each_names_its_files_with_source_and_licence(scorer):
    assert scorer.needs.weights
    assert all(file.name and file.source and file.licence for file in scorer.needs.weights)


@pytest.mark.parametrize("scorer", ELSEWHERE, ids=lambda scorer: scorer.name)
def test_each_answers_for_every_clip_and_measure(scorer):
    found = scorer.score([None, None])
    assert len(found) == 2
    assert set(found[0].scores) == {measure.name for measure in scorer.measures}
    assert {score.value for score in found[0].scores.values()} == {None}
