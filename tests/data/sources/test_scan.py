"""Looking through a list: what is remembered of files, and what a damaged memory does."""

import hashlib
import json
import os

import pytest

from mova.data.config import MediaDataConfig
from mova.data.sources.scan import scan_clips
from mova.errors import DataError


@pytest.fixture
def data(tmp_path, make_film, write_list):
    names = [make_film(tmp_path / f"{index}.mp4", seconds=0.5, at_s=(0.25,)).name for index in range(3)]
    return MediaDataConfig(source="metadata", path=write_list(names), num_frames=9, min_frames=5, workers=1)


@pytest.mark.parametrize("content", ["", "[", "[]", "3", '{"a": 3}', '{"a": {"sha256": 3}}', "\xff", "[" * 100_000])
def test_a_damaged_memory_is_made_anew(data, tmp_path, content):
    memory = tmp_path / "files.json"
    memory.write_text(content, encoding="latin-1")
    assert len(scan_clips(data, memory).usable) == 3
    assert len(json.loads(memory.read_text())) == 3


def test_nothing_is_written_where_nothing_is_to_be_remembered(data, tmp_path):
    memory = tmp_path / "cache" / "files.json"
    assert len(scan_clips(data, memory, remember=False).usable) == 3
    assert not memory.parent.exists()


def test_what_an_earlier_version_remembered_is_looked_into_again(data, tmp_path):
    memory = tmp_path / "files.json"
    first = scan_clips(data, memory)
    old = {mark: {"sha256": "x", "duration_s": 0.5} for mark in json.loads(memory.read_text())}
    memory.write_text(json.dumps(old))
    assert scan_clips(data, memory) == first


def test_a_list_of_which_nothing_is_left_says_why(data, tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps([{"video_path": "", "caption": "b"}, {"video_path": "x"}]))
    text = r"at least one clip to use, got 2 and none is left: 1 with a blank video_path \(entry 0\); 1 without the key"
    with pytest.raises(DataError, match=text):
        scan_clips(data)


@pytest.mark.parametrize("name", ["a\ud800.mp4", "x" * 5000, "/dev/zero", "/proc/self/mem", "..", "."])
def test_paths_that_are_no_files_are_left_out(data, tmp_path, name):
    entries = json.loads((tmp_path / "metadata.json").read_text())
    (tmp_path / "metadata.json").write_text(json.dumps([*entries, {"video_path": name, "caption": "b"}]))
    clips = scan_clips(data.model_copy(update={"max_skipped_share": 0.5}))
    assert len(clips.usable) == 3
    assert clips.num_left_out == 1


def test_other_content_of_the_same_length_and_date_is_noticed(data, tmp_path):
    memory = tmp_path / "files.json"
    before = [found.sha256 for _, found in scan_clips(data, memory).usable]
    first, second = tmp_path / "0.mp4", tmp_path / "1.mp4"
    status = first.stat()
    content = bytearray(first.read_bytes())
    content[content.index(b"mdat") + 200] ^= 1
    first.write_bytes(content)
    os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (first.stat().st_size, first.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = [found.sha256 for _, found in scan_clips(data, memory).usable]
    assert after[0] != before[0]
    assert after[1] == before[1] == hashlib.sha256(second.read_bytes()).hexdigest()
