"""A run takes the sources that there are now; a sample is the beginning of a larger one."""

from itertools import pairwise

import pytest

from mova.curate.folder import OutputFolder
from mova.curate.listing import listed_digest, take_list
from mova.curate.records import SourceRecord
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.errors import DataError
from shared_curation import list_folder, toy_run, write_sources


def test_a_larger_sample_holds_a_smaller_one(tmp_path):
    footage, folder = write_sources(tmp_path / "in", 12), OutputFolder(tmp_path / "out")
    samples = []
    for limit in (1, 4, 9, 12, None):
        chosen = take_list(folder, list_folder(footage), (), limit)
        samples.append([source.uri for source in iter_sources(chosen)])
    assert [len(sample) for sample in samples] == [1, 4, 9, 12, 12]
    for small, large in pairwise(samples):
        assert set(small) <= set(large)
        assert large == sorted(large)


def test_a_sample_is_gone_on_with(tmp_path):
    footage = write_sources(tmp_path / "in", 5)
    run_all(toy_run(footage, tmp_path / "out"), limit=2)
    told = []
    table = run_all(toy_run(footage, tmp_path / "out", on_progress=told.append))
    assert len({clip.uri for clip in iter_clips(table)}) == 5
    assert len({progress.clips for progress in told if progress.stage == "cut" and progress.clips}) == 3


def test_sources_that_changed_or_left_take_their_rows_and_clips_with_them(tmp_path):
    footage, output = write_sources(tmp_path / "in", 4), tmp_path / "out"
    run_all(toy_run(footage, output))
    (footage / "source000.txt").unlink()
    (footage / "source001.txt").write_text("2 changed")
    (footage / "source004.txt").write_text("3 new")
    told = []
    table = run_all(toy_run(footage, output, on_progress=told.append))
    clips = list(iter_clips(table))
    assert {clip.uri.rpartition("/")[2] for clip in clips} == {f"source00{number}.txt" for number in (1, 2, 3, 4)}
    assert max(progress.clips for progress in told if progress.stage == "cut") == 2 + 3
    there = {path.relative_to(output).as_posix() for path in (output / "clips").rglob("*.mp4")}
    assert there == {clip.path for clip in clips if clip.path}
    assert list(iter_clips(run_all(toy_run(footage, tmp_path / "fresh")))) == clips


def test_a_run_that_was_killed_before_it_swept_sweeps_later(tmp_path):
    footage, output = write_sources(tmp_path / "in", 2), tmp_path / "out"
    run_all(toy_run(footage, output))
    (footage / "source000.txt").unlink()
    # What a run does before it is killed.
    take_list(OutputFolder(output), list_folder(footage), ("cut", "score", "caption"), None)
    table = run_all(toy_run(footage, output))
    there = {path.relative_to(output).as_posix() for path in (output / "clips").rglob("*.mp4")}
    assert there == {clip.path for clip in iter_clips(table) if clip.path}


def test_what_is_listed_of_a_source_decides_whether_it_changed():
    source = SourceRecord("", "a", "", 10, licence="CC0", columns={"x": "1"}, version="7")
    others = [
        SourceRecord("", "a", "", 11, licence="CC0", columns={"x": "1"}, version="7"),
        SourceRecord("", "a", "", 10, licence="CC-BY", columns={"x": "1"}, version="7"),
        SourceRecord("", "a", "", 10, licence="CC0", columns={"x": "2"}, version="7"),
        SourceRecord("", "a", "", 10, licence="CC0", columns={"x": "1"}, version="8"),
    ]
    assert len({listed_digest(record) for record in (source, *others)}) == 5


def test_a_source_that_is_listed_twice_is_refused(tmp_path):
    record = SourceRecord("", "a", "", 10)
    with pytest.raises(DataError, match="listed once, got 'a' twice"):
        take_list(OutputFolder(tmp_path), [record, record], (), None)
