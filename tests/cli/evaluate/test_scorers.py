"""`mova evaluate scorers`."""

import json

from mova.cli.app import main


def test_scorers_are_listed_for_readers_and_programs(tmp_path, capsys):
    assert main(["evaluate", "scorers", "--weights", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "levels: ready" in text
    assert "loudness_lufs in LUFS" in text
    assert "skipped: weights" in text
    assert "amplitude, LUFS: amplitude, loudness_lufs of levels (ready)" in text
    assert "IS: inception_score of cnn14 (skipped: weights)" in text
    assert main(["evaluate", "scorers", "--json"]) == 0
    assert {"name", "state", "measures", "missing", "paper"} == set(json.loads(capsys.readouterr().out)[0])


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert main(["evaluate", "scorers", "--weights", str(tmp_path / "none")]) == 2
    assert "must be a folder with weights of scorers" in capsys.readouterr().err
