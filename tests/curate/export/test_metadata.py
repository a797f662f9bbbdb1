"""The official list."""

import json

import pytest

from mova.curate.export.kept import KeptClip
from mova.curate.export.metadata import write_metadata
from mova.data.sources.metadata import read_metadata

CAPTIONS = ['He says: "Hi", </script> & \\ leaves.', "Zwei Männer 中文 🎬\nand a line", "x"]


@pytest.fixture
def clips(tmp_path):
    made = []
    for number, caption in enumerate(CAPTIONS):
        media = tmp_path / "run" / "clips" / f"{number}" / f"it's {number}.mp4"
        media.parent.mkdir(parents=True)
        media.write_bytes(b"x")
        made.append(KeptClip(str(number), media, 1, caption, {}))
    return made


@pytest.mark.parametrize("absolute", [False, True])
def test_our_own_reader_finds_clips_and_captions(tmp_path, clips, absolute):
    path = tmp_path / "run" / "export" / "metadata.json"
    assert write_metadata(path, clips, absolute_paths=absolute) == 3
    listed = read_metadata(path)
    assert [item.caption for item in listed.items] == CAPTIONS
    assert [item.path.resolve() for item in listed.items] == [clip.media for clip in clips]
    assert listed.left_out == []
    entries = json.loads(path.read_bytes())
    assert [set(entry) for entry in entries] == [{"video_path", "caption"}] * 3
    assert entries[0]["video_path"].startswith("/" if absolute else "../clips/0/")


def test_the_same_clips_make_the_same_bytes_in_any_encoding_of_the_system(tmp_path, clips):
    one, other = tmp_path / "a" / "metadata.json", tmp_path / "b" / "metadata.json"
    for path in (one, other):
        write_metadata(path, clips)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().isascii()


def test_a_list_in_a_folder_that_is_a_link_still_leads_to_the_clips(tmp_path, clips):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "run" / "export").symlink_to(tmp_path / "far" / "away")
    path = tmp_path / "run" / "export" / "metadata.json"
    write_metadata(path, clips)
    assert all(item.path.is_file() for item in read_metadata(path).items)


def test_no_clips_are_an_empty_list(tmp_path):
    assert write_metadata(tmp_path / "m.json", []) == 0
    assert json.loads((tmp_path / "m.json").read_text()) == []
