"""An evaluation of clips from request to figures."""

import pytest

from evaluated_clips import write_clips
from mova.errors import ConfigError
from mova.evaluate.clips_run import choose_scorers, evaluate_clips, make_evaluation, make_plan
from mova.evaluate.folder import open_evaluation
from mova.scorers.registry import SCORER_NAMES


def test_metrics_are_named_by_scorer_or_measure_in_any_order():
    assert choose_scorers(["av_align", "levels", "loudness_lufs"]) == ("levels", "synchrony")
    assert set(choose_scorers([])) == set(SCORER_NAMES) - {"hashes"}
    with pytest.raises(ConfigError, match="got 'av_aling'; did you mean av_align"):
        choose_scorers(["av_aling"])


def test_clips_are_measured_and_compared_with_an_earlier_evaluation(tmp_path):
    write_clips(tmp_path / "clips", 3)
    first = make_evaluation(tmp_path / "clips", make_plan(["levels"]))
    with open_evaluation(tmp_path / "report") as folder:
        found = evaluate_clips(first, folder)
        folder.write(found.results, {"clips": "clips"}, found.paired, found.measured)
    assert found.paired == ()
    results = found.results
    loudness = next(row for row in results.rows if row.name == "loudness_lufs")
    assert loudness.estimate.num_clips == loudness.num_total == 3
    again = make_evaluation(tmp_path / "clips", make_plan(["levels"]), against=tmp_path / "report")
    assert {row.difference.value for row in evaluate_clips(again).paired} == {0.0}


def test_what_cannot_be_done_is_refused_before_anything_is_decoded(tmp_path):
    write_clips(tmp_path / "clips", 1)
    with pytest.raises(ConfigError, match="workers must be 1 to 64, got 99"):
        make_evaluation(tmp_path / "clips", make_plan(["levels"]), workers=99)
    with pytest.raises(ConfigError, match=r"report\.json"):
        make_evaluation(tmp_path / "clips", make_plan(["levels"]), against=tmp_path)
    with pytest.raises(ConfigError, match="must be a folder with weights of scorers"):
        make_plan(weights=str(tmp_path / "none"))
