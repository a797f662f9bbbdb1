"""Sources come back from a table as they were written."""

from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State
from mova.curate.source_table import iter_sources, write_sources
from mova.curate.tables import num_rows


def test_sources_come_back_as_they_were(tmp_path):
    sources = [
        SourceRecord("id", "uri", "ab", 2**40, "CC0", {"a": "b"}, 3.5, State.FAILED, ("storage: x",), "17"),
        SourceRecord("", "v", "", 0),
    ]
    path = tmp_path / "sources.parquet"
    write_sources(OutputFolder(tmp_path), path, ((source, 2) for source in sources))
    assert list(iter_sources(path)) == sources
    assert num_rows(path) == 2
