"""The folder of a report."""

import json

import pytest

from arena_kit import vote
from mova.errors import ConfigError
from mova.evaluate.arena.ratings.summary import summarise
from mova.evaluate.arena.report.write import write_report


def test_three_files_say_the_same(tmp_path):
    summary = summarise([vote(1, "a", "b", "tie")], ("a", "b"), title="Balls", num_bootstraps=5)
    write_report(tmp_path / "report", summary)
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert document["criteria"][0]["ratings"][0]["value"] == pytest.approx(1000)
    assert (tmp_path / "report" / "report.md").read_text().startswith("# Balls\n")
    assert "<!doctype html>" in (tmp_path / "report" / "report.html").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can be written"):
        write_report(tmp_path / "file", summary)
