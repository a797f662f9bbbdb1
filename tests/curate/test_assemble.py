"""The table of all clips has a row for each, whatever stage it came to, in order."""

import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.runner import run_all
from mova.curate.tables import iter_clips, read_columns
from mova.errors import ConfigError
from mova.scorers.base import Score
from shared_curation import ToyScore, toy_run, write_sources


def test_the_stage_that_decided_is_named(tmp_path):
    footage = write_sources(tmp_path / "in", 8)
    table = run_all(toy_run(footage, tmp_path / "out", gates=(Gate(score="silence_share", below=0.6),)))
    columns = read_columns(table, ("stage", "state", "reasons"))
    for stage, state, reasons in zip(columns["stage"], columns["state"], columns["reasons"], strict=True):
        expected = {"cut": "verify", "verdicts": "silence_share: must be < 0.6", "caption": "timeout"}[stage]
        assert reasons == [] if state == "kept" else reasons[0].startswith(expected)
    assert set(columns["stage"]) == {"cut", "verdicts", "caption"}
    assert {"kept", "rejected", "failed"} >= set(columns["state"])


def test_pieces_of_the_table_are_joined_in_order(tmp_path, monkeypatch):
    """With pieces of a few rows, captions are found that lie in another piece than their clips."""
    footage = write_sources(tmp_path / "in", 5, clips=40)
    gates = (Gate(score="silence_share", below=0.6),)
    plain = list(iter_clips(run_all(toy_run(footage, tmp_path / "plain", gates=gates))))
    for module in ("tables", "assemble", "decide.evidence", "summary"):
        monkeypatch.setattr(f"mova.curate.{module}.ROWS", 16)
    assert list(iter_clips(run_all(toy_run(footage, tmp_path / "small", gates=gates)))) == plain


class Clashing(ToyScore):
    """A scorer whose measure has the name of a column."""

    def scored(self, clip, folder):
        clip = super().scored(clip, folder)
        return type(clip)(**{**vars(clip), "scores": {"state": Score(1.0)}})


def test_a_measure_with_the_name_of_a_column_is_refused(tmp_path):
    footage = write_sources(tmp_path / "in", 1)
    with pytest.raises(ConfigError, match="'state' is a column already"):
        run_all(toy_run(footage, tmp_path / "out", score=Clashing()))
