"""Tar shards, read by position."""

import gzip
import io
import tarfile

import pytest

from mova.data.sources.shards import read_shards, write_shard
from mova.errors import DataError
from mova.media.read import read_clip


@pytest.fixture
def shard(tmp_path, make_film):
    films = [make_film(tmp_path / "raw" / f"{name}.mp4", at_s=(when,)) for name, when in (("a", 0.5), ("b", 1.0))]
    path = tmp_path / "shards" / "000.tar"
    write_shard(path, [(film.stem, film, {"caption": f"clip {film.stem}", "score": 3}) for film in films])
    return path


def test_clips_come_out_as_they_went_in(shard, tmp_path):
    items = read_shards(shard.parent).items
    assert [(item.key, item.caption) for item in items] == [("000.tar/a.mp4", "clip a"), ("000.tar/b.mp4", "clip b")]
    with items[1].as_file() as path:
        assert path.read_bytes() == (tmp_path / "raw" / "b.mp4").read_bytes()
        assert len(read_clip(path).frames) == 48


def test_the_same_clips_make_the_same_bytes(shard, tmp_path):
    again = tmp_path / "again.tar"
    write_shard(
        again, [(name, tmp_path / "raw" / f"{name}.mp4", {"score": 3, "caption": f"clip {name}"}) for name in "ab"]
    )
    assert again.read_bytes() == shard.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_wrong_shards_are_explained(shard, tmp_path):
    with pytest.raises(DataError, match=r"must hold shards named \*.tar"):
        read_shards(tmp_path / "raw")
    content = shard.read_bytes()
    for damaged in (b"no archive", content[:5000], gzip.compress(content)):
        shard.write_bytes(damaged)
        with pytest.raises(DataError, match=r"000\.tar must be an undamaged tar file, not compressed"):
            read_shards(shard.parent)


def member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, io.BytesIO(content)


@pytest.mark.parametrize(
    ("members", "left_out"),
    [
        ([member("c.mp4", b"x")], ("000.tar/c.mp4", "without a JSON file")),
        ([member("c.json", b'{"caption": "b"}')], ("000.tar/c", "without a media file")),
        (
            [member("c.mp4", b"x"), member("c.json", kind=tarfile.DIRTYPE)],
            ("000.tar/c.mp4", "whose JSON is no plain file"),
        ),
        (
            [member("c.mp4", b"x"), member("c.json", kind=tarfile.SYMTYPE, link="a.json")],
            ("000.tar/c.mp4", "whose JSON is no plain file"),
        ),
        (
            [member("c.mp4", kind=tarfile.SYMTYPE, link="/etc/passwd"), member("c.json", b'{"caption": "b"}')],
            ("000.tar/c.mp4", "that are no plain files"),
        ),
        ([member("c.mp4", b"x"), member("c.json", b"{")], ("000.tar/c.mp4", "whose JSON cannot be read")),
        ([member("c.mp4", b"x"), member("c.json", b"\xff")], ("000.tar/c.mp4", "whose JSON cannot be read")),
        ([member("c.mp4", b"x"), member("c.json", b"[]")], ("000.tar/c.mp4", "whose JSON is no object")),
        ([member("c.mp4", b"x"), member("c.json", b"{}")], ("000.tar/c.mp4", "without the key caption")),
        (
            [member("c.mp4", b"x"), member("c.json", b'{"caption": null}')],
            ("000.tar/c.mp4", "whose caption is no text"),
        ),
        ([member("c.mp4", b"x"), member("c.json", b'{"caption": " "}')], ("000.tar/c.mp4", "with a blank caption")),
    ],
)
def test_a_clip_that_is_not_whole_is_left_out_by_name(shard, members, left_out):
    with tarfile.open(shard, "a") as more:
        for info, content in members:
            more.addfile(info, content)
    listed = read_shards(shard.parent)
    assert [item.caption for item in listed.items] == ["clip a", "clip b"]
    assert listed.left_out == [left_out]
