"""What is written to a table is what is read from it, field for field."""

import numpy as np
import pytest

from mova.curate.folder import OutputFolder
from mova.curate.records import Caption, ClipRecord, State, WindowKind
from mova.curate.runner import run_all
from mova.curate.tables import (
    TableWriter,
    arrow,
    iter_batches,
    iter_clips,
    num_rows,
    read_columns,
    read_unit,
    score_names,
    write_unit,
)
from mova.errors import DataError
from mova.scorers.base import Absence, Score
from shared_curation import toy_run, write_sources

FULL = ClipRecord(
    "id",
    "source",
    "файл  name.mp4",
    WindowKind.MULTI_SPEECH,
    1.25,
    193,
    licence="CC BY",
    columns={"show": "x", "part": ""},
    cuts_s=(1.0, 2.5),
    speech=((0.0, 1.0),),
    path="clips/id.mp4",
    scores={"a": Score(0.5), "b": Score.absent(Absence.NOT_APPLICABLE, "silent")},
    tags=("speech", "dog"),
    spans={"music": ((0.5, 1.0), (2.0, 3.0)), "none": ()},
    fingerprints={"image_hash": "00ff"},
    texts=("EXIT",),
    captions={"merged": Caption("all", "ok", "m", "p", 3, 4), "visual": Caption("", "timeout")},
    marks=("merge_failed",),
    state=State.REJECTED,
    reasons=("a: must be > 1",),
)
EMPTY = ClipRecord("other", "source", "x", WindowKind.SINGLE_SILENT, 0.0, 193)


def test_rows_of_a_unit_come_back_as_they_were(tmp_path):
    path = tmp_path / "unit.parquet"
    write_unit(OutputFolder(tmp_path), path, [FULL, EMPTY])
    assert read_unit(path) == [FULL, EMPTY]
    write_unit(OutputFolder(tmp_path), path, [])
    assert read_unit(path) == []


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return run_all(toy_run(write_sources(folder / "in", 3), folder / "out"))


def test_columns_are_arrays_of_numbers_or_lists(table):
    columns = read_columns(table, ("loudness", "sharpness", "dover_technical", "num_frames", "uri", "tags"))
    clips = list(iter_clips(table))
    for name in ("loudness", "sharpness", "dover_technical"):
        values = [clip.scores[name].value if name in clip.scores else None for clip in clips]
        expected = np.array([np.nan if value is None else value for value in values])
        np.testing.assert_array_equal(columns[name], expected)
    assert columns["uri"] == [clip.uri for clip in clips]
    assert num_rows(table) == len(clips) == len(columns["tags"])
    assert score_names(table) == ["dover_technical", "loudness", "sharpness", "silence_share"]


def test_a_part_of_a_column_is_read_by_its_name(table):
    texts = read_columns(table, ("captions.merged.text",))
    assert [clip.captions["merged"].text if clip.captions else None for clip in iter_clips(table)] == [
        row and row["merged"] and row["merged"]["text"] for row in texts["captions"]
    ]


def test_a_missing_column_names_those_that_there_are(table):
    with pytest.raises(DataError, match=r"must have the column 'loudnes'; it has .*loudness"):
        read_columns(table, ("loudnes",))


def test_a_damaged_table_is_a_clear_error(tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match="cannot be read"):
        num_rows(path)
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="cannot be read"):
        list(iter_clips(path))


def test_a_long_table_is_read_in_the_memory_of_a_piece(tmp_path):
    pa, path = arrow(), tmp_path / "long.parquet"
    rng, schema = np.random.default_rng(0), arrow().schema([("number", arrow().float64())])
    with TableWriter(OutputFolder(tmp_path), path, schema) as writer:
        for _ in range(40):
            writer.add(pa.table({"number": rng.random(16_384)}))
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for batch in iter_batches(path) if batch.num_rows]
    assert len(held) == 40
    assert max(held) < 6 * 16_384 * 8


def test_a_table_of_something_else_is_a_clear_error(tmp_path, table):
    pa = arrow()
    path = tmp_path / "other.parquet"
    pa.parquet.write_table(pa.table({"clip_id": [1, 2]}), path)
    for read in (read_unit, score_names, lambda path: list(iter_clips(path))):
        with pytest.raises(
            DataError, match=r"other.parquet must be a table of this run, and its column 'clip_id' is of"
        ):
            read(path)
    whole = pa.parquet.read_table(table)
    empty = pa.table([pa.nulls(len(whole), field.type) for field in whole.schema], schema=whole.schema)
    pa.parquet.write_table(empty, path)
    with pytest.raises(DataError, match="a row of it is none"):
        list(iter_clips(path))
