"""The manifest: what is written is read back, and strangers' manifests reach no other file."""

import json

import pytest

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.clips.manifest import read_manifest, write_manifest


def test_what_is_written_is_read_back(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a b.mp4").write_bytes(b"clip")
    items = (
        ClipItem("a", tmp_path / "set" / "a b.mp4", "A dog barks.\nLoudly.", "dogs", {"model": "x"}),
        ClipItem("ö", None, "nothing was made of it", "dogs"),
    )
    write_manifest(tmp_path / "clips.jsonl", items)
    assert read_manifest(tmp_path / "clips.jsonl") == items


def test_a_clip_that_is_not_there_is_an_item_without_a_file(tmp_path):
    (tmp_path / "clips.jsonl").write_text('\n{"id": "a", "path": "gone.mp4"}\n\n')
    assert read_manifest(tmp_path / "clips.jsonl") == (ClipItem("a", None),)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"id": "a", "path": "../secret.mp4"}, "line 1: path must stay in the folder of the manifest"),
        ({"id": "a", "path": "/etc/hostname"}, "line 1: path must stay in the folder of the manifest"),
        ({"id": "a", "path": ""}, "path must be the name of a file"),
        ({"id": "a", "path": 3}, "path must"),
        ({"path": "a.mp4"}, "id"),
        ([1], "line 1"),
    ],
)
def test_lines_that_are_no_clip_of_the_folder_are_refused(tmp_path, line, text):
    (tmp_path / "clips.jsonl").write_text(json.dumps(line))
    with pytest.raises(ConfigError, match=text):
        read_manifest(tmp_path / "clips.jsonl")


def test_a_line_without_end_is_refused(tmp_path):
    (tmp_path / "clips.jsonl").write_bytes(b'{"id": "' + b"x" * (2 << 20))
    with pytest.raises(ConfigError, match="lines of 1,048,576 bytes"):
        read_manifest(tmp_path / "clips.jsonl")


def test_a_file_elsewhere_is_not_listed(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError, match="only files in its own folder"):
        write_manifest(tmp_path / "in" / "clips.jsonl", [ClipItem("a", tmp_path / "a.mp4")])
    assert list((tmp_path / "in").iterdir()) == []
