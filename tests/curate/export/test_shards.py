"""Sets of shards: bounded, the same bytes every time, whole or as they were, gone on with."""

import gc
import json
import tarfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mova.curate.export import shards as module
from mova.curate.export.kept import KeptClip
from mova.curate.export.shards import plan_shards, write_shards
from mova.data.sources.shards import read_shards
from mova.errors import DataError


def make_clips(folder, sizes, caption="A man says {}."):
    folder.mkdir(exist_ok=True)
    made = []
    for number, size in enumerate(sizes):
        media = folder / f"{number:03d}.mp4"
        media.write_bytes(bytes([number % 256]) * size)
        made.append(KeptClip(f"clip{number:03d}", media, size, caption.format(number), {"licence": "CC0"}))
    return made


def written(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=12), most=st.integers(15_000, 200_000))
@example(sizes=[1, 1025, 2561], most=19_968)
def test_no_shard_is_larger_than_it_may_be_unless_it_is_one_clip(tmp_path_factory, sizes, most):
    folder = tmp_path_factory.mktemp("set")
    clips = make_clips(folder / "media", sizes)
    plans = plan_shards(clips, most)
    write_shards(folder / "shards", clips, plans)
    assert sum(plan.num_clips for plan in plans) == len(sizes)
    for plan in plans:
        assert plan.num_clips == 1 or (folder / "shards" / plan.name).stat().st_size <= most


# It leaves closing its files to the collector of garbage.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_our_reader_and_webdataset_find_all_clips_in_order(tmp_path):
    import webdataset

    clips = make_clips(tmp_path / "media", [30_000] * 5)
    plans = plan_shards(clips, 100_000)
    assert len(plans) == 3
    assert write_shards(tmp_path / "shards", clips, plans)
    listed = read_shards(tmp_path / "shards")
    assert [item.caption for item in listed.items] == [clip.caption for clip in clips]
    assert listed.left_out == []
    paths = [str(tmp_path / "shards" / plan.name) for plan in plans]
    samples = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    gc.collect()
    assert [sample["__key__"] for sample in samples] == [clip.key for clip in clips]
    assert [sample["mp4"] for sample in samples] == [clip.media.read_bytes() for clip in clips]
    assert json.loads(samples[2]["json"]) == {"caption": "A man says 2.", "licence": "CC0"}


def test_the_same_clips_make_the_same_bytes_and_are_not_written_twice(tmp_path):
    clips = make_clips(tmp_path / "media", [30_000] * 5)
    plans = plan_shards(clips, 100_000)
    for name in ("a", "b"):
        assert write_shards(tmp_path / name, clips, plans)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    assert not write_shards(tmp_path / "a", clips, plans)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before


def test_an_interrupted_set_is_gone_on_with_and_was_not_seen_before(tmp_path, monkeypatch):
    clips = make_clips(tmp_path / "media", [30_000] * 6)
    plans = plan_shards(clips, 100_000)
    write_shards(tmp_path / "whole", clips, plans)
    made = []

    def write(path, members):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(path.name)
        real(path, members)

    real = module.write_shard
    monkeypatch.setattr(module, "write_shard", write)
    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path / "shards", clips, plans)
    assert not (tmp_path / "shards").exists()
    monkeypatch.setattr(module, "write_shard", lambda path, members: (made.append(path.name), real(path, members)))
    told = []
    write_shards(tmp_path / "shards", clips, plans, lambda done, of: told.append((done, of)))
    assert made == [plan.name for plan in plans], "none was written twice"
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert written(tmp_path / "shards") == written(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"media", "whole", "shards"}


def test_another_set_takes_the_place_of_the_former_one_together(tmp_path):
    clips = make_clips(tmp_path / "media", [30_000] * 6)
    write_shards(tmp_path / "shards", clips, plan_shards(clips, 50_000))
    fewer = clips[1:3]
    write_shards(tmp_path / "shards", fewer, plan_shards(fewer, 1e9))
    assert [item.caption for item in read_shards(tmp_path / "shards").items] == ["A man says 1.", "A man says 2."]
    assert {path.name for path in (tmp_path / "shards").iterdir()} == {"clips-000000.tar", "index.json"}


def test_a_changed_caption_is_written_anew(tmp_path):
    clips = make_clips(tmp_path / "media", [1000] * 2)
    write_shards(tmp_path / "shards", clips, plan_shards(clips, 1e9))
    clips = make_clips(tmp_path / "media", [1000] * 2, "Another man says {}.")
    assert write_shards(tmp_path / "shards", clips, plan_shards(clips, 1e9))
    assert read_shards(tmp_path / "shards").items[1].caption == "Another man says 1."


def test_what_was_ended_between_two_renamings_is_put_right(tmp_path):
    clips = make_clips(tmp_path / "media", [1000] * 2)
    plans = plan_shards(clips, 1e9)
    write_shards(tmp_path / "shards", clips, plans)
    (tmp_path / "shards").rename(tmp_path / "shards.former")
    assert not write_shards(tmp_path / "shards", clips, plans)
    assert len(read_shards(tmp_path / "shards").items) == 2
    assert not (tmp_path / "shards.former").exists()


def test_a_damaged_index_is_written_anew(tmp_path):
    clips = make_clips(tmp_path / "media", [1000] * 2)
    plans = plan_shards(clips, 1e9)
    write_shards(tmp_path / "shards", clips, plans)
    (tmp_path / "shards" / "index.json").write_text("{")
    assert write_shards(tmp_path / "shards", clips, plans)


def test_a_clip_that_vanished_is_named(tmp_path):
    clips = make_clips(tmp_path / "media", [1000] * 2)
    plans = plan_shards(clips, 1e9)
    clips[1].media.unlink()
    with pytest.raises(DataError, match=r"001\.mp4 must be there"):
        write_shards(tmp_path / "shards", clips, plans)
    assert not (tmp_path / "shards").exists()


def test_members_name_no_folder_and_no_person(tmp_path):
    clips = make_clips(tmp_path / "media", [1000])
    write_shards(tmp_path / "shards", clips, plan_shards(clips, 1e9))
    with tarfile.open(tmp_path / "shards" / "clips-000000.tar") as shard:
        for member in shard:
            assert "/" not in member.name
            assert (member.uid, member.uname, member.mtime) == (0, "", 0)


def test_nothing_is_planned_for_no_clips():
    assert plan_shards([], 1e9) == []


@pytest.mark.parametrize("name", ["shards", "shards.partial", "shards.former"])
def test_files_that_no_export_wrote_are_not_removed(tmp_path, name):
    clips = make_clips(tmp_path / "media", [100])
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.tar").write_text("mine")
    with pytest.raises(DataError, match=r"it has 'mine.tar'. Choose another export.folder"):
        write_shards(tmp_path / "shards", clips, plan_shards(clips, 1e6))
    assert (tmp_path / name / "mine.tar").read_text() == "mine"
