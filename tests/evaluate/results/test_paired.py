"""Two evaluations, clip by clip."""

import json

import pytest

from evaluated_clips import made_up, plan_of
from mova.errors import ConfigError
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.paired import compare, read_values

PLAN = plan_of("speech_quality")
NAME = "dnsmos_ovrl"


def results(values):
    return aggregate(made_up(PLAN, values), PLAN)


def values_of(values):
    return {clip.id: clip.scores for clip in results(values).clips}


def test_pairs_are_clips_that_both_have_a_value_for():
    rows = {row.name: row for row in compare(results([1.0, 2.0, 3.0, None]), values_of([0.0, 2.0, None, 1.0]))}
    row = rows[NAME]
    assert (row.difference.value, row.difference.num_clips, row.share_better) == (0.5, 2, 0.75)
    assert (row.num_ours, row.num_theirs) == (3, 3)
    assert not row.is_certain


def test_a_difference_that_every_pair_shows_is_certain():
    rows = compare(results([2.0, 3.0, 4.0]), values_of([1.0, 2.0, 3.0]))
    assert all(row.is_certain and row.difference.value == 1.0 for row in rows)


def test_evaluations_without_a_clip_in_common_are_refused():
    with pytest.raises(ConfigError, match="have no name in common, such as 'c0' of the one and 'x' of the other"):
        compare(results([1.0]), {"x": {NAME: 1.0}})


def test_values_are_read_from_a_report_and_a_damaged_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"report\.json"):
        read_values(tmp_path)
    document = {"clips": [clip.to_json() for clip in results([1.0, None]).clips]}
    (tmp_path / "report.json").write_text(json.dumps(document))
    assert read_values(tmp_path) == {"c0": results([1.0]).clips[0].scores, "c1": {}}
    (tmp_path / "report.json").write_text('{"clips": [{"id": "a", "scores": {"x": "y"}}]}')
    with pytest.raises(ConfigError, match="x"):
        read_values(tmp_path)
