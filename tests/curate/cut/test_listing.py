"""Which sources there are: folders and lists, in a fixed order; what cannot be had is a row of its own."""

import json
import os

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from mova.curate.config.source import SourceSection
from mova.curate.cut.listing import list_sources
from mova.curate.records import State
from mova.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "films"
    for name in ("b.mp4", "a.MKV", "deep/er/c d.webm", ".hidden.mp4", ".git/x.mp4", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_folder_is_looked_through_in_order(folder):
    found = list(list_sources(SourceSection(folder=str(folder), licence="CC0")))
    assert [record.uri for record in found] == [f"{folder}/{name}" for name in ("a.MKV", "b.mp4", "deep/er/c d.webm")]
    assert {record.licence for record in found} == {"CC0"}
    assert [record.size_bytes for record in found] == [5, 5, 16]
    assert all(record.version and not record.sha256 for record in found)


def test_a_link_that_leads_out_fails_and_one_that_does_not_is_taken(folder, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (folder / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "in.mp4").symlink_to(folder / "b.mp4")
    (folder / "gone.mp4").symlink_to(folder / "nothing.mp4")
    states = {record.uri.rsplit("/")[-1]: record for record in list_sources(SourceSection(folder=str(folder)))}
    assert states["out.mp4"].state is State.FAILED
    assert states["out.mp4"].reasons[0].startswith("leads_out: ")
    assert states["in.mp4"].state is State.KEPT
    assert states["gone.mp4"].reasons[0].startswith("storage: ")


def test_a_linked_folder_fails_where_it_leads_out_and_is_not_taken_twice(folder, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.mp4").write_bytes(b"x")
    (folder / "disk").symlink_to(tmp_path / "disk")
    (folder / "again").symlink_to(folder / "deep")
    (folder / "circle").symlink_to(folder)
    found = {record.uri: record for record in list_sources(SourceSection(folder=str(folder), licence="CC0"))}
    assert len(found) == 4
    linked = found[f"{folder}/disk"]
    assert (linked.state, linked.licence) == (State.FAILED, "CC0")
    assert linked.reasons == (f"leads_out: a link to {tmp_path}/disk, outside of {folder}",)


def test_a_folder_that_cannot_be_looked_into_has_failed(folder, monkeypatch):
    scan = os.scandir

    def closed(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = list(list_sources(SourceSection(folder=str(folder))))
    assert [record.state for record in found] == [State.KEPT, State.KEPT, State.FAILED]
    assert found[-1].uri == f"{folder}/deep"
    assert found[-1].reasons == (f"storage: a folder must be readable, got {folder}/deep: Permission denied",)


def test_clips_of_a_run_among_the_footage_are_no_sources(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    found = list(list_sources(SourceSection(folder=str(folder)), output=tmp_path / "link" / "deep"))
    assert [record.uri for record in found] == [f"{folder}/{name}" for name in ("a.MKV", "b.mp4")]
    with pytest.raises(ConfigError, match=r"output.folder must be another one than source.folder"):
        list(list_sources(SourceSection(folder=str(folder)), output=tmp_path / "link"))


def test_a_folder_in_storage_is_listed_too():
    system = fsspec.filesystem("memory")
    with system.open("/listed/a.mp4", "wb") as file:
        file.write(b"abc")
    (record,) = list_sources(SourceSection(folder="memory://listed"))
    assert (record.uri, record.size_bytes) == ("memory:///listed/a.mp4", 3)


ROWS = [
    {"uri": "b.mp4", "licence": "CC-BY", "person": "Ann", "number": 7},
    {"uri": "a.MKV", "licence": None, "person": None, "number": 8},
]


def write_list(path):
    match path.suffix:
        case ".csv":
            lines = ["uri,licence,person,number", *(",".join(str(v or "") for v in row.values()) for row in ROWS)]
            path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
        case ".jsonl":
            path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_lists_of_three_kinds_say_the_same(folder, ending):
    path = write_list(folder / f"list{ending}")
    found = list(list_sources(SourceSection(list_file=str(path), licence="own")))
    assert [record.uri for record in found] == [f"{folder}/b.mp4", f"{folder}/a.MKV"]
    assert [record.licence for record in found] == ["CC-BY", "own"]
    assert found[0].columns == {"person": "Ann", "number": "7"}
    assert found[1].columns == {"person": "", "number": "8"}


def test_a_source_that_is_not_there_has_failed_and_the_others_go_on(folder):
    (folder / "list.csv").write_text(f"uri\nnone.mp4\n{folder}/b.mp4\nnowhere://x.mp4\n")
    states = [record.state for record in list_sources(SourceSection(list_file=str(folder / "list.csv")))]
    assert states == [State.FAILED, State.KEPT, State.FAILED]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "path\na.mp4\n", "column uri"),
        ("list.csv", "uri\n\n,\n", "must name a uri"),
        ("list.csv", "uri\nb.mp4\nb.mp4\n", "once"),
        ("list.jsonl", "[1]\n", "JSON object"),
        ("list.jsonl", "{\n", "can be read"),
        ("list.parquet", "no table", "Parquet"),
        ("list.txt", "a.mp4", "must end in"),
        ("none.csv", None, "can be read"),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(folder, name, text, said):
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        list(list_sources(SourceSection(list_file=str(folder / name))))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be a folder"):
        list(list_sources(SourceSection(folder=str(tmp_path / "none"))))


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    (tmp_path / "list.csv").write_text("uri\ns3://key:pass@films/a.mp4\n")
    for source in ({"folder": "s3://key:pass@films"}, {"list_file": str(tmp_path / "list.csv")}):
        with pytest.raises(ConfigError, match="password") as told:
            list(list_sources(SourceSection(**source)))
        assert "pass@" not in str(told.value)
