"""Tar shards, read by position."""

import tarfile

import pytest

from mova.errors import DataError
from mova.media.read import read_clip
from mova.train.sources.shards import read_shards, write_shard


@pytest.fixture
def shard(tmp_path, make_film):
    films = [make_film(tmp_path / "raw" / f"{name}.mp4", at_s=(when,)) for name, when in (("a", 0.5), ("b", 1.0))]
    path = tmp_path / "shards" / "000.tar"
    write_shard(path, [(film.stem, film, {"caption": f"clip {film.stem}", "score": 3}) for film in films])
    return path


def test_clips_come_out_as_they_went_in(shard, tmp_path):
    items = read_shards(shard.parent)
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
    with tarfile.open(shard, "a") as more:
        more.add(tmp_path / "raw" / "a.mp4", "c.mp4")
    with pytest.raises(DataError, match="c has one of them only"):
        read_shards(shard.parent)
    shard.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"000\.tar must be a shard"):
        read_shards(shard.parent)
