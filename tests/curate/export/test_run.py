"""The export of a run that was really done, with stages of milliseconds."""

import json
import shutil
from dataclasses import replace

import pytest

from mova.curate.config.export import ExportSection
from mova.curate.config.verdicts import Gate
from mova.curate.export.run import export_clips
from mova.curate.runner import run_all, run_verdicts
from mova.curate.tables import iter_clips
from mova.data.sources.metadata import read_metadata
from mova.data.sources.shards import read_shards
from mova.errors import DataError
from shared_curation import toy_run, write_sources


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_all(toy_run(write_sources(folder / "in", 4), folder / "out", gates=(Gate(score="silence_share", below=0.7),)))
    return folder / "out"


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return toy_run(finished.parent / "in", tmp_path / "out")


def test_the_list_and_the_shards_hold_the_clips_that_are_kept(run):
    told = []
    made = export_clips(run.root, ExportSection(shard_mb=0.1), lambda *progress: told.append(progress))
    kept = [clip for clip in iter_clips(run.root / "clips.parquet") if clip.state == "kept"]
    assert made.num_clips == len(kept) > 0
    assert made.without_caption == 0
    assert [item.caption for item in read_metadata(made.metadata).items] == [
        clip.captions["merged"].text for clip in kept
    ]
    items = read_shards(made.shards).items
    assert [item.key.partition("/")[2] for item in items] == [f"{clip.clip_id}.mp4" for clip in kept]
    assert told[-1] == ("shards", made.num_shards, made.num_shards)
    assert export_clips(run.root, ExportSection(shard_mb=0.1)) == made


def test_after_other_verdicts_the_export_follows(run):
    before = export_clips(run.root, ExportSection())
    run_verdicts(replace(run, gates=(Gate(score="silence_share", below=0.3),)))
    after = export_clips(run.root, ExportSection())
    assert 0 < after.num_clips < before.num_clips
    assert len(read_shards(after.shards).items) == len(json.loads(after.metadata.read_text())) == after.num_clips


def test_it_goes_where_it_is_told_and_holds_what_is_asked_for(run, tmp_path):
    made = export_clips(run.root, ExportSection(folder=tmp_path / "there", shards=False))
    assert made.metadata == tmp_path / "there" / "metadata.json"
    assert all(item.path.is_file() for item in read_metadata(made.metadata).items)
    assert made.shards is None
    assert not (tmp_path / "there" / "shards").exists()


def test_where_nothing_is_kept_any_more_the_export_is_empty_and_nobody_trains_on_the_former_one(run, caplog):
    before = export_clips(run.root, ExportSection())
    assert before.num_clips > 0
    run_verdicts(replace(run, gates=(Gate(score="silence_share", below=0.0),)))
    after = export_clips(run.root, ExportSection())
    assert (after.num_clips, json.loads(after.metadata.read_text()), list(after.shards.glob("*.tar"))) == (0, [], [])
    assert "the export is empty" in caplog.text


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"must hold the table of a finished run, clips\.parquet"):
        export_clips(tmp_path, ExportSection())


def test_a_full_disk_leaves_what_was_there(run, monkeypatch):
    made = export_clips(run.root, ExportSection())
    before = made.metadata.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"must be writable and have room.*No space"):
        export_clips(run.root, ExportSection(shard_mb=1))
    assert made.metadata.read_bytes() == before
    assert read_shards(made.shards).items
