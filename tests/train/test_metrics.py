"""The log of a run."""

import json

from mova.train.metrics import JsonlLog


def test_each_event_is_one_line_and_reopening_appends(tmp_path):
    path = tmp_path / "run" / "log.jsonl"
    JsonlLog(path).write("train", step=1, loss=0.123456, note="text")
    JsonlLog(path).write("validate", step=2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {"event": "train", "step": 1, "loss": 0.1235, "note": "text"}
    assert (second["event"], second["step"]) == ("validate", 2)


def test_large_whole_numbers_keep_all_digits(tmp_path):
    JsonlLog(tmp_path / "log.jsonl").write("train", step=123_456)
    assert json.loads((tmp_path / "log.jsonl").read_text())["step"] == 123_456
