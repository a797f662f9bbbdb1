"""Requests of all processes together."""

from mova.endpoints.budget import FileBudget
from mova.evaluate.measure.calls import shared_calls
from mova.scorers.registry import ScorerSettings
from mova.scorers.words.choice import TranscriberChoice


def test_processes_that_are_told_of_one_budget_take_from_it_together():
    settings = ScorerSettings(transcriber=TranscriberChoice("http://127.0.0.1:1/v1", most_calls=3))
    with shared_calls(settings) as shared:
        folder = shared.transcriber.budget
        one, other = (FileBudget(folder, 3) for _ in range(2))
        assert [budget.take(0) for budget in (one, other, one, other, one)] == [True, True, True, False, False]
    assert not folder.exists()
    assert shared.transcriber.identity == settings.transcriber.identity


def test_without_a_bound_nothing_is_shared():
    for settings in (ScorerSettings(), ScorerSettings(transcriber=TranscriberChoice("http://127.0.0.1:1/v1"))):
        with shared_calls(settings) as shared:
            assert shared is settings
