"""The folder of an evaluation."""

import csv
import json

import pytest

from evaluated_clips import made_up, plan_of
from mova.errors import ConfigError
from mova.evaluate.folder import open_evaluation
from mova.evaluate.results.aggregate import aggregate

PLAN = plan_of("motion")
RESULTS = aggregate(made_up(PLAN, [1.0, None], ["a", "b"]), PLAN)


def test_figures_are_there_for_programs_readers_and_spreadsheets(tmp_path):
    with open_evaluation(tmp_path / "report") as folder:
        folder.write(RESULTS, {"clips": "x`y", "num_clips": 2})
    document = json.loads((tmp_path / "report" / "report.json").read_text(), parse_constant=pytest.fail)
    assert document["rows"][0]["estimate"]["value"] == 1.0
    assert document["clips"][1]["reasons"] == {"motion": "failed: made up: of this clip"}
    assert "- num clips: `2`" in (tmp_path / "report" / "report.md").read_text()
    for name, rows in (("clips.csv", 3), ("table.csv", 5)):
        assert len(list(csv.reader((tmp_path / "report" / name).read_text().splitlines()))) == rows


def test_one_process_at_a_time_holds_it(tmp_path):
    refused = pytest.raises(ConfigError, match="one process at a time may use the report folder")
    with open_evaluation(tmp_path), refused, open_evaluation(tmp_path):
        pass


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(ConfigError, match="report folder"), open_evaluation(tmp_path / "report"):
        pass
