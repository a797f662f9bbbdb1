"""Clips as files of their own and as parts of a shard."""

import hashlib

from mova.train.sources.items import MediaItem


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
