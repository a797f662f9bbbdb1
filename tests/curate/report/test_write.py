"""The file of a report."""

import pytest

from curated_tables import FACTS, clip_batches, clip_row, source_batches, source_row
from mova.curate.report.gather import gather
from mova.curate.report.write import write_page


def test_a_report_is_complete_or_as_it_was(tmp_path, monkeypatch):
    data = gather(source_batches([source_row("a")]), lambda _: iter(clip_batches([clip_row(1)])), FACTS)
    path = tmp_path / "report.html"
    write_page(path, data)
    before = path.read_bytes()
    assert before.startswith(b"<!doctype html>")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_page(path, data)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
