"""Records of calls: a line for each."""

import dataclasses
import json

import pytest

from mova.endpoints.records import CallRecord, FileRecords, MemoryRecords, read_records
from mova.errors import StageError

RECORD = CallRecord(
    *("visual abc", "chat", "host:1", "model", "0" * 64, "1" * 64, 100, 0.5, "ok", "stop", "", 0, 7, 3, 1, 0.25, "r"),
    cached=False,
    at=1.5,
)


def test_what_is_written_is_read(tmp_path):
    records = FileRecords(tmp_path / "calls" / "unit.jsonl")
    records.add(RECORD)
    records.add(dataclasses.replace(RECORD, label="字幕\n", temperature=None))
    first, second = read_records(records.path)
    assert first == RECORD
    assert (second.label, second.temperature) == ("字幕\n", None)


def test_a_line_that_was_left_unfinished_costs_no_other(tmp_path):
    records = FileRecords(tmp_path / "unit.jsonl")
    records.add(RECORD)
    whole = records.path.read_bytes()
    records.path.write_bytes(whole + whole[: len(whole) // 2])
    records.add(RECORD)
    with records.path.open("a") as file:
        file.write('{"label": 1}\n[]\n')
    assert list(read_records(records.path)) == [RECORD, RECORD]


def test_each_line_is_json_for_any_other_tool(tmp_path):
    records = FileRecords(tmp_path / "unit.jsonl")
    records.add(RECORD)
    lines = [line for line in records.path.read_text().splitlines() if line]
    assert [json.loads(line) for line in lines] == [dataclasses.asdict(RECORD)]


def test_records_can_stay_in_memory():
    records = MemoryRecords()
    records.add(RECORD)
    assert records.records == [RECORD]


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "calls.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(StageError, match="cannot be written"):
        FileRecords(tmp_path / "calls.jsonl").add(RECORD)
    assert (tmp_path / "mine").read_text() == "mine"
