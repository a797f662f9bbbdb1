"""Clips as files of their own and as parts of a shard."""

import hashlib

import pytest

from mova.data.sources.items import MediaItem, name_in_messages


def test_a_part_of_a_file_is_read_by_itself(tmp_path):
    (tmp_path / "shard.tar").write_bytes(b"before" + b"clip" + b"after")
    item = MediaItem("shard.tar/a.mp4", tmp_path / "shard.tar", "caption", offset=6, length=4)
    with item.as_file() as path:
        assert path.read_bytes() == b"clip"
        assert path.suffix == ".mp4"
    assert not path.exists()
    assert item.sha256() == hashlib.sha256(b"clip").hexdigest()


def test_a_file_of_its_own_stays_where_it_is(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"clip")
    item = MediaItem("a.mp4", tmp_path / "a.mp4", "caption")
    with item.as_file() as path:
        assert path == tmp_path / "a.mp4"
    assert path.exists()
    assert item.sha256() == hashlib.sha256(b"clip").hexdigest()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2Jb.mp4", r"a\x1b[2Jb.mp4"),
        ("a\nERROR b.mp4", r"a\nERROR b.mp4"),
        ("a\0\u202eb", r"a\x00\u202eb"),
        ("\ud800", r"\ud800"),
        ("\u89c6\u9891 \u00e9.mp4", "\u89c6\u9891 \u00e9.mp4"),
    ],
)
def test_names_take_one_line_and_do_nothing_to_a_terminal(name, shown):
    assert name_in_messages(name) == shown
